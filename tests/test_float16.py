"""Convolutions in float16: what changes in a graph, what does not, and when it is refused."""

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtdenoise import float16
from rtdenoise.float16 import in_float16, with_float16
from rtdenoise.gpu import Place
from rtdenoise.onnx_graph import Graph

BINS = 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A graph that levels its input, then convolves it, halves and doubles it, and adds a skip.

    The squares of its input, 1e-8, are less than float16 can tell from zero. Weights of one
    convolution are integers with a scale.
    """
    rng = np.random.default_rng(1)
    arrays = {
        "axes": np.array([1, 2, 3], np.int64),
        "w0": rng.normal(size=(4, 1, 3, 3)).astype(np.float32),
        "b0": rng.normal(size=4).astype(np.float32),
        "integers": rng.integers(-127, 128, (1, 4, 3, 3)).astype(np.int8),
        "scale": np.full((1, 1, 1, 1), 0.01, np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "one": np.array([1], np.int64),
    }
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Unsqueeze", ["magnitude", "one"], ["picture"]),
        helper.make_node("Mul", ["picture", "picture"], ["power"]),
        helper.make_node("ReduceMean", ["power", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sqrt", ["mean"], ["level"]),
        helper.make_node("Div", ["picture", "level"], ["relative"]),
        helper.make_node("Conv", ["relative", "w0", "b0"], ["c0"], **shape),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("MaxPool", ["r0"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["half", "", "twice"], ["whole"], mode="nearest"),
        helper.make_node("Add", ["whole", "r0"], ["sum"]),
        helper.make_node("Cast", ["integers"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "scale"], ["w1"]),
        helper.make_node("Conv", ["sum", "w1"], ["c1"], **shape),
        helper.make_node("Sigmoid", ["c1"], ["open"]),
        helper.make_node("Squeeze", ["open", "one"], ["gain"]),
    ]
    size = ("streams", BINS, BINS)
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("magnitude", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("gain", TensorProto.FLOAT, size)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    (tmp_path / "toy").mkdir()
    onnx.save(model, tmp_path / "toy" / "model.onnx")
    return tmp_path / "toy" / "model.onnx"


@pytest.fixture
def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {"magnitude": (1e-4 * rng.rayleigh(size=(3, BINS, BINS))).astype(np.float32)}


@pytest.fixture(autouse=True)
def pretended(monkeypatch) -> None:
    """Let the CPU be a GPU."""
    monkeypatch.setattr(Place, "providers", lambda _: ["CPUExecutionProvider"])


def graph_on_gpu(path: Path) -> Graph:
    return Graph(path, Place("cuda", 0, "cpu"))


def test_what_lies_between_convolutions_changes_and_nothing_else(path: Path) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(in_float16(path)), True)
    kinds = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    half = {name for name, kind in kinds.items() if kind == TensorProto.FLOAT16}
    assert {"c0", "r0", "half", "whole", "sum", "c1"} <= half
    assert not half & {"picture", "power", "mean", "level", "relative", "w1", "open"}
    ends = [*model.graph.input, *model.graph.output]
    assert {v.type.tensor_type.elem_type for v in ends} == {TensorProto.FLOAT}


def test_gains_are_close_and_the_graph_runs_in_its_place(path: Path, feeds, caplog) -> None:
    graph = graph_on_gpu(path)
    half = with_float16(graph, feeds, "gain")
    assert half is not graph
    assert not caplog.records
    moved = np.abs(half.run(feeds, "gain") - graph.run(feeds, "gain"))
    assert 0 < moved.max() < 0.01
    assert half.run(feeds, "gain").std() > 0.1
    assert (half.path, half.inputs) == (graph.path, graph.inputs)


def test_one_that_moves_too_far_is_refused_in_a_line(path, feeds, caplog, monkeypatch) -> None:
    monkeypatch.setattr(float16, "TOLERANCE", 1e-7)
    graph = graph_on_gpu(path)
    with caplog.at_level(logging.WARNING):
        assert with_float16(graph, feeds, "gain") is graph
    (record,) = caplog.records
    assert record.getMessage().startswith("rtdenoise: toy computes in float32: in float16 its gain")


def test_values_beyond_float16_are_refused(path: Path, feeds, caplog) -> None:
    model = onnx.load(str(path))
    (weight,) = (i for i in model.graph.initializer if i.name == "w0")
    weight.CopyFrom(numpy_helper.from_array(1e6 * numpy_helper.to_array(weight), "w0"))
    onnx.save(model, str(path))
    graph = graph_on_gpu(path)
    assert with_float16(graph, feeds, "gain") is graph
    assert "computes in float32" in caplog.text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda _: b"no graph", "ONNX Runtime cannot load it"),
        (None, r"onnx is missing; pip install 'rtdenoise[cuda]'"),
    ],
)
def test_without_a_converted_graph_it_goes_on_in_float32(
    path: Path, feeds, caplog, monkeypatch, broken, said: str
) -> None:
    graph = graph_on_gpu(path)
    if broken is None:
        monkeypatch.setitem(sys.modules, "onnx", None)
    else:
        monkeypatch.setattr(float16, "in_float16", broken)
    assert with_float16(graph, feeds, "gain") is graph
    assert said in caplog.text
