"""Metrics against values known by hand or by definition."""

import numpy as np
import pytest

from rtdenoise.metrics import METRIC_RATE_HZ, estoi, pesq_wb, si_sdr_db


def test_si_sdr_of_orthogonal_noise_is_the_power_ratio():
    time = np.arange(16_000) / 16_000
    clean = np.sin(2 * np.pi * 100 * time)
    noise = 0.1 * np.sin(2 * np.pi * 300 * time)  # orthogonal, 20 dB below
    assert si_sdr_db(clean + noise, clean) == pytest.approx(20.0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_si_sdr_ignores_scale_and_offset(scale):
    rng = np.random.default_rng(1)
    clean, noise = rng.normal(size=(2, 8_000))
    wanted = si_sdr_db(clean + 0.3 * noise, clean)
    assert si_sdr_db(scale * (clean + 0.3 * noise) + 0.7, clean) == pytest.approx(wanted)


def voice():
    rng = np.random.default_rng(2)
    time = np.arange(3 * METRIC_RATE_HZ) / METRIC_RATE_HZ
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * time)) / METRIC_RATE_HZ
    tone = sum(np.sin(k * pitch + k) / k for k in range(1, 25))
    loudness = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    return (0.1 * tone * loudness + 1e-4 * rng.normal(size=time.size)).astype(np.float32)


def test_pesq_and_estoi_are_highest_for_the_reference_itself():
    clean = voice()
    assert pesq_wb(clean, clean) == pytest.approx(4.64, abs=0.01)  # the scale's upper end
    assert estoi(clean, clean) == pytest.approx(1.0, abs=1e-3)


def test_more_noise_scores_lower():
    clean = voice()
    noise = np.random.default_rng(3).normal(size=clean.size).astype(np.float32)
    for metric in (pesq_wb, estoi, si_sdr_db):
        scores = [metric(clean + level * noise, clean) for level in (0.001, 0.01, 0.1)]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[2]
