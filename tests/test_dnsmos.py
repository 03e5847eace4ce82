"""DNSMOS: the reference program's ratings, its mapping by hand, and what noise must do."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.dnsmos import (
    BACKGROUND,
    OVERALL,
    RATE_HZ,
    SPEECH,
    dnsmos,
    dnsmos_p808,
    mel_features,
)
from rtdenoise.errors import RtdenoiseError

DEMO = Path(__file__).parents[1] / "examples" / "demo"


@pytest.fixture(scope="module")
def voice():
    return soundfile.read(DEMO / "clean.flac", dtype="float32", frames=5 * RATE_HZ)[0]


def test_mapping_is_the_published_one():
    # Worked out by hand at 3, from the coefficients in the reference implementation.
    assert OVERALL(3.0) == pytest.approx(0.04602535 + 3.34639404 - 0.60896547)
    assert SPEECH(3.0) == pytest.approx(0.0052439 + 3.66251859 - 0.75575502)
    assert BACKGROUND(3.0) == pytest.approx(-0.39604546 + 4.82746542 - 1.18501992)


def test_more_noise_rates_lower(voice):
    noise = np.random.default_rng(1).normal(size=voice.size).astype(np.float32)
    rated = [dnsmos(voice + level * noise) for level in (0.0, 0.01, 0.1)]
    background = [r.background for r in rated]
    assert background == sorted(background, reverse=True)
    assert background[0] > background[2] + 1
    assert rated[0].overall > rated[2].overall + 0.5


def test_short_recordings_are_repeated(voice):
    assert dnsmos(voice) == dnsmos(np.concatenate((voice, voice)))


@pytest.mark.parametrize(("seconds", "segments"), [(9.5, 1), (10.1, 1), (10.9, 1), (11.1, 2)])
def test_long_recordings_are_averaged_over_segments(voice, seconds, segments):
    # Of 9.01 s, a second apart, as many as the reference program takes.
    long = np.tile(voice, 3)[: round(seconds * RATE_HZ)]
    starts = range(0, segments * RATE_HZ, RATE_HZ)
    parts = [dnsmos(long[s : s + round(9.01 * RATE_HZ)]) for s in starts]
    assert dnsmos(long).overall == pytest.approx(np.mean([p.overall for p in parts]), abs=1e-6)


def whirr(seconds):
    """Return a voice-like tone in bursts and a sweep, the same on every machine."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch = 2 * np.pi * (140 * time + 8 * np.sin(2 * np.pi * 1.3 * time))
    tone = sum(np.sin(k * pitch + k) / k for k in range(1, 25))
    bursts = 0.05 * tone * np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    sweep = 0.003 * np.sin(2 * np.pi * (200 * time + 300 * time * time))
    return (bursts + sweep).astype(np.float32)


@pytest.mark.parametrize(
    ("seconds", "speech", "background", "overall", "p808"),
    [
        (4.0, 3.160157, 3.226551, 2.492138, 2.521502),
        (9.01, 3.078762, 3.231907, 2.435522, 2.375651),
        (12.0, 3.009461, 3.322262, 2.422287, 2.363465),
    ],
)
def test_ratings_are_those_of_the_reference_program(seconds, speech, background, overall, p808):
    # From speechmos 0.0.1.1 with its own front end (librosa 0.11.0).
    rated = dnsmos(whirr(seconds))
    found = (rated.speech, rated.background, rated.overall, dnsmos_p808(whirr(seconds)))
    assert found == pytest.approx((speech, background, overall, p808), abs=1e-3)


def test_mel_features_span_80_db_below_the_maximum():
    time = np.arange(9 * RATE_HZ) / RATE_HZ
    features = mel_features(np.sin(2 * np.pi * 1000 * time).astype(np.float32))
    assert features.shape == (900, 120)
    assert (features.min(), features.max()) == (-1.0, 1.0)
    # 121 steps from 0 to 15 + ln(8) / (ln(6.4) / 27) = 45.25 mel; 1 kHz is 15 mel, so the
    # nearest centre is the 40th.
    assert set(features[10:-10].argmax(axis=1)) == {39}


def test_p808_falls_with_noise(voice):
    noise = np.random.default_rng(2).normal(size=voice.size).astype(np.float32)
    rated = [dnsmos_p808(voice + level * noise) for level in (0.0, 0.01, 0.1)]
    assert rated == sorted(rated, reverse=True)
    assert rated[0] > rated[2] + 0.5


@pytest.mark.parametrize("rating", [dnsmos, dnsmos_p808])
def test_no_samples_are_refused(rating):
    with pytest.raises(RtdenoiseError, match="no samples"):
        rating(np.empty(0, np.float32))
