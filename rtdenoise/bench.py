"""Measures what a model costs and how long it makes one wait, through the whole path."""

import time
from dataclasses import dataclass

import numpy as np

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Model

WARM_UP_HOPS = 50


@dataclass(frozen=True)
class Bench:
    """What was measured of one model at one rate, on one core.

    Attributes:
        model: its name.
        rate: sample rate in Hz.
        latency_ms: algorithmic latency, found with an impulse.
        hop_p50_ms: median time that a hop takes.
        hop_p99_ms: time that 99 of 100 hops take at most.
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


def measure(model: Model, rate: int, seconds: float = 10.0) -> Bench:
    """Measure a model on noise of a talker's level.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        seconds: of audio, for each of the two speeds.
    """
    denoiser = Denoiser(rate, model)
    hop = model.config.hop_samples(rate)
    hops = max(1, round(seconds * rate / hop))
    rng = np.random.default_rng(1)
    audio = (0.05 * rng.normal(size=(hops + WARM_UP_HOPS) * hop)).astype(np.float32)
    blocks = audio.reshape(-1, hop)
    for block in blocks[:WARM_UP_HOPS]:
        denoiser.process(block)
    taken_s = np.empty(hops)
    for k, block in enumerate(blocks[WARM_UP_HOPS:]):
        start = time.perf_counter()
        denoiser.process(block)
        taken_s[k] = time.perf_counter() - start
    start = time.perf_counter()
    denoiser.process(audio)
    whole_s = time.perf_counter() - start
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
