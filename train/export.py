"""Writes a trained network as an ONNX graph with explicit state, and proves it right.

The graph is a step of the network: frames and state in, gains and state out, for any
number of streams and frames. Batch norm is folded into the convolutions. A graph whose
streaming output differs from the network's offline output is not written.
"""

import copy
import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from rtdenoise.model import REFERENCE_RATE_HZ
from rtdenoise.onnx_model import GAIN, NEXT, STATE, OnnxModel
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.networks import gains
from rtdenoise.train.onnx_lstm import OPSET, with_onnx_lstm

TOLERANCE = 1e-4
"""Largest difference between streaming and offline gains that an export may have."""


class ExportError(DataError):
    """The exported graph does not compute what the network computes."""


def export(
    checkpoint: Checkpoint,
    folder: Path,
    description: str,
    data: str,
    licence: str,
    limit_db: float | None = None,
) -> float:
    """Write ``model.onnx`` and ``card.json``.

    Args:
        checkpoint: the trained network.
        folder: where to write; created. Its name is the model's.
        description: one line for the card.
        data: what it was trained on, with sources and licences, for the card.
        licence: of the weights.
        limit_db: attenuation limit that suits the model, if any.

    Returns:
        largest difference found between streaming and offline gains.

    Raises:
        ExportError: they differ by more than 1e-4. Nothing is written then.
    """
    network = checkpoint.build()
    card = {
        "name": folder.resolve().name,
        "description": description,
        "licence": licence,
        "stft": asdict(checkpoint.stft),
        "lookahead_frames": 0,
        "limit_db": limit_db,
        "network": {
            "class": checkpoint.network,
            "arguments": checkpoint.arguments,
            "parameters": sum(p.numel() for p in network.parameters()),
        },
        "training": {
            "taught": taught(checkpoint.recipe),
            "steps": checkpoint.step,
            "data": data,
            "recipe": checkpoint.recipe,
            "validation": checkpoint.scores,
        },
    }
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        write_graph(network, checkpoint.stft.bins(REFERENCE_RATE_HZ), made / "model.onnx")
        (made / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        error = streaming_error(network, OnnxModel(made))
        if not error <= TOLERANCE:
            raise ExportError(
                f"streaming and offline gains differ by {error:.2g}, more than {TOLERANCE:g}; "
                f"{folder} was not written"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    return error


def taught(recipe: dict[str, Any]) -> list[str]:
    """Return what a training taught: to remove noise, and late reverberation too."""
    mix = recipe.get("mix", {})
    rooms = mix.get("augmentations", {}).get("reverb", {}).get("probability", 0) > 0
    return ["denoising", "dereverberation"] if rooms and mix["dereverberate"] else ["denoising"]


class _Step(nn.Module):
    """The network with its state as positional tensors, as the ONNX exporter wants it."""

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, frames: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        gain, after = self.network(frames, dict(zip(self.names, arrays, strict=True)))
        return gain, *(after[name] for name in self.names)


def write_graph(network: nn.Module, bins: int, path: Path) -> None:
    """Write the network's step as ONNX.

    Args:
        network: in evaluation mode; not changed.
        bins: frequency bins of a frame.
        path: file to write.
    """
    folded = with_onnx_lstm(fold_batch_norm(network))
    state = folded.start(2)
    names = list(state)
    streams, frames = torch.export.Dim("streams"), torch.export.Dim("frames")
    shape = (2, 7, bins) if network.takes == "magnitude" else (2, 7, bins, 2)
    state_dims = tuple({0: streams} for _ in names)
    with _quiet():
        program = torch.onnx.export(
            _Step(folded, names),
            (torch.rand(shape), *state.values()),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            dynamic_shapes=({0: streams, 1: frames}, state_dims),
            input_names=[str(network.takes), *(STATE + n for n in names)],
            output_names=[GAIN, *(NEXT + n for n in names)],
        )
    proto = program.model_proto
    # The exporter notes the source lines of every node; models are shipped without them.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy in which each ``norm`` is folded into the layer beside it.

    The layer is called ``conv``, or ``linear`` where there is nothing else in the module.
    """
    copied = copy.deepcopy(network).eval()
    for module in list(copied.modules()):
        norm = getattr(module, "norm", None)
        if isinstance(norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, norm)
            module.norm = nn.Identity()
        for name, child in module.named_children():
            if isinstance(getattr(child, "norm", None), nn.BatchNorm1d):
                setattr(module, name, fuse_linear_bn_eval(child.linear, child.norm))
    return copied


@torch.no_grad()
def streaming_error(network: nn.Module, model: OnnxModel, seed: int = 7) -> float:
    """Return the largest difference between offline torch and streaming ONNX gains.

    Random speech-like levels, several streams, random portions of 1 to 40 frames.

    Args:
        network: in evaluation mode.
        model: its exported form.
        seed: draws signal and portions.
    """
    rng = np.random.default_rng(seed)
    shape = (3, 400, model.bins)
    level = 10 ** rng.uniform(-4, -0.5, (3, 400, 1))
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) * level
    spectrum = spectrum.astype(np.complex64)
    offline = gains(network, torch.from_numpy(spectrum), network.start(3))[0].numpy()
    state, streamed, place = model.start(3), [], 0
    while place < shape[1]:
        portion = spectrum[:, place : place + int(rng.integers(1, 41))]
        gain, state = model.step(portion, state)
        streamed.append(gain)
        place += portion.shape[1]
    return float(np.abs(np.concatenate(streamed, axis=1) - offline).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about its own internals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
