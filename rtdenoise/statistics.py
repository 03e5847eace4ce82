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
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} or resamples {resamples} is out of range")
    given = np.fromiter(values, np.float64)
    known = given[~np.isnan(given)]
    missing = given.size - known.size
    if known.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0, missing)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(known.size, size=(resamples, known.size))
    low, high = np.quantile(known[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(known.mean()), float(low), float(high), known.size, missing)
