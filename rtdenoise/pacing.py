"""Measures hops when they are due, as a sound card delivers them, and not back to back."""

import time
from dataclasses import dataclass

import numpy as np

from rtdenoise.bench import WARM_UP_HOPS, impulse_latency_samples
from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Model

SPIN_S = 0.0002
"""The clock is watched for this long before a hop is due: a sleep ends late by chance."""


@dataclass(frozen=True)
class PacedBench:
    """What was measured of one model at one rate, a hop at a time when it was due.

    Attributes:
        model: its name.
        rate: sample rate in Hz.
        latency_ms: algorithmic latency, found with an impulse.
        hop_ms: time from one hop to the next.
        hops: how many were measured; fewer than asked for if the model could not keep up.
        p50_ms: median time that a hop takes.
        p95_ms: time that 95 of 100 hops take at most.
        p99_ms: time that 99 of 100 hops take at most.
        max_ms: time that the slowest hop takes.
        missed: hops that were not done when the next one was due.
    """

    model: str
    rate: int
    latency_ms: float
    hop_ms: float
    hops: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    missed: int

    @property
    def p99_share(self) -> float:
        """What 99 of 100 hops need at most of the time that there is, 1 for all of it."""
        return self.p99_ms / self.hop_ms


def measure_paced(model: Model, rate: int, seconds: float = 10.0) -> PacedBench:
    """Measure a model on noise of a talker's level, each hop when a live one would come.

    A hop costs more this way than back to back: while the program sleeps between two hops,
    others use the caches and the processor's clock goes down. Live use pays that price.

    A hop that comes late does not move those after it, so one slow hop can make several
    miss their deadline, as it would live.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        seconds: of audio; it takes that long.

    Raises:
        AudioError: the rate cannot be used.
    """
    denoiser = Denoiser(rate, model)
    hop = model.config.hop_samples(rate)
    hop_s = hop / rate
    hops = max(1, round(seconds / hop_s))
    noise = 0.05 * np.random.default_rng(1).normal(size=(WARM_UP_HOPS + hops, hop))
    blocks = noise.astype(np.float32)
    for block in blocks[:WARM_UP_HOPS]:
        denoiser.process(block)
    taken_s: list[float] = []
    missed = 0
    begin = time.perf_counter() + hop_s
    for number, block in enumerate(blocks[WARM_UP_HOPS:]):
        _wait_until(begin + number * hop_s)
        start = time.perf_counter()
        denoiser.process(block)
        end = time.perf_counter()
        taken_s.append(end - start)
        missed += end > begin + (number + 1) * hop_s
        if end > begin + hops * hop_s:  # who cannot keep up shall not take for ever
            break
    p50, p95, p99 = np.percentile(taken_s, (50, 95, 99)) * 1000
    return PacedBench(
        model=model.card.name,
        rate=rate,
        latency_ms=1000 * impulse_latency_samples(model, rate) / rate,
        hop_ms=1000 * hop_s,
        hops=len(taken_s),
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=1000 * max(taken_s),
        missed=missed,
    )


def _wait_until(due: float) -> None:
    """Sleep until shortly before a time of the performance counter, then watch it."""
    left = due - time.perf_counter()
    if left > SPIN_S:
        time.sleep(left - SPIN_S)
    while time.perf_counter() < due:
        pass
