"""Patch models: a network that sees the last frames as a picture, and gives the newest gains.

Every ``emit_frames`` frames of a stream its network is run once, on the patch of the last
``window_frames`` frames; the gains of the newest ones come out one by one from then on. So
a gain comes ``emit_frames`` - 1 frames late. Two patches that follow each other do not agree
about the border between them, so the first half of the new gains is moved towards the last gain
before, less and less.

The graph takes ``magnitude`` ``[streams, frames, bins]``, the newest frames, and
``state.history`` ``[streams, window - 1, bins]``, those before. It gives ``gain``
``[streams, frames + 1, bins]``, of which the first is another estimate for the last frame
before, and ``next.history``.

Where many frames come at once, patches that follow each other share a forward pass.
"""

import copy
import multiprocessing
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from rtdenoise.binding import Step
from rtdenoise.float16 import with_float16
from rtdenoise.gpu import find_place
from rtdenoise.model import Card, Model, ModelError, State
from rtdenoise.onnx_graph import STATE, Graph, GraphState
from rtdenoise.patch_state import HISTORY, PatchState
from rtdenoise.stft import ComplexArray, FloatArray

MAGNITUDE, GAIN = "magnitude", "gain"

CPU_PATCHES = 8
"""Most patches of a forward pass on a CPU: each takes a seventh less time than alone; more are
no faster, and take memory (resunet with ResNet101, one core)."""

GPU_PATCHES = 64
"""Most patches of a forward pass on a GPU. Fewer are filled up to a power of two, so that
few shapes are to be prepared."""


class PatchModel(Model):
    """A trained patch model.

    Args:
        folder: holds ``model.onnx`` and ``card.json``, which has the entry ``patch``.
        device: as :func:`rtdenoise.gpu.find_place` takes it.
        emit_frames: frames between two passes, 1 to ``window_frames`` - 1; None for what the
            card says.

    Attributes:
        window_frames: of a patch.
        emit_frames: frames between two passes.
        is_chosen: whether ``emit_frames`` was asked for.

    Raises:
        ModelError: the files cannot be used, or not on this device, or ``emit_frames`` not.
    """

    def __init__(self, folder: Path, device: str = "cpu", emit_frames: int | None = None) -> None:
        self.card = Card.read(folder / "card.json")
        self.window_frames, self.emit_frames = _patch_entry(self.card, folder)
        self._name, self.is_chosen = self.card.name, False
        self._place = find_place(device)
        self.device = self._place.name
        threads = _threads() if self._place.is_host else 1
        self._graph = Graph(folder / "model.onnx", self._place, threads)
        shape = self._graph.state_shapes.get(HISTORY)
        if shape != (self.window_frames - 1, self.bins):
            raise ModelError(
                f"{folder}: the graph's history is {shape}, not the "
                f"({self.window_frames - 1}, {self.bins}) of the card"
            )
        if self._place.kind == "cuda":  # TensorRT decides for itself
            self._graph = with_float16(self._graph, self._picture(), GAIN)
        self._most_patches = CPU_PATCHES if self._place.is_host else GPU_PATCHES
        self._steps: dict[tuple[int, int], Step] = {}
        self._lock = threading.Lock()
        if emit_frames is not None:
            self._choose(emit_frames)

    def _picture(self) -> dict[str, FloatArray]:
        """Return a patch with a voice in it: harmonics that rise and pause, over soft noise."""
        frame, bin_ = np.arange(self.window_frames)[:, np.newaxis], np.arange(self.bins)
        voice = (1 + np.cos(2 * np.pi * bin_ / (5 + frame / 32))) * (np.sin(frame / 5) > 0)
        noise = np.random.default_rng(1).rayleigh(0.1, voice.shape)
        patch = (0.02 * 10 ** (-bin_ / 80) * (voice + noise)).astype(np.float32)[np.newaxis]
        return {MAGNITUDE: patch[:, -1:], STATE + HISTORY: patch[:, :-1]}

    def with_emit_frames(self, emit_frames: int) -> Self:
        """Return the same model with other frames between two passes; the network is shared.

        Raises:
            ModelError: ``emit_frames`` is not 1 to ``window_frames`` - 1.
        """
        other = copy.copy(self)
        other._choose(emit_frames)
        return other

    def _choose(self, emit_frames: int) -> None:
        name = self._name
        if not 1 <= emit_frames < self.window_frames:
            raise ModelError(
                f"{name}@{emit_frames}: the frames between two passes must be "
                f"1 to {self.window_frames - 1}"
            )
        self.emit_frames, self.is_chosen = emit_frames, True
        # Its rows in tables, and its lines in a live run, say which it is.
        self.card = replace(
            self.card, name=f"{name}@{emit_frames}", lookahead_frames=emit_frames - 1
        )

    @property
    def frames_per_step(self) -> int:
        """Frames whose patches fill a forward pass."""
        return self._most_patches * self.emit_frames

    @property
    def hops_per_burst(self) -> int:
        """One hop of so many has all the work."""
        return self.emit_frames

    def start(self, streams: int) -> State:
        """Return the state of streams that have heard nothing."""
        device = None
        if self.emit_frames == 1 and not self._place.is_host:
            device = GraphState(self._graph, streams)
        return PatchState(streams, self.window_frames, self.emit_frames, self.bins, device)

    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray | ComplexArray, State]:
        """Return the gains that are due; see :meth:`Model.step`. The state is changed in place.

        Streams may have begun at different hops: each has its own time of the next pass.
        """
        assert isinstance(state, PatchState), "the state of another model"
        if state.device is not None and spectrum.shape[1] == 1:
            return self._hop(spectrum, state, state.device), state
        magnitude = np.abs(spectrum)
        emit, frames = self.emit_frames, magnitude.shape[1]
        timeline, now = state.push(magnitude)
        passes = (state.count + frames) // emit
        columns = state.gain[:, np.newaxis]  # [streams, passes, emit_frames, bins]
        if passes.any():
            ends = state.count[:, np.newaxis] + np.arange(1, frames + 1)
            stream, frame = np.nonzero(ends % emit == 0)
            number = ends[stream, frame] // emit
            estimates = self._estimates(timeline, stream, now + frame + 1)
            columns = np.zeros((len(passes), passes.max() + 1, *state.gain.shape[1:]), np.float32)
            columns[:, 0] = state.gain
            columns[stream, number] = estimates[:, 1:]
            # A fade ends before the last column, so that is final before any fade.
            border = columns[stream, number - 1, -1] - estimates[:, 0]
            border[(number == 1) & ~state.has_passed[stream]] = 0
            fade = emit // 2
            weight = 1 - np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
            moved = columns[stream, number, :fade] + weight[:, np.newaxis] * border[:, np.newaxis]
            columns[stream, number, :fade] = moved.clip(0, 1)
        every = np.arange(len(passes))
        in_row = columns.reshape(len(passes), -1, self.bins)
        shown = state.count[:, np.newaxis] + np.arange(1, frames + 1)
        gain = in_row[every[:, np.newaxis], shown]
        if passes.any():
            state.gain[...] = columns[every, passes]
            state.has_passed |= passes > 0
        state.count[...] = (state.count + frames) % emit
        return gain, state

    def _estimates(
        self, timeline: FloatArray, stream: npt.NDArray[np.intp], end: npt.NDArray[np.intp]
    ) -> FloatArray:
        """Return the newest gains of patches, and one before: ``[patches, emit_frames + 1, bins]``.

        Args:
            timeline: magnitudes ``[streams, frames, bins]``.
            stream: of each patch.
            end: index of the frame after each patch's newest.
        """
        before = self.window_frames - 1
        first = (end - before - self.emit_frames)[:, np.newaxis]
        found = np.empty((len(stream), self.emit_frames + 1, self.bins), np.float32)
        for start in range(0, len(stream), self._most_patches):
            some = slice(start, start + self._most_patches)
            row = stream[some, np.newaxis]
            history = timeline[row, first[some] + np.arange(before)]
            newest = timeline[row, first[some] + before + np.arange(self.emit_frames)]
            found[some] = self._forward(newest, history)
        return found

    def _forward(self, newest: FloatArray, history: FloatArray) -> FloatArray:
        """Run the network on some patches."""
        if self._place.is_host:
            return self._graph.run({MAGNITUDE: newest, STATE + HISTORY: history}, GAIN)
        count, emit = len(newest), self.emit_frames
        size = 1 << (count - 1).bit_length()
        with self._lock:  # its arrays are shared by all that use the model
            if (size, emit) not in self._steps:
                self._steps[size, emit] = Step(
                    self._graph,
                    emit,
                    {MAGNITUDE: newest.shape[1:], STATE + HISTORY: history.shape[1:]},
                    {GAIN: (emit + 1, self.bins)},
                    GraphState(self._graph, size, is_empty=True),
                )
            step = self._steps[size, emit]
            step.inputs[MAGNITUDE][:count] = newest
            step.inputs[STATE + HISTORY][:count] = history
            return step.run()[GAIN][:count].copy()

    def _hop(self, spectrum: ComplexArray, state: PatchState, device: GraphState) -> FloatArray:
        """Run a pass for the newest frame of all streams, whose history stays on the device."""
        if state.hop is None:
            state.hop = Step(
                self._graph, 1, {MAGNITUDE: (1, self.bins)}, {GAIN: (2, self.bins)}, device
            )
        np.abs(spectrum, out=state.hop.inputs[MAGNITUDE])
        return state.hop.run()[GAIN][:, 1:].copy()


def _patch_entry(card: Card, folder: Path) -> tuple[int, int]:
    """Return ``window_frames`` and ``emit_frames`` of a card.

    Raises:
        ModelError: they are not there, or cannot be.
    """
    try:
        entry = card.details["patch"]
        window, emit = int(entry["window_frames"]), int(entry["emit_frames"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'card.json'}: no valid patch entry ({error!r})") from error
    if not 1 <= emit < window or card.lookahead_frames != emit - 1:
        raise ModelError(
            f"{folder / 'card.json'}: emit_frames {emit} of window_frames {window} does not go "
            f"with lookahead_frames {card.lookahead_frames}"
        )
    return window, emit


def _threads() -> int:
    """Return how many threads share a patch on the CPU: all, or one in a process of a pool."""
    if multiprocessing.parent_process() is not None:
        return 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
