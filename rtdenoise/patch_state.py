"""What a patch model remembers of each stream between frames."""

from collections.abc import Iterable

import numpy as np

from rtdenoise.binding import Step
from rtdenoise.model import State
from rtdenoise.onnx_graph import GraphState
from rtdenoise.stft import FloatArray

HISTORY = "history"
"""What the graph calls the frames before the newest."""

SPARE_FRAMES = 64
"""Room for frames, so that those before need not be moved at each hop."""


class PatchState(State):
    """What a patch model remembers of streams: frames, and gains that are still to come out.

    Where every frame has a pass and a GPU makes it, the frames are kept there. Where not,
    streams have their passes at different hops; what a pass needs of them is gathered here and
    sent with it, 40 kB a stream, which is little beside the pass.

    Args:
        streams: how many.
        window_frames: of a patch.
        emit_frames: between two passes.
        bins: of a frame.
        device: state of the graph, where frames are kept on the device.

    Attributes:
        count: frames since the last pass, int64 ``[streams]``.
        has_passed: whether there was one, bool ``[streams]``.
        gain: of the last pass, float32 ``[streams, emit_frames, bins]``.
        hop: step of a single hop, made when there is the first.
    """

    def __init__(
        self,
        streams: int,
        window_frames: int,
        emit_frames: int,
        bins: int,
        device: GraphState | None,
    ) -> None:
        self.device = device
        self.hop: Step | None = None
        # Before the newest frame come those that its patch may begin with.
        self._kept = window_frames + emit_frames - 2
        self._end = self._kept
        self.count = np.zeros(streams, np.int64)
        self.has_passed = np.zeros(streams, np.bool_)
        self.gain = np.zeros((streams, emit_frames, bins), np.float32)
        room = self._kept + SPARE_FRAMES if device is None else 0
        self._past = np.zeros((streams, room, bins), np.float32)
        super().__init__(
            {
                "past": self._past,
                "count": self.count,
                "has_passed": self.has_passed,
                "gain": self.gain,
            }
        )

    def push(self, magnitude: FloatArray) -> tuple[FloatArray, int]:
        """Take frames; return a timeline ``[streams, frames, bins]`` and where they begin in it.

        Before them is as much as their patches need.
        """
        frames = magnitude.shape[1]
        if self.device is not None:
            history = self.device.now[HISTORY].fetch()
            timeline = np.concatenate((history, magnitude), axis=1)
            self.device.restore({HISTORY: timeline[:, frames:]})
            return timeline, self._kept
        if self._end + frames > self._past.shape[1]:
            before = self._past[:, self._end - self._kept : self._end]
            if self._kept + frames > self._past.shape[1]:
                timeline = np.concatenate((before, magnitude), axis=1)
                self._past[:, : self._kept] = timeline[:, frames:]
                self._end = self._kept
                return timeline, self._kept
            self._past[:, : self._kept] = before.copy()  # the two may overlap
            self._end = self._kept
        start, self._end = self._end, self._end + frames
        self._past[:, start : self._end] = magnitude
        return self._past, start

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        if self.device is not None:
            self.device.reset()

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget some streams: they begin anew, the others go on."""
        numbers = list(rows)
        super().reset_rows(numbers)
        if self.device is not None:
            self.device.reset_rows(numbers)

    def copy_row(self, source: State, row: int) -> None:
        """Make the first stream what one of another state of the same model is."""
        assert isinstance(source, PatchState), "the state of another model"
        for name in ("count", "has_passed", "gain"):
            self.arrays[name][0] = source.arrays[name][row]
        if self.device is not None and source.device is not None:
            self.device.copy_row(source.device, row)
        else:
            past = source._past[row, source._end - source._kept : source._end]
            self._past[0, self._end - self._kept : self._end] = past
