"""Bootstrap intervals against theory."""

import math

import numpy as np
import pytest

from rtdenoise.statistics import bootstrap_mean, bootstrap_ratio


def test_two_values_have_the_binomial_interval():
    # Resampled means of 0 and 1 are 0, 1/2 and 1 with chances 1/4, 1/2 and 1/4.
    wide, narrow = bootstrap_mean([0.0, 1.0]), bootstrap_mean([0.0, 1.0], level=0.4)
    assert (wide.low, wide.mean, wide.high) == (0.0, 0.5, 1.0)
    assert (narrow.low, narrow.mean, narrow.high) == (0.5, 0.5, 0.5)


def test_many_values_have_the_normal_interval():
    values = 3 + 2 * np.random.default_rng(1).normal(size=400)
    found = bootstrap_mean(values, resamples=20_000)
    half = 1.95996 * values.std() / math.sqrt(values.size)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_it_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    found = [bootstrap_mean(rng.exponential(size=80), 0.9, 500) for _ in range(300)]
    share = np.mean([interval.low <= 1.0 <= interval.high for interval in found])
    assert 0.83 < share < 0.95


def test_gaps_are_counted_and_left_out():
    found = bootstrap_mean([1.0, math.nan, 3.0, math.nan, math.nan])
    assert (found.mean, found.count, found.missing) == (2.0, 2, 3)
    assert (found.low, found.high) == (1.0, 3.0)


def test_one_value_is_its_own_interval():
    found = bootstrap_mean([2.5])
    assert (found.low, found.mean, found.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_no_value_is_a_gap(values):
    found = bootstrap_mean(values)
    assert math.isnan(found.mean)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert (found.count, found.missing) == (0, len(values))


def test_the_seed_fixes_the_interval():
    values = np.random.default_rng(3).normal(size=30)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"resamples": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="out of range"):
        bootstrap_mean([1.0], **wrong)


def test_a_ratio_weighs_clips_by_their_totals():
    # Clips of 1 error in 10 words and 9 in 30: drawn twice each, or once both.
    found = bootstrap_ratio([1, 9, math.nan], [10, 30, 5])
    assert found.mean == pytest.approx(10 / 40)
    assert (found.low, found.high) == pytest.approx((1 / 10, 9 / 30))
    assert (found.count, found.missing) == (2, 1)


def test_a_ratio_to_nothing_is_a_gap():
    assert math.isnan(bootstrap_ratio([0.0], [0.0]).mean)
    # One clip of two has no words: draws of it alone do not count.
    assert bootstrap_ratio([1.0, 0.0], [2.0, 0.0]).high == 0.5
