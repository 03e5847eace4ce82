"""Writes a trained network as an ONNX graph with explicit state, and proves it right.

The graph is a step of the network: frames and state in, gains and state out, for any
number of streams and frames. Of a network that sees patches it is one look at a patch: new
frames and the history of magnitudes in, the gains of the new frames and of the one before
them out. Batch norm is folded into the convolutions. A graph whose streaming output differs
from the network's offline output is not written.
"""

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from rtdenoise.model import REFERENCE_RATE_HZ, Model, load_model
from rtdenoise.onnx_model import GAIN, MAGNITUDE, NEXT, STATE
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.exported import read_exported
from rtdenoise.train.fold import fold_batch_norm
from rtdenoise.train.networks import gains, lookahead_frames
from rtdenoise.train.networks.resunet import ResUNet
from rtdenoise.train.offsets import with_moved_offsets
from rtdenoise.train.onnx_layers import OPSET, with_onnx_layers
from rtdenoise.train.quantize import store_as_int8

TOLERANCE = 1e-4
"""Largest difference between streaming and offline gains that an export may have."""

WEIGHTS = ("float32", "int8")
"""How weights can be stored; they compute in float32 either way."""

HISTORY = "history"
"""Name of the one piece of state of a patch graph."""


class ExportError(DataError):
    """The exported graph does not compute what the network computes."""


def export(
    checkpoint: Checkpoint,
    folder: Path,
    description: str,
    data: str,
    licence: str,
    limit_db: float | None = None,
    weights: str | None = None,
) -> float:
    """Write ``model.onnx`` and ``card.json``.

    Args:
        checkpoint: the trained network.
        folder: where to write; created. Its name is the model's.
        description: one line for the card.
        data: what it was trained on, with sources and licences, for the card.
        licence: of the weights.
        limit_db: attenuation limit that suits the model, if any.
        weights: ``float32``, or ``int8`` with scales (see :mod:`rtdenoise.train.quantize`),
            which is what networks of patches are stored as unless told otherwise.

    Returns:
        largest difference found between streaming and offline gains, with the weights as
        they are stored.

    Raises:
        DataError: there is no such way to store these weights.
        ExportError: the gains differ by more than 1e-4. Nothing is written then.
    """
    network = checkpoint.build()
    patches = isinstance(network, ResUNet)
    weights = weights or ("int8" if patches else "float32")
    if weights not in WEIGHTS:
        raise DataError(f"weights {weights!r} are unknown; use {' or '.join(WEIGHTS)}")
    card = {
        "name": folder.resolve().name,
        "description": description,
        "licence": licence,
        "stft": asdict(checkpoint.stft),
        "lookahead_frames": lookahead_frames(network),
        "limit_db": limit_db,
        "network": {
            "class": checkpoint.network,
            "arguments": checkpoint.arguments,
            "parameters": sum(p.numel() for p in network.parameters()),
            "weights": weights,
        },
        "training": {
            "taught": taught(checkpoint.recipe),
            "steps": checkpoint.step,
            "data": data,
            "recipe": checkpoint.recipe,
            "validation": checkpoint.scores,
        },
    }
    if patches:
        card["patch"] = {
            "window_frames": network.window_frames,
            "emit_frames": network.emit_frames,
        }
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        bins = checkpoint.stft.bins(REFERENCE_RATE_HZ)
        write_graph(network, bins, made / "model.onnx", weights)
        (made / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        if weights == "float32":
            error = streaming_error(network, load_model(made))
        else:
            # Two steps, as rounded weights do not compute what the network does.
            error = streaming_error(read_exported(made)[0], load_model(made))
            error = max(error, folding_error(network, bins))
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


class _Look(nn.Module):
    """One look at a patch, with its history as a positional tensor."""

    def __init__(self, network: ResUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        return self.network.newest(frames, *arrays)


def write_graph(network: nn.Module, bins: int, path: Path, weights: str = "float32") -> None:
    """Write the network's step, or its look at a patch, as ONNX.

    Args:
        network: in evaluation mode; not changed.
        bins: frequency bins of a frame.
        path: file to write.
        weights: how to store them, one of ``WEIGHTS``.
    """
    folded = with_onnx_layers(with_moved_offsets(fold_batch_norm(network)))
    state = folded.start(2)
    alone = folded.start(1)
    if isinstance(network, ResUNet):
        state = {HISTORY: state[HISTORY]}
        step, most = _Look(folded), network.window_frames - 1
    else:
        step, most = _Step(folded, list(state)), None
    names = list(state)
    streams, frames = torch.export.Dim("streams"), torch.export.Dim("frames", max=most)
    shape = (2, 7, bins) if network.takes == MAGNITUDE else (2, 7, bins, 2)
    state_dims = tuple(_growing(alone[n], state[n], streams) for n in names)
    with _quiet():
        program = torch.onnx.export(
            step,
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
    if weights == "int8":
        store_as_int8(proto.graph)
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def _growing(one: Tensor, two: Tensor, streams: Any) -> dict[int, Any]:
    """Return the axis on which the state of one stream and of two differ, and its size."""
    axis = next(k for k, size in enumerate(two.shape) if size != one.shape[k])
    rows = one.shape[axis]
    return {axis: streams if rows == 1 else rows * streams}


@torch.no_grad()
def streaming_error(network: nn.Module, model: Model, seed: int = 7) -> float:
    """Return the largest difference between offline torch and streaming ONNX gains.

    Random speech-like levels, several streams, random portions of 1 to 40 frames.

    Args:
        network: in evaluation mode.
        model: its exported form.
        seed: draws signal and portions.
    """
    rng = np.random.default_rng(seed)
    spectrum = _noise(rng, model.bins)
    shape = spectrum.shape
    offline = gains(network, torch.from_numpy(spectrum), network.start(3))[0].numpy()
    state, streamed, place = model.start(3), [], 0
    while place < shape[1]:
        portion = spectrum[:, place : place + int(rng.integers(1, 41))]
        gain, state = model.step(portion, state)
        streamed.append(gain)
        place += portion.shape[1]
    late = model.lookahead_frames  # the first gains stand for nothing
    return float(np.abs(np.concatenate(streamed, axis=1) - offline)[:, late:].max())


@torch.no_grad()
def folding_error(network: nn.Module, bins: int, seed: int = 8) -> float:
    """Return the largest difference that folding batch norm makes to offline gains."""
    spectrum = torch.from_numpy(_noise(np.random.default_rng(seed), bins))
    folded = fold_batch_norm(network)
    before, after = (gains(n, spectrum, n.start(3))[0] for n in (network, folded))
    return float((after - before).abs().max())


def _noise(rng: np.random.Generator, bins: int) -> npt.NDArray[np.complex64]:
    """Return spectra of noise whose level changes from frame to frame: ``[3, 400, bins]``."""
    shape = (3, 400, bins)
    level = 10 ** rng.uniform(-4, -0.5, (*shape[:2], 1))
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) * level
    return spectrum.astype(np.complex64)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about its own internals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
