"""Alignment undoes a known shift."""

import numpy as np
import pytest

from rtdenoise.alignment import align
from rtdenoise.errors import RtdenoiseError


@pytest.fixture
def clean():
    return np.random.default_rng(1).normal(size=16_000).astype(np.float32)


def shifted(samples, lag):
    """Return samples late by a lag, as long as before."""
    if lag < 0:
        return np.concatenate((samples[-lag:], np.zeros(-lag, np.float32)))
    return np.concatenate((np.zeros(lag, np.float32), samples[: samples.size - lag]))


@pytest.mark.parametrize("lag", [-3200, -160, -1, 0, 1, 37, 320, 3200])
def test_a_shift_is_undone(clean, lag):
    aligned = align(shifted(clean, lag), clean)
    assert aligned.lag_samples == lag
    assert aligned.samples.dtype == np.float32
    # What the shift pushed out is zero.
    inside = slice(max(0, -lag), clean.size - max(0, lag))
    assert np.array_equal(aligned.samples[inside], clean[inside])
    assert np.count_nonzero(aligned.samples) <= clean.size - abs(lag)


def test_noise_and_level_do_not_mislead(clean):
    noise = np.random.default_rng(2).normal(size=clean.size).astype(np.float32)
    assert align(0.01 * (shifted(clean, 320) + 2 * noise), clean).lag_samples == 320


@pytest.mark.parametrize("extra", [-4000, 4000])
def test_the_length_is_that_of_the_reference(clean, extra):
    late = shifted(clean, 100)
    late = late[:extra] if extra < 0 else np.pad(late, (0, extra))
    aligned = align(late, clean)
    assert aligned.lag_samples == 100
    assert aligned.samples.shape == clean.shape
    assert np.array_equal(aligned.samples[:11_000], clean[:11_000])


def test_lags_beyond_the_limit_are_not_tried(clean):
    late = shifted(clean, 320)  # 20 ms
    assert align(late, clean, most_ms=20).lag_samples == 320
    assert abs(align(late, clean, most_ms=19).lag_samples) <= 304
    assert align(late, clean, most_ms=0).lag_samples == 0
    assert align(late, clean, most_ms=7, rate_hz=48_000).lag_samples == 320


def test_silence_stays_where_it_is(clean):
    assert align(0 * clean, clean).lag_samples == 0
    assert align(clean, 0 * clean).lag_samples == 0


def test_recordings_much_shorter_than_the_limit(clean):
    assert align(shifted(clean[:50], 3), clean[:50]).lag_samples == 3


def test_no_samples_are_refused(clean):
    with pytest.raises(RtdenoiseError, match="no samples"):
        align(clean[:0], clean)
    with pytest.raises(ValueError, match="most_ms"):
        align(clean, clean, most_ms=-1)
