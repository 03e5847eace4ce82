"""Trained models: an ONNX graph with explicit, named state, run by ONNX Runtime.

The graph takes ``magnitude`` ``[streams, frames, bins]`` and gives ``gain`` of that shape,
or it takes ``spectrum`` and gives ``gain``, both ``[streams, frames, bins, 2]``: real and
imaginary part. For each piece of state it has an input ``state.NAME`` and an output
``next.NAME``, whose axis of streams is named ``streams``, or ``21*streams`` where each has so many
rows there, one stream's behind the other's.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rtdenoise.binding import Step
from rtdenoise.gpu import find_place
from rtdenoise.model import Card, Model, State
from rtdenoise.onnx_graph import NEXT, STATE, Graph, GraphState
from rtdenoise.stft import ComplexArray, FloatArray

__all__ = ["GAIN", "MAGNITUDE", "NEXT", "SPECTRUM", "STATE", "OnnxModel"]

MAGNITUDE, SPECTRUM, GAIN = "magnitude", "spectrum", "gain"


class OnnxModel(Model):
    """A trained model.

    Args:
        folder: holds ``model.onnx`` and ``card.json``.
        device: as :func:`rtdenoise.gpu.find_place` takes it.

    Raises:
        ModelError: the files cannot be used, or not on this device.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.card = Card.read(folder / "card.json")
        place = find_place(device)
        self.device = place.name
        # One hop is too little work to share out: one thread.
        self._graph = Graph(folder / "model.onnx", place)
        self._input = MAGNITUDE if MAGNITUDE in self._graph.inputs else SPECTRUM
        self._values = () if self._input == MAGNITUDE else (2,)  # real and imaginary part

    def start(self, streams: int) -> State:
        """Return zeros in the shapes that the graph declares."""
        return _OnnxState(self._graph, streams)

    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray | ComplexArray, State]:
        """Run the graph; see :meth:`Model.step`. The state is changed in place."""
        assert isinstance(state, _OnnxState), "the state of another model"
        if spectrum.shape[1] == 1:
            if state.hop is None:
                state.hop = self._hop(state)
            self._fill(state.hop.heard, spectrum)
            state.hop.step.run()
            return state.hop.gain.copy(), state
        feed = np.empty((*spectrum.shape, *self._values), np.float32)
        self._fill(self._seen(feed), spectrum)
        return self._seen(self._graph.run({self._input: feed}, GAIN, state)), state

    def _hop(self, state: "_OnnxState") -> "_Hop":
        """Return what takes a step of one frame."""
        shape = (1, self.bins, *self._values)
        is_single = state.streams == 1 and self._graph.place.is_host
        session = self._graph.single if is_single else None
        step = Step(self._graph, 1, {self._input: shape}, {GAIN: shape}, state, session)
        return _Hop(step, self._seen(step.inputs[self._input]), self._seen(step.outputs[GAIN]))

    def _seen(self, array: FloatArray) -> FloatArray | ComplexArray:
        """Return an array of the graph with a complex number where it has two parts."""
        return array if self._input == MAGNITUDE else array.view(np.complex64)[..., 0]

    def _fill(self, seen: FloatArray | ComplexArray, spectrum: ComplexArray) -> None:
        """Write a spectrum as the graph takes it."""
        if self._input == MAGNITUDE:
            np.abs(spectrum, out=seen)
        else:
            seen[...] = spectrum


class _Hop(NamedTuple):
    """A step of one frame, and its input and output, bound once."""

    step: Step
    heard: FloatArray | ComplexArray
    gain: FloatArray | ComplexArray


class _OnnxState(GraphState):
    """State with the step of a single hop, made when there is the first."""

    hop: _Hop | None = None
