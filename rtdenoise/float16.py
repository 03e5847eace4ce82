"""Graphs whose convolutions compute in float16, for GPUs that are twice as fast at it.

Only what lies between the first convolution and the last one changes. Levels and compression stay
in float32: the squares of quiet magnitudes are too small for float16.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.model import ModelError
from rtdenoise.onnx_graph import Graph
from rtdenoise.stft import FloatArray

TOLERANCE = 0.02
"""Most that a gain may move by: 0.17 dB of a gain of 1, or one of 0 to -34 dB."""

_log = logging.getLogger("rtdenoise")


def with_float16(graph: Graph, feeds: dict[str, FloatArray], output: str) -> Graph:
    """Return the graph in float16, or as it is where that cannot be had or is not close enough.

    Args:
        graph: on a GPU.
        feeds: inputs to compare both with.
        output: what to compare.
    """
    try:
        half = Graph(graph.path, graph.place, content=in_float16(graph.path))
        moved = float(np.abs(half.run(feeds, output) - graph.run(feeds, output)).max())
        if not moved <= TOLERANCE:
            raise ModelError(f"in float16 its gains move by {moved:.3g}")
    except ModelError as error:
        _log.warning("rtdenoise: %s computes in float32: %s", graph.path.parent.name, error)
        return graph
    return half


def in_float16(path: Path) -> bytes:
    """Return a graph with its convolutions, and what lies between them, in float16.

    Inputs, outputs and state keep their types; weights are converted when it is loaded.

    Raises:
        ModelError: the package ``onnx`` is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise ModelError("onnx is missing; pip install 'rtdenoise[cuda]'") from error
    single, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    model = onnx.load(str(path))
    graph = onnx.shape_inference.infer_shapes(model).graph  # a copy
    floats = {v.name for v in [*graph.input, *graph.value_info] if _type(v) == single}
    floats |= {i.name for i in graph.initializer if i.data_type == single}
    inside = _after_convolution(graph.node) & _before_convolution(graph.node)
    inside |= {node.output[0] for node in graph.node if node.op_type == "Conv"}
    changed = inside & floats
    nodes, made = [], set()
    for node in graph.node:
        to = half if node.output[0] in inside else single
        for place, value in enumerate(node.input):
            if value not in floats or (node.op_type == "Resize" and place > 0):
                continue  # indices, shapes, and scales, which stay in float32
            if (value in changed) == (to == half):
                continue
            node.input[place] = cast = f"{value}.{to}"
            if cast not in made:
                made.add(cast)
                nodes.append(onnx.helper.make_node("Cast", [value], [cast], to=to))
        nodes.append(node)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    content: bytes = model.SerializeToString()
    return content


def _type(value: Any) -> int:
    """Return the type of a value's elements."""
    kind: int = value.type.tensor_type.elem_type
    return kind


def _after_convolution(nodes: Iterable[Any]) -> set[str]:
    """Return the values that depend on a convolution; nodes come behind what they depend on."""
    found: set[str] = set()
    for node in nodes:
        if node.op_type == "Conv" or found.intersection(node.input):
            found.update(node.output)
    return found


def _before_convolution(nodes: Iterable[Any]) -> set[str]:
    """Return the values that a convolution depends on."""
    found: set[str] = set()
    for node in reversed(list(nodes)):
        if node.op_type == "Conv" or found.intersection(node.output):
            found.update(node.input)
    return found
