"""What a live run measures of itself, and the picture of one moment of it."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from rtdenoise.stft import FloatArray

SILENCE_DB = -120.0
"""What is quieter shows as this."""

KEPT_HOPS = 1000
"""Hops whose times of work make up the percentiles: 10 s of them."""

BALLISTICS = 0.1
"""Weight of the newest hop in the shown levels: they settle in about a tenth of a second."""


@dataclass(frozen=True)
class Delay:
    """The parts of the time from mouth to ear, in milliseconds.

    Attributes:
        device_in_ms: from the microphone to the program, as the driver states it.
        algorithm_ms: what the model must hear after a sample before it comes out.
        buffer_ms: held in reserve against late work and blocks unlike hops; the computing
            happens within it.
        device_out_ms: from the program to the loudspeaker, as the driver states it.
    """

    device_in_ms: float
    algorithm_ms: float
    buffer_ms: float
    device_out_ms: float

    @property
    def total_ms(self) -> float:
        """The sum of the parts."""
        return self.device_in_ms + self.algorithm_ms + self.buffer_ms + self.device_out_ms


@dataclass(frozen=True)
class Snapshot:
    """One moment of a live run.

    Attributes:
        elapsed_s: since the devices opened for the first time.
        waiting_for: what is missing while no sound flows; empty while it does.
        model: name of the model.
        input_db: level of the input, RMS in dB of full scale.
        input_peak_db: highest sample of the last second.
        output_db: level of what the model gives.
        output_peak_db: highest sample of the last second.
        reduction_db: by how much the model lowers the level, 0 or more.
        delay: from mouth to ear, in parts.
        nominal_ms: algorithm and buffer as they should be.
        compute_p50_ms: median time of work on a hop, over the last 10 s.
        compute_p99_ms: what 99 of 100 hops take at most.
        hop_ms: what they may take.
        underruns: times the output had nothing to play.
        overruns: times the input had nowhere to go, or the system lost some.
        stalls: times the work stood still for more than a quarter of a second.
        dropped_ms: audio left out to bring the delay down.
        repeated_ms: audio played twice to bring it up.
        bypass: whether the input is passed through.
        mix: share of the denoised signal.
        limit_db: most that anything is attenuated; may be infinite.
    """

    elapsed_s: float
    waiting_for: str
    model: str
    input_db: float
    input_peak_db: float
    output_db: float
    output_peak_db: float
    reduction_db: float
    delay: Delay
    nominal_ms: float
    compute_p50_ms: float
    compute_p99_ms: float
    hop_ms: float
    underruns: int
    overruns: int
    stalls: int
    dropped_ms: float
    repeated_ms: float
    bypass: bool
    mix: float
    limit_db: float

    @property
    def real_time_factor(self) -> float:
        """Median time of work over the time it may take."""
        return self.compute_p50_ms / self.hop_ms

    @property
    def xruns(self) -> int:
        """Underruns and overruns."""
        return self.underruns + self.overruns


def decibels(power: float) -> float:
    """Return a mean square as a level in dB, no less than :data:`SILENCE_DB`."""
    return max(SILENCE_DB, 10 * float(np.log10(max(power, 1e-30))))


class Levels:
    """Levels of input and output, and how much lower the second is."""

    def __init__(self) -> None:
        self._input = self._delayed = self._output = 0.0
        self._waiting: deque[float] = deque()
        self._peaks: tuple[deque[float], deque[float]] = (deque(maxlen=100), deque(maxlen=100))

    def hear(self, noisy: FloatArray, clean: FloatArray) -> None:
        """Take a hop of input and the output that became ready, in time with it or later.

        Args:
            noisy: float32 ``[channels, samples]``.
            clean: float32 ``[channels, samples]``; empty until the first is ready.
        """
        power = _power(noisy)
        self._waiting.append(power)
        self._input += BALLISTICS * (power - self._input)
        self._peaks[0].append(float(np.abs(noisy).max()))
        if not clean.size:
            return
        # The output of now is the input of a few hops ago: only those two compare.
        self._delayed += BALLISTICS * (self._waiting.popleft() - self._delayed)
        self._output += BALLISTICS * (_power(clean) - self._output)
        self._peaks[1].append(float(np.abs(clean).max()))

    @property
    def input_db(self) -> float:
        """RMS of the input."""
        return decibels(self._input)

    @property
    def output_db(self) -> float:
        """RMS of the output."""
        return decibels(self._output)

    @property
    def peaks_db(self) -> tuple[float, float]:
        """Highest sample of the last 100 hops, of input and output."""
        first, second = (max(peaks, default=0.0) for peaks in self._peaks)
        return decibels(first * first), decibels(second * second)

    @property
    def reduction_db(self) -> float:
        """By how much the output is below the input; 0 if it is not, or in silence."""
        return max(0.0, decibels(self._delayed) - decibels(self._output))


def _power(samples: FloatArray) -> float:
    return float(np.vdot(samples, samples)) / samples.size
