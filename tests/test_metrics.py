"""Metrics against values known by hand or by definition."""

import numpy as np
import pytest

from rtdenoise import metrics
from rtdenoise.composite import composite
from rtdenoise.errors import RtdenoiseError
from rtdenoise.metrics import (
    ALL_METRICS,
    LOWER_IS_BETTER,
    METRIC_GROUPS,
    METRIC_RATE_HZ,
    NO_REFERENCE,
    estoi,
    pesq_nb,
    pesq_wb,
    score,
    si_sdr_db,
    stoi,
)


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
    assert pesq_nb(clean, clean) == pytest.approx(4.55, abs=0.01)  # likewise, P.862.1
    assert estoi(clean, clean) == pytest.approx(1.0, abs=1e-3)
    assert stoi(clean, clean) == pytest.approx(1.0, abs=1e-3)


def test_more_noise_scores_lower():
    clean = voice()
    noise = np.random.default_rng(3).normal(size=clean.size).astype(np.float32)
    for metric in (pesq_wb, pesq_nb, stoi, estoi, si_sdr_db):
        scores = [metric(clean + level * noise, clean) for level in (0.001, 0.01, 0.1)]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[2]


def noisy_voice():
    clean = voice()
    noise = np.random.default_rng(4).normal(size=clean.size).astype(np.float32)
    return clean + 0.02 * noise, clean


def test_groups_hold_each_metric_once():
    grouped = [name for group in METRIC_GROUPS for name in group.names]
    assert sorted(grouped) == sorted(ALL_METRICS)
    assert set(ALL_METRICS) >= NO_REFERENCE | LOWER_IS_BETTER


def test_score_gives_what_each_metric_gives_alone():
    estimate, clean = noisy_voice()
    scored = score(estimate, clean)
    assert not scored.reasons
    assert list(scored.values) == list(ALL_METRICS)
    alone = {name: metric(estimate, clean) for name, metric in ALL_METRICS.items()}
    assert scored.values == pytest.approx(alone)
    rated = composite(estimate, clean, pesq_wb(estimate, clean))
    assert scored.values["covl"] == pytest.approx(rated.overall)


def test_the_reference_itself_scores_best():
    estimate, clean = noisy_voice()
    names = [name for name in ALL_METRICS if name not in NO_REFERENCE]
    best, worse = score(clean, clean, names).values, score(estimate, clean, names).values
    for name in names:
        sign = -1 if name in LOWER_IS_BETTER else 1
        assert sign * best[name] > sign * worse[name], name


def test_shared_work_is_done_once(monkeypatch):
    calls = []
    real = metrics._pesq

    def counted(*args):
        calls.append(args[-1])
        return real(*args)

    monkeypatch.setattr(metrics, "_pesq", counted)
    score(*noisy_voice(), ["pesq_wb", "csig", "cbak", "covl"])
    assert calls == ["wb"]


def test_a_metric_that_fails_leaves_the_others():
    _, clean = noisy_voice()
    scored = score(0 * clean, clean, ["pesq_wb", "csig", "pesq_nb", "snr_db"])
    assert set(scored.reasons) == {"pesq_wb", "csig", "pesq_nb"}
    assert "silence" in scored.reasons["csig"]
    assert np.isnan([scored.values[name] for name in scored.reasons]).all()
    assert scored.values["snr_db"] == pytest.approx(0.0)


def test_without_a_reference_only_dnsmos_is_left():
    scored = score(voice(), None)
    assert set(scored.values) == NO_REFERENCE
    assert not scored.reasons


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_too_little_speech_for_stoi_is_an_error(metric):
    with pytest.raises(RtdenoiseError, match=r"0\.4 s"):
        metric(voice()[:4_000], voice()[:4_000])


def test_too_little_speech_for_pesq_is_an_error():
    with pytest.raises(RtdenoiseError, match="PESQ cannot be taken"):
        pesq_wb(voice()[:2_000], voice()[:2_000])


def test_unknown_metrics_and_odd_pairs_are_refused():
    with pytest.raises(RtdenoiseError, match="loudness: no such metric"):
        score(voice(), voice(), ["loudness"])
    with pytest.raises(RtdenoiseError, match="one length"):
        score(voice(), voice()[1:])
