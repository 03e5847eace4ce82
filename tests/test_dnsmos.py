"""DNSMOS: its mapping by hand, and what any rating of noise must do."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.dnsmos import BACKGROUND, OVERALL, RATE_HZ, SPEECH, dnsmos
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


def test_long_recordings_are_averaged_over_segments(voice):
    # 10.1 s hold two segments of 9.01 s, a second apart.
    long = np.tile(voice, 3)[: round(10.1 * RATE_HZ)]
    parts = [dnsmos(long[s : s + round(9.01 * RATE_HZ)]) for s in (0, RATE_HZ)]
    assert dnsmos(long).overall == pytest.approx(np.mean([p.overall for p in parts]), abs=1e-6)


def test_no_samples_are_refused():
    with pytest.raises(RtdenoiseError, match="no samples"):
        dnsmos(np.empty(0, np.float32))
