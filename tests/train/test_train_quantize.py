"""Weights as integers: close to what they were, small in the file, folded when it is loaded."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtdenoise.model import load_model
from rtdenoise.onnx_model import GAIN, MAGNITUDE
from rtdenoise.stft import StftConfig
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.export import export, streaming_error
from rtdenoise.train.exported import read_exported
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.quantize import INTEGERS, quantize, stored_weights

SMALL = {"encoder": "resnet18", "encoder_depth": 3, "width": 16}


def trained(seed: int, name: str = "resunet", **arguments: int | str) -> Checkpoint:
    """A checkpoint whose batch norms have seen data, so that folding them matters."""
    torch.manual_seed(seed)
    network = NETWORKS[name](**arguments)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    weights = network.state_dict()
    return Checkpoint(name, arguments, StftConfig(), 16_000, weights, {}, 1, {}, {})


def test_round_trip_is_within_half_a_scale_of_each_channel() -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(20, 8, 3, 3)) * 10 ** rng.uniform(-4, 2, (20, 1, 1, 1))
    weight[3] = 0.0
    weight = weight.astype(np.float32)
    integers, scale = quantize(weight)
    assert integers.dtype == np.int8
    assert scale.shape == (20, 1, 1, 1)
    error = np.abs(integers * scale - weight).max((1, 2, 3))
    assert (error <= 0.5001 * np.abs(weight).max((1, 2, 3)) / 127).all()
    assert (integers[3] == 0).all()
    assert np.abs(integers.astype(int)).max((1, 2, 3))[[0, 1, 2]].tolist() == [127] * 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network, exported with both kinds of weights."""
    root = tmp_path_factory.mktemp("models")
    for weights in ("float32", "int8"):
        export(trained(2, **SMALL), root / weights, "", "", "MIT", None, weights)
    return {path.name: path for path in root.iterdir()}


def test_weights_are_integers_in_the_file(folders: dict[str, Path]) -> None:
    size = {name: (path / "model.onnx").stat().st_size for name, path in folders.items()}
    assert size["int8"] < 0.3 * size["float32"]
    graph = onnx.load(str(folders["int8"] / "model.onnx")).graph
    integers = [i for i in graph.initializer if i.name.endswith(INTEGERS)]
    assert len(integers) > 10
    assert all(i.data_type == onnx.TensorProto.INT8 for i in integers)
    exact = stored_weights(onnx.load(str(folders["float32"] / "model.onnx")).graph)
    near = stored_weights(graph)
    assert exact.keys() - {f"{i.name}" for i in integers} <= near.keys()
    for name, weight in exact.items():
        bound = np.abs(weight).max(tuple(range(1, weight.ndim)), keepdims=True) / 127
        assert (np.abs(near[name] - weight) <= 0.5001 * bound + 1e-12).all(), name


def test_runtime_folds_the_scales_when_it_loads(folders: dict[str, Path], tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # it warns that the file suits this machine only
    onnxruntime.InferenceSession(
        str(folders["int8"] / "model.onnx"), options, ["CPUExecutionProvider"]
    )
    nodes = onnx.load(str(tmp_path / "optimized.onnx")).graph.node
    kinds = {node.op_type for node in nodes}
    assert not kinds & {"Cast", "Mul", "DequantizeLinear"}


def test_what_is_read_back_is_what_the_runtime_computes(folders: dict[str, Path]) -> None:
    noisy = np.random.default_rng(3).random((2, 80, 161), np.float32)
    gains = {}
    for name, folder in folders.items():
        network, stft = read_exported(folder)
        assert stft == StftConfig()
        assert streaming_error(network, load_model(folder), seed=4) <= 1e-4
        with torch.no_grad():
            gains[name] = network(torch.from_numpy(noisy), network.start(2))[0][:, 15:]
    difference = (gains["int8"] - gains["float32"]).abs()
    assert 0 < float(difference.mean()) < 0.01


def test_the_graph_is_one_look_at_a_patch(folders: dict[str, Path]) -> None:
    """The newest of 64 columns, and the one before them, of any number of streams."""
    session = onnxruntime.InferenceSession(
        str(folders["float32"] / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    network, _ = read_exported(folders["float32"])
    rng = np.random.default_rng(5)
    for streams, frames in ((1, 1), (3, 16), (2, 63)):
        new = rng.random((streams, frames, 161), np.float32)
        history = rng.random((streams, 63, 161), np.float32)
        feeds = {MAGNITUDE: new, "state.history": history}
        gain, after = session.run([GAIN, "next.history"], feeds)
        seen = np.concatenate((history, new), 1)
        with torch.no_grad():
            want = network.patch(torch.from_numpy(seen[:, -64:]))[:, -frames - 1 :]
        np.testing.assert_allclose(gain, want, atol=1e-5)
        np.testing.assert_array_equal(after, seen[:, -63:])


def test_card_tells_of_patches(folders: dict[str, Path]) -> None:
    card = load_model(folders["int8"]).card
    assert card.details["patch"] == {"window_frames": 64, "emit_frames": 16}
    assert card.lookahead_frames == 15
    assert card.details["network"]["weights"] == "int8"


def test_other_networks_of_convolutions_can_be_stored_so_too(tmp_path: Path) -> None:
    dncnn = trained(6, "dncnn", width=16, depth=2)
    assert export(dncnn, tmp_path / "dncnn", "", "", "MIT", None, "int8") <= 1e-4
    dualpath = trained(7, "dualpath", channels=4, width=8, blocks=1, heads=1)
    with pytest.raises(DataError, match="by name") as caught:
        export(dualpath, tmp_path / "dualpath", "", "", "MIT", None, "int8")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "dualpath").exists()


def test_unknown_kinds_of_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'int4' are unknown; use float32 or int8"):
        export(trained(8, "dncnn", width=8, depth=1), tmp_path, "", "", "MIT", None, "int4")
