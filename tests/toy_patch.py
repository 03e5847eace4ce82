"""A patch model whose output can be worked out by hand, and its folder."""

import json
from dataclasses import asdict

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtdenoise.stft import StftConfig

WINDOW, BINS = 64, 161
SHARE_OF_MEAN = 0.5


def patch_gains(patch):
    """Return what the network gives for patches ``[..., 64, 161]``: a gain for each column.

    A bin's gain is high where it is strong for its patch. It depends on all of the patch, so
    patches that overlap disagree.
    """
    patch = np.asarray(patch, np.float64)[..., :160]
    level = np.sqrt((patch**2).mean(axis=(-2, -1), keepdims=True)) + 1e-6
    compressed = np.sqrt(patch / level)
    mean = compressed.mean(axis=(-2, -1), keepdims=True)
    gain = 1 / (1 + np.exp(-(compressed - SHARE_OF_MEAN * mean)))
    return np.concatenate((gain, gain[..., -1:]), axis=-1)


def patch_stream(magnitude, emit_frames):
    """Return the gains of ``[frames, 161]`` as they come out of streaming, by hand.

    The first ``emit_frames`` - 1 are placeholders and are left out.
    """
    padded = np.concatenate((np.zeros((WINDOW, BINS)), magnitude))
    out, last = [], None
    for end in range(emit_frames, len(magnitude) + 1, emit_frames):
        gain = patch_gains(padded[end : end + WINDOW])[-emit_frames - 1 :]
        new = gain[1:].copy()
        fade = emit_frames // 2
        for column in range(fade if last is not None else 0):
            weight = 1 - (column + 1) / (fade + 1)
            new[column] = np.clip(new[column] + weight * (last - gain[0]), 0, 1)
        out.append(new)
        last = new[-1]
    out = np.concatenate(out)
    return out[: len(magnitude) - emit_frames + 1]


def write_patch_model(folder, emit_frames=16, work=0, **card):
    """Write ``model.onnx`` and ``card.json``.

    Args:
        folder: to make.
        emit_frames: default of the card.
        work: products of large matrices that a pass does besides, to be slow.
        card: entries to replace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(work), folder / "model.onnx")
    said = {
        "name": folder.name,
        "description": "a toy",
        "licence": "MIT",
        "stft": asdict(StftConfig()),
        "lookahead_frames": emit_frames - 1,
        "limit_db": None,
        "patch": {"window_frames": WINDOW, "emit_frames": emit_frames},
    }
    (folder / "card.json").write_text(json.dumps(said | card))
    return folder


def _graph(work):
    nodes, constants = [], []

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(kind, *inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    axes = constant("axes", np.array([1, 2], np.int64))
    time, everything = constant("time", np.array([1], np.int64)), np.array([2**31], np.int64)
    both = node("Concat", "state.history", "magnitude", axis=1)
    frames = node("Gather", node("Shape", "magnitude"), constant("one", np.int64(1)))
    frames = node("Unsqueeze", frames, constant("first", np.array([0], np.int64)))
    end = constant("end", everything)
    history = node("Slice", both, constant("-63", np.array([-63], np.int64)), end, time)
    nodes.append(helper.make_node("Identity", [history], ["next.history"]))
    whole = node("Slice", both, constant("-64", np.array([-64], np.int64)), end, time)
    zero, bins = constant("0", np.array([0], np.int64)), constant("bins", np.array([2], np.int64))
    patch = node("Slice", whole, zero, constant("160", np.array([160], np.int64)), bins)
    power = node("ReduceMean", node("Mul", patch, patch), axes, keepdims=1)
    level = node("Add", node("Sqrt", power), constant("tiny", np.float32(1e-6)))
    compressed = node("Sqrt", node("Div", patch, level))
    mean = node("ReduceMean", compressed, axes, keepdims=1)
    offset = node("Mul", mean, constant("share", np.float32(SHARE_OF_MEAN)))
    gain = node("Sigmoid", node("Sub", compressed, offset))
    if work:
        product = node("MatMul", patch, constant("w0", np.full((160, 1500), 1e-9, np.float32)))
        matrix = constant("w", np.full((1500, 1500), 1e-9, np.float32))
        for _ in range(work):
            product = node("MatMul", product, matrix)
        nothing = node("ReduceMean", product, axes, keepdims=1)
        gain = node("Add", gain, node("Mul", nothing, constant("no", np.float32(0))))
    top = node("Slice", gain, constant("159", np.array([159], np.int64)), end, bins)
    full = node("Concat", gain, top, axis=2)
    start = node("Neg", node("Add", frames, constant("1", np.array([1], np.int64))))
    nodes.append(helper.make_node("Slice", [full, start, end, "time"], ["gain"]))

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "toy",
        [
            value("magnitude", "streams", "frames", BINS),
            value("state.history", "streams", 63, BINS),
        ],
        [value("gain", "streams", "shown", BINS), value("next.history", "streams", 63, BINS)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
