"""Spectral metrics against values worked out by hand."""

import numpy as np
import pytest

from rtdenoise.errors import RtdenoiseError
from rtdenoise.spectral_metrics import (
    log_spectral_distance_db,
    normalised_spectrograms,
    segmental_snr_db,
    snr_db,
    spectrogram_mse,
    spectrogram_ssim,
    ssim,
)

ALL = [
    snr_db,
    segmental_snr_db,
    log_spectral_distance_db,
    spectrogram_mse,
    spectrogram_ssim,
]


@pytest.fixture
def noise():
    return 0.1 * np.random.default_rng(1).normal(size=16_000)


def test_snr_of_a_scaled_signal_is_that_of_the_difference(noise):
    assert snr_db(0.9 * noise, noise) == pytest.approx(20.0)  # a tenth is missing
    assert snr_db(0 * noise, noise) == pytest.approx(0.0)


def test_segmental_snr_is_the_mean_of_frames_within_limits(noise):
    assert segmental_snr_db(0.9 * noise, noise) == pytest.approx(20.0)
    assert segmental_snr_db(noise, noise) == 35.0
    assert segmental_snr_db(11 * noise, noise) == -10.0  # -20 dB before the limit


def test_segmental_snr_weighs_loud_and_quiet_frames_alike(noise):
    # 2 s at a hop of 120 samples. 10 dB in the quiet second, 30 dB in the loud one, so 20 dB
    # but for the three frames across the border.
    clean = np.concatenate((0.001 * noise, noise))
    gain = np.concatenate((np.full(16_000, 10**-0.5), np.full(16_000, 10**-1.5)))
    assert segmental_snr_db(clean - gain * clean, clean) == pytest.approx(20.0, abs=0.15)
    assert snr_db(clean - gain * clean, clean) == pytest.approx(30.0, abs=0.01)


def test_short_recordings_make_one_frame(noise):
    assert segmental_snr_db(0.9 * noise[:100], noise[:100]) == pytest.approx(20.0)


def test_log_spectral_distance_of_a_scaled_signal_is_the_gain(noise):
    assert log_spectral_distance_db(10 * noise, noise) == pytest.approx(20.0)
    assert log_spectral_distance_db(noise, noise) == 0.0


def test_log_spectral_distance_has_a_floor():
    # One bin rings; the estimate is silent, which counts as 100 dB below the maximum.
    time = np.arange(16_000) / 16_000
    clean = np.sin(2 * np.pi * 1000 * time)
    assert log_spectral_distance_db(0 * clean, clean) < 100.0


def test_spectrograms_are_divided_by_the_maximum_of_the_clean_one(noise):
    estimate, clean = normalised_spectrograms(0.5 * noise, noise)
    assert clean.shape == (126, 257)  # 1 s every 8 ms, borders included; 0 to 8 kHz
    assert clean.max() == 1.0
    assert np.allclose(estimate, 0.5 * clean)


def test_a_sine_has_the_magnitude_of_its_window():
    # A sine in the middle of a bin: half the window's sum there, a quarter beside it.
    time = np.arange(16_000) / 16_000
    image, _ = normalised_spectrograms(*2 * [np.sin(2 * np.pi * 1000 * time)])
    assert image[60, 30:35] == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-6)


def test_mse_is_the_mean_square_of_what_is_missing(noise):
    _, clean = normalised_spectrograms(noise, noise)
    assert spectrogram_mse(0.5 * noise, noise) == pytest.approx(0.25 * np.mean(clean**2))
    assert spectrogram_mse(3 * noise, 3 * noise) == 0.0


def test_ssim_of_flat_images_compares_their_means():
    # Wang et al. 2004, equation 13 with no variance: (2ab + C1) / (a^2 + b^2 + C1).
    flat = np.ones((20, 30))
    wanted = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(0.2 * flat, 0.6 * flat) == pytest.approx(wanted)


def test_ssim_in_the_middle_of_one_spot():
    # A spot of 1 in the middle of 11 by 11 against black. There, the weight of the middle is
    # w = 0.07076, the mean is w, the variance w - w^2; elsewhere likewise with their weight.
    spot = np.zeros((11, 11))
    spot[5, 5] = 1.0
    offset = np.arange(-5, 6)
    line = np.exp(-(offset**2) / 4.5)
    weight = np.outer(line, line) / line.sum() ** 2
    assert weight[5, 5] == pytest.approx(0.07076, abs=1e-5)
    each = 1e-4 * 9e-4 / ((weight**2 + 1e-4) * (weight - weight**2 + 9e-4))
    assert ssim(spot, np.zeros_like(spot)) == pytest.approx(each.mean())


def test_ssim_is_one_for_equals_and_falls_with_noise(noise):
    rng = np.random.default_rng(2)
    time = np.arange(16_000) / 16_000
    clean = np.sin(2 * np.pi * (300 * time + 1000 * time**2))
    scores = [
        spectrogram_ssim(clean + level * rng.normal(size=clean.size), clean)
        for level in (0.0, 0.01, 0.1)
    ]
    assert scores[0] == pytest.approx(1.0)
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < 0.8


@pytest.mark.parametrize("metric", ALL)
def test_what_is_no_pair_is_refused(metric, noise):
    with pytest.raises(RtdenoiseError, match="one length"):
        metric(noise, noise[:-1])
    with pytest.raises(RtdenoiseError, match="one length"):
        metric(noise[:0], noise[:0])
    with pytest.raises(RtdenoiseError, match="NaN"):
        metric(np.full(noise.size, np.nan), noise)


@pytest.mark.parametrize("metric", ALL[2:])
def test_a_silent_reference_has_no_spectrum(metric, noise):
    with pytest.raises(RtdenoiseError, match="silent"):
        metric(noise, 0 * noise)
