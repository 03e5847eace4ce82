"""Measures what a model costs and how long it makes one wait, through the whole path."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Model
from rtdenoise.stft import FloatArray

WARM_UP_HOPS = 50
PASSES = 5
"""The fastest pass counts: what slows the others down is not the model."""

ENOUGH_S = 20.0
"""No further pass begins after this time, for models that are far from keeping up."""


@dataclass(frozen=True)
class Bench:
    """What was measured of one model at one rate, on one core.

    Attributes:
        model: its name.
        rate: sample rate in Hz.
        latency_ms: algorithmic latency, found with an impulse.
        hop_p50_ms: median time that a hop takes, in the fastest pass.
        hop_p99_ms: time that 99 of 100 hops take at most, in the fastest pass.
        hop_rtf: real-time factor hop by hop: time taken over time of audio.
        file_rtf: real-time factor when the audio comes as one array.
    """

    model: str
    rate: int
    latency_ms: float
    hop_p50_ms: float
    hop_p99_ms: float
    hop_rtf: float
    file_rtf: float


def measure(model: Model, rate: int, seconds: float = 8.0) -> Bench:
    """Measure a model on noise of a talker's level, the best of five passes.

    A model so slow that its passes take more than 20 s gets fewer, but one at least.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        seconds: of audio in each pass.
    """
    denoiser = Denoiser(rate, model)
    hop = model.config.hop_samples(rate)
    hops = max(1, round(seconds * rate / hop))
    rng = np.random.default_rng(1)
    audio = (0.05 * rng.normal(size=(hops + WARM_UP_HOPS) * hop)).astype(np.float32)
    blocks = audio.reshape(-1, hop)
    for block in blocks[:WARM_UP_HOPS]:
        denoiser.process(block)
    taken_s = _fastest_s(denoiser, list(blocks[WARM_UP_HOPS:]))
    whole_s = float(_fastest_s(denoiser, [audio]).sum())
    p50, p99 = np.percentile(taken_s, (50, 99)) * 1000
    return Bench(
        model=model.card.name,
        rate=rate,
        latency_ms=1000 * impulse_latency_samples(model, rate) / rate,
        hop_p50_ms=float(p50),
        hop_p99_ms=float(p99),
        hop_rtf=float(taken_s.sum() / (hops * hop / rate)),
        file_rtf=whole_s / (audio.size / rate),
    )


def _fastest_s(denoiser: Denoiser, blocks: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
    """Return the time that each block takes in the fastest pass."""
    since = time.perf_counter()
    fastest = _hop_times_s(denoiser, blocks)
    for _ in range(PASSES - 1):
        if time.perf_counter() - since > ENOUGH_S:
            break
        fastest = min(fastest, _hop_times_s(denoiser, blocks), key=lambda times: times.sum())
    return fastest


def _hop_times_s(denoiser: Denoiser, blocks: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
    """Return the time that each block takes."""
    times = []
    for block in blocks:
        start = time.perf_counter()
        denoiser.process(block)
        times.append(time.perf_counter() - start)
    return np.array(times)


def impulse_latency_samples(model: Model, rate: int) -> int:
    """Return how many samples must go in, from an impulse on, before it comes out.

    The impulse stands at the beginning of a hop, where the wait is longest.
    """
    # Undenoised, the impulse comes out whole, after the time that denoising would take.
    denoiser = Denoiser(rate, model, mix=0.0)
    place = 20 * model.config.hop_samples(rate)
    out = denoiser.process(np.zeros(place, np.float32)).size
    for taken in range(1, 10 * rate):
        heard = denoiser.process(np.full(1, float(taken == 1), np.float32))
        if heard.size and np.abs(heard).max() > 0.5:
            assert out <= place < out + heard.size, "the output is not aligned with the input"
            return taken
        out += heard.size
    raise RuntimeError("the impulse did not come out within ten seconds")
