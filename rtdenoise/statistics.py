"""How sure a mean over clips is.

Reference:
    B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds it at some level of confidence.

    Attributes:
        mean: NaN if there was no value.
        low: lower end.
        high: upper end.
        count: values that went into the mean.
        missing: NaN gaps, which did not.
    """

    mean: float
    low: float
    high: float
    count: int
    missing: int


def bootstrap_mean(
    values: Iterable[float], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean and its percentile bootstrap interval.

    The clips are drawn anew with replacement, many times over; the interval holds the
    middle share of the means that result. It assumes nothing of how scores are spread.

    Args:
        values: one for each clip; NaN where there is none.
        level: share of the means inside the interval, between 0 and 1.
        resamples: how often the clips are drawn.
        seed: of the draws; the same one gives the same interval.

    Raises:
        ValueError: ``level`` or ``resamples`` is out of range.
    """
    given = np.fromiter(values, np.float64)
    return bootstrap_ratio(given, np.ones(given.size), level, resamples, seed)


def bootstrap_ratio(
    counts: Iterable[float],
    totals: Iterable[float],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the ratio of two sums over clips, such as a word error rate, and its interval.

    Args:
        counts: one for each clip, such as its errors; NaN where there is none.
        totals: the same, such as its words.
        level: as for :func:`bootstrap_mean`, like the rest.
        resamples: how often the clips are drawn.
        seed: of the draws.

    Raises:
        ValueError: ``level`` or ``resamples`` is out of range.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} or resamples {resamples} is out of range")
    above, below = np.fromiter(counts, np.float64), np.fromiter(totals, np.float64)
    known = ~np.isnan(above) & ~np.isnan(below)
    missing = int(known.size - known.sum())
    above, below = above[known], below[known]
    if not below.any():
        return Interval(np.nan, np.nan, np.nan, 0, missing)
    drawn = np.random.default_rng(seed).integers(below.size, size=(resamples, below.size))
    totals_drawn = below[drawn].sum(axis=1)
    ratios = above[drawn].sum(axis=1)[totals_drawn > 0] / totals_drawn[totals_drawn > 0]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    ratio = float(above.sum() / below.sum())
    return Interval(ratio, float(low), float(high), below.size, missing)
