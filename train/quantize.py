"""Stores the weights of convolutions as 8-bit integers, with a scale for each channel.

Only the file gets smaller. The graph multiplies the integers by their scales, which ONNX
Runtime does once, when it loads the file, and then computes in floating point. (Its
``DequantizeLinear`` it would do again at every step, unless a session option forbids it.)
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

INTEGERS, SCALES = ".int8", ".scale"
"""What the names of a weight's two parts end with."""

LARGEST = 127

LEAST_VALUES = 1024
"""Weights with fewer values stay as they are: there is nothing to save."""

Floats = npt.NDArray[np.float32]


def quantize(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return integers and scales; their product is within half a scale of each value.

    Shape:
        ``[outputs, ...]`` to integers of that shape and ``[outputs, 1, ...]``.
    """
    axes = tuple(range(1, weight.ndim))
    scale = np.abs(weight).max(axes, keepdims=True) / LARGEST
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def store_as_int8(graph: onnx.GraphProto) -> None:
    """Store the weights of a graph's convolutions as integers, in place."""
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes = []
    for initializer in list(graph.initializer):
        if initializer.name not in weights or np.prod(initializer.dims) < LEAST_VALUES:
            continue
        name = initializer.name
        integers, scale = quantize(numpy_helper.to_array(initializer))
        graph.initializer.remove(initializer)
        graph.initializer.append(numpy_helper.from_array(integers, name + INTEGERS))
        graph.initializer.append(numpy_helper.from_array(scale, name + SCALES))
        cast = helper.make_node("Cast", [name + INTEGERS], [name + ".cast"], to=TensorProto.FLOAT)
        nodes += [cast, helper.make_node("Mul", [name + ".cast", name + SCALES], [name])]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def stored_weights(graph: onnx.GraphProto) -> dict[str, Floats]:
    """Return all constants of a graph by name, the integers among them as what they stand for."""
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for name in [n for n in arrays if n.endswith(INTEGERS)]:
        whole = name.removesuffix(INTEGERS)
        arrays[whole] = arrays.pop(name).astype(np.float32) * arrays.pop(whole + SCALES)
    return arrays
