"""Scores under harder conditions: each gets what it should, and other denoisers too."""

import shlex
import sys

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import UNPROCESSED, score_models
from rtdenoise.outside import parse_outside
from rtdenoise.pairs import find_pairs
from rtdenoise.robustness import AS_RECORDED, LEVEL_REDUCTION, STRESS_METRICS, score_conditions

HALVE = (
    "import sys, soundfile; x, r = soundfile.read(sys.argv[1]); "
    "soundfile.write(sys.argv[2], x / 2, r, subtype='FLOAT')"
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two voice-like tones in noise."""
    folder = tmp_path_factory.mktemp("pairs")
    rng, time = np.random.default_rng(1), np.arange(32_000) / 16_000
    for side in ("noisy", "clean"):
        (folder / side).mkdir()
    for clip, pitch in (("a.wav", 150), ("b.flac", 210)):
        voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 20))
        clean = 0.2 * voice * np.clip(np.sin(2 * np.pi * 2 * time), 0, 1)
        soundfile.write(folder / "clean" / clip, clean, 16_000)
        soundfile.write(folder / "noisy" / clip, clean + 0.05 * rng.normal(size=32_000), 16_000)
    return find_pairs(folder / "noisy", folder / "clean")


def test_each_condition_is_scored(pairs):
    halve = parse_outside(f"halved={shlex.join([sys.executable, '-c', HALVE])} {{in}} {{out}}")
    systems, seen = [UNPROCESSED, halve], []
    names = ["loud", "8kHz", "clean", "noise"]
    found = score_conditions(pairs, systems, lambda *step: seen.append(step), names)
    assert list(found) == [AS_RECORDED, *names]
    assert seen[-1] == (10, 10)
    assert all(evaluation.gaps == [] for evaluation in found.values())
    plain = score_models(pairs, systems, metrics=STRESS_METRICS)
    assert found[AS_RECORDED] == plain

    def mean(condition, system, metric):
        return np.mean([clip[metric] for clip in found[condition].scores[system].values()])

    # +15 dB pushes peaks beyond full scale, where 16 bits would have cut them off.
    for system in (UNPROCESSED, "halved"):
        loud = mean("loud", system, "si_sdr_db")
        assert loud == pytest.approx(mean(AS_RECORDED, system, "si_sdr_db"), abs=0.05)
        assert mean("clean", system, "pesq_wb") > 4.5
    assert mean("8kHz", "halved", "pesq_wb") == pytest.approx(
        mean("8kHz", UNPROCESSED, "pesq_wb"), abs=0.02
    )
    assert mean("noise", UNPROCESSED, LEVEL_REDUCTION) == 0.0
    assert mean("noise", "halved", LEVEL_REDUCTION) == pytest.approx(6.02, abs=0.01)


def test_what_fails_is_a_named_gap(pairs):
    bad = parse_outside(f"bad={shlex.quote(sys.executable)} -c 1/0 {{in}} {{out}}")
    found = score_conditions(pairs, [UNPROCESSED, bad], conditions=["noise"])
    assert len(found["noise"].gaps) == 2
    for clip, gap in zip("ab", found["noise"].gaps, strict=True):
        assert gap.startswith(f"{clip}.wav, bad: {LEVEL_REDUCTION}: ")
    with pytest.raises(RtdenoiseError, match="unknown"):
        score_conditions(pairs, ["dncnnn"])
