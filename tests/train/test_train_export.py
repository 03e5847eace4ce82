"""Export: the graph computes what the network computes, or nothing is written."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from rtdenoise.float16 import with_float16
from rtdenoise.gpu import Place
from rtdenoise.model import load_model
from rtdenoise.onnx_graph import Graph
from rtdenoise.onnx_model import OnnxModel
from rtdenoise.patch_model import PatchModel
from rtdenoise.stft import StftConfig
from rtdenoise.train import export as module
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.export import ExportError, export, fold_batch_norm, streaming_error, taught
from rtdenoise.train.networks import NETWORKS, gains
from rtdenoise.train.offsets import with_moved_offsets

MODELS = Path(__file__).parents[2] / "models"


def spectrum(streams: int, frames: int) -> Tensor:
    return 0.1 * torch.randn(streams, frames, 161, dtype=torch.complex64)


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def trained(seed: int, name: str = "dncnn", **arguments: int) -> Checkpoint:
    """A checkpoint whose batch norms have seen data, so that folding them matters."""
    torch.manual_seed(seed)
    network = NETWORKS[name](**arguments)
    for _ in range(5):
        gains(network, spectrum(4, 60), network.start(4))
    for layer in network.modules():
        if isinstance(layer, NORMS):
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.uniform_(layer.bias, -1.0, 1.0)
    if arguments.get("low"):
        nn.init.normal_(network.low.out.weight, 0, 0.05)  # it begins as nothing
    return Checkpoint(
        network=name,
        arguments=arguments,
        stft=StftConfig(),
        rate_hz=16_000,
        weights=network.state_dict(),
        recipe={"hours": 1.0},
        step=5,
        scores={"snr_db": 1.0},
        resume={},
    )


CASES = [
    ("dncnn", {"width": 8, "depth": 3}),
    ("dncnn", {"width": 16, "depth": 7}),
    ("dualpath", {"channels": 8, "width": 12, "blocks": 2, "heads": 3}),
    ("dualpath", {"channels": 4, "width": 16, "blocks": 1, "heads": 1, "merge": 4}),
    ("dualpath", {"channels": 4, "width": 8, "blocks": 2, "heads": 1, "low": 6, "attentions": 1}),
    ("resunet", {"encoder": "resnet18", "encoder_depth": 3, "width": 16}),
    ("resunet", {"encoder": "resnet18", "encoder_depth": 3, "width": 32, "emit_frames": 40}),
]
BOTTLENECKS = ("resunet", {"encoder": "resnet50", "encoder_depth": 3, "width": 16})


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_streaming_graph_equals_offline_network(name, arguments, tmp_path):
    checkpoint = trained(1, name, **arguments)
    folder = tmp_path / "mine"
    told = export(checkpoint, folder, "a test", "random numbers", "MIT", weights="float32")
    model = load_model(folder)
    assert isinstance(model, PatchModel if name == "resunet" else OnnxModel)
    for portions in range(3):
        assert streaming_error(checkpoint.build(), model, seed=portions) <= 1e-4
    silent, _ = model.step(np.zeros((2, 5, 161), np.complex64), model.start(2))
    assert np.isfinite(silent).all()
    assert told <= 1e-4


def test_recurrences_and_attentions_are_single_nodes(tmp_path):
    sizes = {"channels": 4, "width": 8, "blocks": 3, "heads": 2, "low": 6, "attentions": 2}
    export(trained(2, "dualpath", **sizes), tmp_path / "mine", "", "", "MIT")
    nodes = onnx.load(tmp_path / "mine/model.onnx").graph.node
    found = Counter(node.op_type for node in nodes)
    assert (found["LSTM"], found["Attention"], found["Softmax"]) == (3 + 1, 2, 0)
    # ONNX Runtime crashes where an Attention has no offset.
    assert all(len(node.input) == 3 for node in nodes if node.op_type == "Attention")


def test_card_describes_the_model(tmp_path):
    export(
        trained(3, width=8, depth=2), tmp_path / "mine", "a test", "random numbers", "CC0-1.0", 24.0
    )
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert card["name"] == "mine"
    assert card["licence"] == "CC0-1.0"
    assert load_model(tmp_path / "mine").card.limit_db == 24.0
    assert card["network"]["arguments"] == {"width": 8, "depth": 2}
    assert card["training"]["data"] == "random numbers"
    assert card["stft"] == {"analysis_ms": 20.0, "synthesis_ms": 20.0, "hop_ms": 10.0}


@pytest.mark.parametrize(
    ("probability", "dereverberate", "want"),
    [
        (0.3, True, ["denoising", "dereverberation"]),
        (0.0, True, ["denoising"]),
        (0.3, False, ["denoising"]),
    ],
)
def test_card_says_what_was_taught(probability, dereverberate, want):
    reverb = {"probability": probability, "low": 0.2, "high": 0.8}
    mix = {"dereverberate": dereverberate, "augmentations": {"reverb": reverb}}
    assert taught({"mix": mix}) == want


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_wrong_graphs_are_refused(tmp_path, monkeypatch, weights):
    def without_folding(network: nn.Module) -> nn.Module:
        copied = fold_batch_norm(network)
        copied.last.bias.data += 0.01  # a graph that is a little off
        return copied

    monkeypatch.setattr(module, "fold_batch_norm", without_folding)
    with pytest.raises(ExportError, match="differ"):
        export(trained(4, width=8, depth=2), tmp_path / "mine", "", "", "MIT", None, weights)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(("name", "arguments"), [*CASES, BOTTLENECKS])
def test_folding_keeps_the_output_and_the_original(name, arguments):
    network = trained(5, name, **arguments).build()
    frames = spectrum(2, 50)
    with torch.no_grad():
        before, _ = gains(network, frames, network.start(2))
        folded = fold_batch_norm(network)
        after, _ = gains(folded, frames, folded.start(2))
        again, _ = gains(network, frames, network.start(2))
    assert not any(isinstance(m, NORMS) for m in folded.modules())
    # Fifty layers in float32: how they round depends on the processor.
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
    torch.testing.assert_close(again, before, atol=0, rtol=0)


@pytest.mark.parametrize("attentions", [1, 2, 3])
def test_moving_offsets_keeps_the_output_and_leaves_one(attentions):
    arguments = {"channels": 8, "width": 16, "blocks": 3, "attentions": attentions}
    folded = fold_batch_norm(trained(6, "dualpath", **arguments).build())
    moved, frames = with_moved_offsets(folded), spectrum(2, 50)
    with torch.no_grad():
        want, _ = gains(folded, frames, folded.start(2))
        got, _ = gains(moved, frames, moved.start(2))
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
    paths = (*moved.time, *moved.frequency)
    left = [p for p in paths if any("bias" in name for name, _ in p.back.named_parameters())]
    assert left == [(moved.frequency if attentions == 3 else moved.time)[-1]]


def test_patch_models_compute_the_same_in_float16(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Place, "providers", lambda _: ["CPUExecutionProvider"])
    name, arguments = CASES[-2]
    checkpoint = trained(8, name, **arguments)
    export(checkpoint, tmp_path / "mine", "", "", "MIT", None, "int8")
    model = load_model(tmp_path / "mine")
    graph, picture = Graph(tmp_path / "mine" / "model.onnx", Place("cuda")), model._picture()
    half = with_float16(graph, picture, "gain")
    assert half is not graph, caplog.text
    one, other = (g.run(picture, "gain") for g in (graph, half))
    assert one.std() > 0.05
    assert 0 < np.abs(one - other).max() < 0.01


@pytest.mark.parametrize("name", [p.parent.name for p in MODELS.glob("*/checkpoint.pt")])
def test_shipped_model_is_its_checkpoint(name):
    checkpoint = Checkpoint.load(MODELS / name / "checkpoint.pt")
    model = load_model(name)
    assert isinstance(model, OnnxModel)
    assert streaming_error(checkpoint.build(), model) <= 1e-4


def test_a_file_is_no_place_for_a_model(tmp_path):
    from rtdenoise.train.cli_checkpoints import export as command

    best = tmp_path / "best.pt"
    trained(6, width=8, depth=1).save(best)
    before = best.read_bytes()
    with pytest.raises(DataError, match="is a file"):
        command(best, best, force=True)
    assert best.read_bytes() == before


def test_existing_models_are_not_replaced_unasked(tmp_path):
    from rtdenoise.train.cli_checkpoints import export as command

    trained(6, width=8, depth=1).save(tmp_path / "best.pt")
    command(tmp_path / "best.pt", tmp_path / "mine", "", "", "MIT", None, False)
    before = (tmp_path / "mine" / "model.onnx").read_bytes()
    with pytest.raises(DataError, match="--force"):
        command(tmp_path / "best.pt", tmp_path / "mine", "", "", "MIT", None, False)
    assert (tmp_path / "mine" / "model.onnx").read_bytes() == before
    assert np.isfinite(OnnxModel(tmp_path / "mine").start(1).arrays["first"]).all()
