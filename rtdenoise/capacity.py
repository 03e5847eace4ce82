"""Finds how many live streams one core carries when they share a denoiser."""

import time
from collections.abc import Callable

import numpy as np

from rtdenoise.denoiser import MAX_CHANNELS, Denoiser
from rtdenoise.model import Model
from rtdenoise.stft import FloatArray

WARM_UP_HOPS = 5
HOPS = 100
LATE_HOPS = 1
"""This many of ``HOPS`` may be late: the 99th percentile is still in time."""

PASSES = 3
"""One good pass is enough: what spoils the others is not the model."""


def streams_per_core(model: Model, rate: int) -> int:
    """Return how many streams one core denoises hop by hop, all in one batch, in time.

    In time is a number of streams whose hops take, 99 times of 100, no longer than a hop
    lasts. The search takes about ten seconds at most.

    Args:
        model: what to run.
        rate: sample rate in Hz of each stream.

    Returns:
        0 to ``MAX_CHANNELS``, beyond which is not looked.

    Raises:
        AudioError: the rate cannot be used.
    """
    return largest(lambda streams: keeps_up(model, rate, streams), MAX_CHANNELS)


def largest(holds: Callable[[int], bool], most: int) -> int:
    """Return the largest number from 0 to ``most`` that something holds for.

    It must hold for all numbers below, too. Tries 1, 2, 4 and so on, then halves the gap.

    Example:
        >>> largest(lambda number: number * 0.7 <= 10, 64)
        14
    """
    good, bad = 0, 1
    while bad <= most and holds(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, most + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def keeps_up(model: Model, rate: int, streams: int) -> bool:
    """Return whether a batch of streams is denoised in time, hop by hop.

    Args:
        model: what to run.
        rate: sample rate in Hz.
        streams: 1 to ``MAX_CHANNELS``.

    Raises:
        AudioError: the rate or the number of streams cannot be used.
    """
    denoiser = Denoiser(rate, model, channels=streams)
    hop = model.config.hop_samples(rate)
    noise = 0.05 * np.random.default_rng(1).normal(size=(HOPS, streams, hop))
    blocks = noise.astype(np.float32)
    for block in blocks[:WARM_UP_HOPS]:
        denoiser.process(block)
    return any(_in_time(denoiser, blocks, hop / rate) for _ in range(PASSES))


def _in_time(denoiser: Denoiser, blocks: FloatArray, hop_s: float) -> bool:
    """Return whether all hops but ``LATE_HOPS`` are done within their time."""
    late = 0
    for block in blocks:
        start = time.perf_counter()
        denoiser.process(block)
        late += time.perf_counter() - start > hop_s
        if late > LATE_HOPS:  # the rest cannot mend it, and may take long
            return False
    return True
