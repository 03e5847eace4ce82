"""Spectral subtraction and the Wiener filter: what they must do to noise and to tones."""

import numpy as np
import pytest

from rtdenoise import denoise
from rtdenoise.classical import CLASSICAL_MODELS, follow_noise
from rtdenoise.model import load_model, zero_state

RATE = 16_000
MODELS = sorted(CLASSICAL_MODELS)


def hiss(seed, seconds, level=0.05):
    rng = np.random.default_rng(seed)
    return (level * rng.normal(size=int(seconds * RATE))).astype(np.float32)


def bursts(seconds):
    """A harmonic tone, on for half of each second."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 200 * k * time) / k for k in range(1, 6))
    return (0.3 * tone * (time % 1 > 0.5)).astype(np.float32)


@pytest.mark.parametrize("model", MODELS)
def test_steady_noise_is_attenuated(model):
    noisy = hiss(1, 4)
    clean = denoise(noisy, RATE, model)
    assert np.std(clean[RATE:]) < 0.3 * np.std(noisy)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_above_the_noise_stays(model):
    wanted = bursts(6)
    clean = denoise(wanted + hiss(2, 6), RATE, model)
    on = wanted[2 * RATE :] != 0
    error = (clean - wanted)[2 * RATE :]
    assert np.std(error[on]) < 0.25 * np.std(wanted[2 * RATE :][on])
    snr_before = np.std(wanted) / np.std(hiss(2, 6))
    assert np.std(wanted[2 * RATE :]) / np.std(error) > 1.5 * snr_before


@pytest.mark.parametrize("model", MODELS)
def test_louder_noise_is_learnt(model):
    noisy = np.concatenate((hiss(3, 3, 0.01), hiss(4, 6, 0.1)))
    clean = denoise(noisy, RATE, model)
    assert np.std(clean[-2 * RATE :]) < 0.35 * np.std(noisy[-2 * RATE :])


def test_noise_estimate_converges_to_the_noise_power():
    rng = np.random.default_rng(5)
    streams, bins = 50, 8
    state = zero_state(
        {"noise": (streams, bins), "presence": (streams, bins), "seen": (streams, 1)}
    ).arrays
    for _ in range(300):
        power = rng.exponential(2.0, (streams, bins)).astype(np.float32)
        estimate = follow_noise(power, state)
    assert estimate.mean() == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("model", MODELS)
def test_level_does_not_matter(model):
    noisy = bursts(2) + hiss(6, 2)
    loud = denoise(noisy, RATE, model)
    quiet = denoise(noisy / 256, RATE, model)
    np.testing.assert_allclose(quiet * 256, loud, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_gain_is_between_0_and_1(model):
    loaded = load_model(model)
    rng = np.random.default_rng(7)
    spectrum = rng.normal(size=(2, 50, 161)) + 1j * rng.normal(size=(2, 50, 161))
    gain, _ = loaded.step(spectrum.astype(np.complex64), loaded.start(2))
    assert gain.dtype == np.float32
    assert gain.shape == spectrum.shape
    assert 0 <= gain.min() <= gain.max() <= 1
