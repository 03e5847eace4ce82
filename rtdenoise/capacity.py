"""Measures many live streams on one device, and finds how many it carries."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rtdenoise.model import Model
from rtdenoise.multi import MultiDenoiser
from rtdenoise.stft import FloatArray

CORE_STREAMS = 256
"""Beyond this :func:`streams_per_core` does not look."""

WARM_UP_HOPS = 5
HOPS = 100
LATE_HOPS = 1
"""This many of ``HOPS`` may be late: the 99th percentile is still in time."""

PASSES = 3
"""One good pass is enough: what spoils the others is not the model."""

PATIENCE = 2
"""A measurement of so many seconds may take this many times as long."""


@dataclass(frozen=True)
class StreamsBench:
    """What was measured of a number of live streams on one device, hop by hop.

    Attributes:
        model: its name.
        device: that computes the model.
        rate: sample rate in Hz.
        latency_ms: algorithmic latency.
        streams: how many there were.
        hop_ms: time from one hop to the next: what there is for the work of all streams.
        hops: how many were measured; fewer than asked for if they took too long.
        mean_ms: time that a hop of all streams takes on average: if it is more than
            ``hop_ms``, no buffer helps.
        p50_ms: median of that time.
        p99_ms: time that 99 of 100 hops take at most.
    """

    model: str
    device: str
    rate: int
    latency_ms: float
    streams: int
    hop_ms: float
    hops: int
    mean_ms: float
    p50_ms: float
    p99_ms: float

    @property
    def p99_share(self) -> float:
        """What 99 of 100 hops need at most of the time that there is, 1 for all of it."""
        return self.p99_ms / self.hop_ms


def measure_streams(
    model: Model, rate: int, streams: int, *, threads: int = 1, seconds: float = 3.0
) -> StreamsBench:
    """Measure the hops of live streams, back to back, as a busy server has them.

    Streams of a model whose work comes in bursts have theirs at different hops, as callers
    have who did not come at the same time.

    Args:
        model: what to run, where it was loaded.
        rate: sample rate in Hz of each stream.
        streams: how many, 1 or more.
        threads: that share the work outside the model, and on a CPU that of its batches.
        seconds: of audio that are measured.

    Raises:
        AudioError: the rate or the number of streams or threads cannot be used.
    """
    multi, blocks = _callers(model, rate, streams, threads)
    hop_s = multi.hop_samples / rate
    hops = max(1, round(seconds / hop_s))
    taken_s: list[float] = []
    begin = time.perf_counter()
    while len(taken_s) < hops:
        start = time.perf_counter()
        multi.process(blocks[len(taken_s) % len(blocks)])
        end = time.perf_counter()
        taken_s.append(end - start)
        if end - begin > PATIENCE * seconds and len(taken_s) >= model.hops_per_burst:
            break
    p50, p99 = np.percentile(taken_s, (50, 99)) * 1000
    return StreamsBench(
        model=model.card.name,
        device=model.device,
        rate=rate,
        latency_ms=multi.latency_ms,
        streams=streams,
        hop_ms=1000 * hop_s,
        hops=len(taken_s),
        mean_ms=1000 * float(np.mean(taken_s)),
        p50_ms=float(p50),
        p99_ms=float(p99),
    )


def streams_per_core(model: Model, rate: int) -> int:
    """Return how many live streams one core carries, up to ``CORE_STREAMS``.

    The search takes about ten seconds; see :func:`most_streams`.
    """
    return most_streams(model, rate, CORE_STREAMS)


def most_streams(
    model: Model, rate: int, most: int, *, threads: int = 1, precision: float = 0.0
) -> int:
    """Return how many live streams are denoised in time, hop by hop.

    In time is a number of streams whose hops take, 99 times of 100, no longer than a hop
    lasts.

    Args:
        model: what to run, where it was loaded.
        rate: sample rate in Hz of each stream.
        most: beyond this number is not looked.
        threads: as for :func:`measure_streams`.
        precision: share of the result by which it may be too small: 0 searches longest.

    Raises:
        AudioError: the rate or the number of threads cannot be used.
    """
    return largest(lambda streams: keeps_up(model, rate, streams, threads), most, precision)


def largest(holds: Callable[[int], bool], most: int, precision: float = 0.0) -> int:
    """Return the largest number from 0 to ``most`` that something holds for.

    It must hold for all numbers below, too. Tries 1, 2, 4 and so on, then halves the gap
    until it is 1, or less than ``precision`` times the number found.

    Example:
        >>> largest(lambda number: number * 0.7 <= 10, 64)
        14
    """
    good, bad = 0, 1
    while bad <= most and holds(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, most + 1)
    while bad - good > max(1, precision * good):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def keeps_up(model: Model, rate: int, streams: int, threads: int = 1) -> bool:
    """Return whether live streams are denoised in time, hop by hop.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        streams: 1 or more.
        threads: as for :func:`measure_streams`.

    Raises:
        AudioError: the rate or the number of streams or threads cannot be used.
    """
    multi, blocks = _callers(model, rate, streams, threads)
    return any(_in_time(multi, blocks) for _ in range(PASSES))


def _callers(
    model: Model, rate: int, streams: int, threads: int
) -> tuple[MultiDenoiser, list[FloatArray]]:
    """Return live streams under way, and hops of a talker's level for all of them."""
    multi = MultiDenoiser(rate, model, streams=streams, threads=threads)
    noise = 0.05 * np.random.default_rng(1).normal(size=(streams, 8 * multi.hop_samples))
    blocks = np.split(noise.astype(np.float32), 8, axis=1)
    burst = model.hops_per_burst
    for hop in range(burst):
        for _ in range(hop, streams, burst):
            multi.join()
        multi.process(blocks[hop % len(blocks)])
    for hop in range(max(WARM_UP_HOPS, burst if burst > 1 else 0)):
        multi.process(blocks[hop % len(blocks)])
    return multi, blocks


def _in_time(multi: MultiDenoiser, blocks: list[FloatArray]) -> bool:
    """Return whether all hops but ``LATE_HOPS`` are done within their time."""
    hop_s = multi.hop_samples / multi.rate
    late = 0
    for hop in range(HOPS):
        start = time.perf_counter()
        multi.process(blocks[hop % len(blocks)])
        late += time.perf_counter() - start > hop_s
        if late > LATE_HOPS:  # the rest cannot mend it, and may take long
            return False
    return True
