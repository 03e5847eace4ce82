"""Composite measures against the paper's formulas and values worked out by hand."""

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from rtdenoise.composite import (
    BAND_CENTRES_HZ,
    BAND_WIDTHS_HZ,
    composite,
    linear_predictor,
    log_likelihood_ratio,
    regression,
    slope_distances,
    weighted_spectral_slope,
)
from rtdenoise.errors import RtdenoiseError


@pytest.fixture
def noise():
    return 0.1 * np.random.default_rng(1).normal(size=64_000)


def test_regression_is_the_published_one():
    # Hu and Loizou 2008, by hand: PESQ 2, LLR 0.5, WSS 40, segmental SNR 5 dB.
    rated = regression(2.0, 0.5, 40.0, 5.0)
    assert rated.signal == pytest.approx(3.093 - 0.5145 + 1.206 - 0.36)
    assert rated.background == pytest.approx(1.634 + 0.956 - 0.28 + 0.315)
    assert rated.overall == pytest.approx(1.594 + 1.61 - 0.256 - 0.28)


def test_ratings_stay_within_the_scale():
    best, worst = regression(4.64, 0.0, 0.0, 35.0), regression(1.0, 5.0, 200.0, -10.0)
    assert (best.signal, best.background, best.overall) == (5.0, 5.0, 5.0)
    assert (worst.signal, worst.background, worst.overall) == (1.0, 1.0, 1.0)


def test_equal_recordings_leave_pesq_and_the_constant(noise):
    rated = composite(noise, noise, pesq=1.0)
    assert rated.signal == pytest.approx(3.093 + 0.603)
    assert rated.background == pytest.approx(1.634 + 0.478 + 0.063 * 35)
    assert rated.overall == pytest.approx(1.594 + 0.805)


def test_predictor_of_a_first_order_process_is_its_coefficient():
    # Autocorrelation 1, p, p^2 ...: the predictor is p times the last sample and no more.
    powers = np.power.outer(np.array([0.5, -0.9]), np.arange(6))
    wanted = [[1, -0.5, 0, 0, 0, 0], [1, 0.9, 0, 0, 0, 0]]
    assert linear_predictor(powers) == pytest.approx(np.array(wanted), abs=1e-12)


def test_predictor_solves_the_normal_equations(noise):
    r = np.array([noise[: noise.size - lag] @ noise[lag:] for lag in range(17)])
    r[0] *= 1.1
    r[1] += 0.4 * r[0]
    assert linear_predictor(r[np.newaxis])[0, 1:] == pytest.approx(-solve_toeplitz(r[:-1], r[1:]))


def test_llr_of_coloured_against_white_noise(noise):
    # A predictor of 1 - 0.8/z makes 1 + 0.8^2 of white noise, whose own one leaves 1. The
    # tolerance is for predictors that are fitted to 30 ms.
    coloured = lfilter([1.0], [1.0, -0.8], noise)
    assert log_likelihood_ratio(coloured, noise) == pytest.approx(np.log(1.64), abs=0.1)


def test_llr_ignores_level(noise):
    coloured = lfilter([1.0], [1.0, -0.8], noise)
    wanted = log_likelihood_ratio(coloured, noise)
    assert log_likelihood_ratio(0.01 * coloured, noise) == pytest.approx(wanted, abs=1e-6)
    assert log_likelihood_ratio(noise, noise) == 0.0


def test_silence_and_pure_tones_have_finite_distances(noise):
    tone = np.sin(2 * np.pi * 1000 * np.arange(noise.size) / 16_000)
    for estimate in (noise, 0 * noise, tone):
        for clean in (noise, 0 * noise, tone):
            assert np.isfinite(log_likelihood_ratio(estimate, clean))
            assert np.isfinite(weighted_spectral_slope(estimate, clean))


def test_slope_distance_by_hand():
    # Clean 0, 10, 0 dB. Below the highest band: 20/30, 20/20; nearest peaks: 0 dB (one band
    # short of the peak when going up) and 10 dB, so factors 1 and 1. Weights 2/3, 1.
    # Estimate 0, 0, 5 dB: 20/25 twice; nearest peaks 0 and 0 dB. Weights 4/5, 4/5.
    # Differences of slope 10 and -15 dB: (0.73333 * 100 + 0.9 * 225) / 1.63333.
    distance = slope_distances(np.array([[0.0, 0.0, 5.0]]), np.array([[0.0, 10.0, 0.0]]))
    assert distance == pytest.approx([168.8776], abs=1e-3)


def test_slopes_count_less_far_from_the_nearest_peak():
    # Clean 8, 4, 0, 6 dB. Below the highest: 20/20, 20/24, 20/28. The first two slopes fall
    # from the peak of 8 dB: 1/1, 1/5. The third rises to the last band, short of it 0 dB: 1/1.
    # Estimate, flat: all 1. Weights (1 + 1)/2, (1/6 + 1)/2, (5/7 + 1)/2; slopes -4, -4, 6.
    w = np.array([1.0, 7 / 12, 6 / 7])
    wanted = (16 * w[0] + 16 * w[1] + 36 * w[2]) / w.sum()
    distance = slope_distances(np.zeros((1, 4)), np.array([[8.0, 4.0, 0.0, 6.0]]))
    assert distance == pytest.approx([wanted])


def test_wss_ignores_level(noise):
    # All bands move by the same dB, so slopes stay.
    assert weighted_spectral_slope(0.1 * noise, noise) == pytest.approx(0.0, abs=1e-9)


def test_wss_grows_with_noise_on_speech_like_sound(noise):
    time = np.arange(noise.size) / 16_000
    voice = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 25))
    distances = [weighted_spectral_slope(voice + g * noise, voice) for g in (0.1, 1.0, 10.0)]
    assert distances == sorted(distances)
    assert distances[2] > 4 * distances[1]


def test_bands_are_the_published_ones():
    # 25 bands of 70 Hz and more, each starting where the last one ends or a little before.
    assert BAND_CENTRES_HZ.shape == BAND_WIDTHS_HZ.shape == (25,)
    assert (BAND_CENTRES_HZ[0], BAND_CENTRES_HZ[-1]) == (50.0, 3597.63)
    ends = BAND_CENTRES_HZ + BAND_WIDTHS_HZ / 2
    starts = BAND_CENTRES_HZ - BAND_WIDTHS_HZ / 2
    overlap = (ends[:-1] - starts[1:]) / BAND_WIDTHS_HZ[1:]
    assert np.all((overlap > -1e-9) & (overlap < 0.06))


def test_what_is_no_pair_is_refused(noise):
    for distance in (log_likelihood_ratio, weighted_spectral_slope):
        with pytest.raises(RtdenoiseError, match="one length"):
            distance(noise, noise[1:])
