"""What is shown of an evaluation is what was scored."""

import shlex
import sys

import numpy as np
import pytest
import soundfile

from rtdenoise.denoiser import denoise
from rtdenoise.evaluate import UNPROCESSED, Evaluation, score_models
from rtdenoise.listening import collect_clips, picture_names, save_pictures, worst_first
from rtdenoise.outside import parse_outside
from rtdenoise.pairs import Pair, find_pairs


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(1)
    clean = 0.1 * rng.normal(size=24_000)
    noise = 0.02 * rng.normal(size=24_000)
    for side, samples in (("noisy", clean + noise), ("clean", clean)):
        (tmp_path / side).mkdir()
        for clip in ("a.wav", "a.flac"):
            soundfile.write(tmp_path / side / clip, samples, 48_000)
    return find_pairs(tmp_path / "noisy", tmp_path / "clean")


def test_worst_clips_come_first_and_gaps_last():
    good = {"a": {"x": 2.0}, "b": {"x": np.nan}, "c": {"x": 1.0}}
    noisy = {"a": {"x": 0.0}, "b": {"x": 1.0}, "c": {"x": 2.0}}
    assert worst_first(Evaluation({UNPROCESSED: noisy, "good": good, "z": noisy})) == list("cab")
    assert worst_first(Evaluation({UNPROCESSED: noisy})) == list("abc")


def test_versions_are_what_was_scored(pairs):
    bad = parse_outside(f"bad={shlex.quote(sys.executable)} -c 1/0 {{in}} {{out}}")
    systems = ["specsub", bad]
    found = score_models(pairs, [UNPROCESSED, *systems], metrics=["si_sdr_db"])
    clips = collect_clips(pairs[::-1], systems, found)
    assert [clip.name for clip in clips] == ["a.wav", "a.flac"]
    clip = clips[0]
    assert (clip.rate, list(clip.versions)) == (48_000, ["noisy", "specsub", "clean"])
    noisy, _ = soundfile.read(pairs[1].noisy, dtype="float32")
    np.testing.assert_array_equal(clip.versions["noisy"], noisy)
    np.testing.assert_array_equal(clip.versions["specsub"], denoise(noisy, 48_000, "specsub"))
    score = found.scores["specsub"]["a.wav"]["si_sdr_db"]
    assert clip.scores["specsub"] == {"SI-SDR dB": f"{score:.1f}"}
    assert clip.picture[8:12] == b"WEBP"


def test_recordings_without_references_are_shown_too(pairs):
    alone = [Pair(pair.noisy, None) for pair in pairs]
    found = score_models(alone, [UNPROCESSED], metrics=["dnsmos_ovrl"])
    clips = collect_clips(alone, ["specsub"], found)
    assert list(clips[0].versions) == ["noisy", "specsub"]


def test_pictures_have_the_names_of_their_clips(pairs, tmp_path):
    seen = []
    save_pictures(pairs, ["specsub"], tmp_path / "new", lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(picture_names(pairs))
    assert picture_names(pairs) == ["a.flac.png", "a.wav.png"]
