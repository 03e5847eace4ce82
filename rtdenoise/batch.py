"""Streams that go through a model together: one forward pass for all of them, hop by hop."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.frontend import FrontEnd
from rtdenoise.gains import Gains
from rtdenoise.model import Model
from rtdenoise.stft import FloatArray

Each = Callable[..., Iterator[Any]]
"""Calls a function for each item, as :func:`map` does, perhaps in several threads."""


class Batch:
    """A fixed number of streams that advance together, each with its own past and options.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        streams: number of streams.
        parts: most front ends that share the streams; several threads can work on them.
    """

    def __init__(self, model: Model, rate: int, streams: int, parts: int = 1) -> None:
        self._model = model
        parts = min(parts, streams)
        edges = [streams * part // parts for part in range(parts + 1)]
        self._rows = [slice(*pair) for pair in pairwise(edges)]
        self._ends = [
            FrontEnd(model, rate, rate, rows.stop - rows.start, steady=True) for rows in self._rows
        ]
        self._state = model.start(streams)

    def push(self, samples: FloatArray, each: Each = map) -> FloatArray:
        """Take samples and return as many whole hops as they complete, beginning with silence.

        Args:
            samples: finite float32 ``[streams, samples]``, at least a hop.
            each: runs the front ends.

        Returns:
            float32 ``[streams, samples]``.
        """
        spectra = list(each(FrontEnd.analyse, self._ends, [samples[rows] for rows in self._rows]))
        gain, self._state = self._model.step(_joined(spectra), self._state)
        clean = each(FrontEnd.synthesise, self._ends, [gain[rows] for rows in self._rows])
        return _joined(list(clean))

    def gains(self, row: int) -> tuple[Gains, int]:
        """Return where limit and mix of a stream are, and its number there."""
        part, row = self._place(row)
        return self._ends[part].gains, row

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Let streams begin anew; the others go on."""
        numbers = list(rows)
        self._state.reset_rows(numbers)
        for part, row in map(self._place, numbers):
            self._ends[part].reset_rows([row])

    def copy_row(self, source: "Batch", row: int) -> None:
        """Make the one stream here what a stream of another batch is."""
        self._state.copy_row(source._state, row)
        part, row = source._place(row)
        self._ends[0].copy_row(source._ends[part], row)

    def _place(self, row: int) -> tuple[int, int]:
        """Return the front end that a stream has, and its number there."""
        part = next(number for number, rows in enumerate(self._rows) if row < rows.stop)
        return part, row - self._rows[part].start


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return arrays of several front ends as one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
