"""Measures the true round trip: a chirp out of a loudspeaker, back in through a microphone.

The output must lead to the input: by a cable, by air, or as the monitor of a null sink. The
chirp is looked for by cross-correlation in what is heard, and in what the live path makes
of it, so both delays come from one run and differ by what the live path adds.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import scipy.signal

from rtdenoise.denoiser import Denoiser
from rtdenoise.devices import find_device
from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import Model
from rtdenoise.pipeline import Pipeline
from rtdenoise.stft import FloatArray
from rtdenoise.streams import Setting, Streams
from rtdenoise.worker import Worker, calm_interpreter

CHIRP_S = 0.25
PERIOD_S = 1.0
"""From one chirp to the next: the longest round trip that can be told."""

SETTLE_S = 1.5
"""Streams that have just opened have not found their pace."""

PATIENCE_S = 10.0
"""Streams that take longer than this to start never will."""

AUDIBLE = 8.0
"""The peak of the correlation over its median, at least: else it is not our chirp."""


class LoopbackError(RtdenoiseError):
    """The chirp does not come back."""


@dataclass(frozen=True)
class Loopback:
    """What was measured of one model between two devices.

    Attributes:
        model: its name.
        rate: sample rate in Hz.
        devices_ms: round trip through the devices alone.
        total_ms: round trip through the devices and the live path.
        algorithm_ms: the model's algorithmic latency.
        hop_ms: its hop.
        xruns: underruns and overruns in the time.
    """

    model: str
    rate: int
    devices_ms: float
    total_ms: float
    algorithm_ms: float
    hop_ms: float
    xruns: int

    @property
    def added_ms(self) -> float:
        """What the live path adds to passing the sound through."""
        return self.total_ms - self.devices_ms


def chirp(rate: int) -> FloatArray:
    """Return a period of silence that begins with a rising tone: float32 ``[samples]``."""
    t = np.arange(round(CHIRP_S * rate)) / rate
    tone = scipy.signal.chirp(t, 300, CHIRP_S, 3000) * scipy.signal.windows.tukey(t.size, 0.2)
    period = np.zeros(round(PERIOD_S * rate), np.float32)
    period[: t.size] = 0.5 * tone
    return period


def delay_samples(heard: FloatArray, period: FloatArray) -> float:
    """Return how late a signal repeats a period, the median over all its periods.

    Args:
        heard: float32 ``[samples]``, begun when a period began.
        period: float32 ``[samples]``.

    Raises:
        LoopbackError: the period is not in it.
    """
    size = period.size
    whole = heard[: heard.size // size * size]
    lags = []
    for start in range(0, whole.size - size, size):
        part = whole[start : start + 2 * size]
        match = np.abs(scipy.signal.correlate(part, period, "full", method="fft"))
        match = match[size - 1 : 2 * size - 1]
        place = int(match.argmax())
        if match[place] > AUDIBLE * np.median(match) and match[place] > 1e-4 * np.dot(
            period, period
        ):
            lags.append(place)
    if not lags:
        raise LoopbackError(
            "the chirp played on the output is not heard on the input; connect them (a cable, or "
            "the monitor of the output) and turn the volume up"
        )
    return float(np.median(lags))


class _Probe(Pipeline):
    """A live path whose output is kept, and a chirp played in its place."""

    def begin(self, rate: int, seconds: float) -> None:
        """Set up; before the streams open."""
        self._period = chirp(rate)
        samples = math.ceil(seconds * rate)
        self._heard, self._made = np.zeros(samples, np.float32), np.zeros(samples, np.float32)
        self._emitted = 0

    @property
    def is_done(self) -> bool:
        """Whether all that was asked for is kept."""
        return self._emitted >= self._heard.size

    def capture(self, block: FloatArray) -> None:
        """Keep what is heard where it could be played at the earliest."""
        place = slice(self._emitted, self._emitted + len(block))
        kept = self._heard[place]
        kept[:] = block[: kept.size, 0]
        super().capture(block)

    def play(self, block: FloatArray) -> None:
        """Keep what would be played, and play the chirp."""
        super().play(block)
        place = slice(self._emitted, self._emitted + len(block))
        kept = self._made[place]
        kept[:] = block[: kept.size, 0]
        numbers = np.arange(self._emitted, self._emitted + len(block)) % self._period.size
        block[:] = self._period[numbers, np.newaxis]
        self._emitted += len(block)

    def delays_samples(self) -> tuple[float, float]:
        """Return the delays of what was heard and of what was made of it."""
        size = self._period.size
        skip = math.ceil(SETTLE_S / PERIOD_S) * size
        return (
            delay_samples(self._heard[skip:], self._period),
            delay_samples(self._made[skip:], self._period),
        )


def measure_loopback(
    model: Model, source: str, sink: str, rate: int, seconds: float = 10.0
) -> Loopback:
    """Measure the round trip with and without a model. It makes a noise.

    Args:
        model: what to run. Its gains are computed but not used, or no chirp would pass it.
        source: input device, as :func:`rtdenoise.devices.find_device` takes it.
        sink: output device.
        rate: sample rate in Hz.
        seconds: how long.

    Raises:
        RtdenoiseError: the devices cannot be used, or the chirp does not come back.
    """
    heard, played = find_device(source, "input"), find_device(sink, "output")
    denoiser = Denoiser(rate, model, mix=0.0)
    hop_ms = model.config.hop_ms
    block = round(hop_ms / 2 * rate / 1000)
    setting = Setting(heard, played, rate, rate, block, block, 1, "low")
    probe = _Probe(
        denoiser,
        in_block=block,
        out_block=block,
        cushion_ms=hop_ms / 2,
        duplex=setting.is_duplex,
    )
    probe.begin(rate, seconds + SETTLE_S + 2 * PERIOD_S)
    with calm_interpreter(), Worker(probe) as worker:
        streams = Streams(setting, probe, worker.wake)
        try:
            end = time.monotonic() + seconds + SETTLE_S + PATIENCE_S
            while not probe.is_done and time.monotonic() < end:
                time.sleep(0.05)
                worker.check()
        finally:
            streams.close()
    devices, total = probe.delays_samples()
    return Loopback(
        model=model.card.name,
        rate=rate,
        devices_ms=1000 * devices / rate,
        total_ms=1000 * total / rate,
        algorithm_ms=denoiser.latency_ms,
        hop_ms=hop_ms,
        xruns=probe.counts.underruns + probe.counts.overruns,
    )
