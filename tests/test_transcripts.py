"""Word errors by hand, transcripts from files, and a recogniser on made speech."""

import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from rtdenoise.errors import RtdenoiseError
from rtdenoise.transcripts import (
    RATE_HZ,
    WordErrors,
    clip_name,
    normalised_words,
    read_transcripts,
    recognise,
    word_error_rate,
)

SENTENCES = (
    "we are going to the house",
    "tomorrow morning we will go to school",
)


@pytest.mark.parametrize(
    ("said", "heard", "substitutions", "deletions", "insertions", "rate"),
    [
        ("the cat sat", "the cat sat", 0, 0, 0, 0.0),
        ("the cat sat", "The  CAT, sat!", 0, 0, 0, 0.0),
        ("the cat sat", "the hat sat", 1, 0, 0, 1 / 3),
        ("the cat sat", "the sat", 0, 1, 0, 1 / 3),
        ("the cat sat", "the big cat sat", 0, 0, 1, 1 / 3),
        ("the cat sat", "", 0, 3, 0, 1.0),
        ("a", "b c d", 1, 0, 2, 3.0),
        ("one two three four", "two three five four six", 0, 1, 2, 3 / 4),
        ("", "", 0, 0, 0, 0.0),
        ("", "a", 0, 0, 1, math.inf),
        ("room 12", "room twelve", 1, 0, 0, 0.5),
    ],
)
def test_errors_by_hand(said, heard, substitutions, deletions, insertions, rate):
    errors = word_error_rate(said, heard)
    words = len(said.split())
    assert errors == WordErrors(substitutions, deletions, insertions, words)
    assert errors.rate == pytest.approx(rate)


def test_errors_swap_with_the_two_texts():
    rng = np.random.default_rng(1)
    for _ in range(50):
        one, two = (" ".join(rng.choice(list("abcd"), rng.integers(0, 12))) for _ in range(2))
        there, back = word_error_rate(one, two), word_error_rate(two, one)
        assert there.errors == back.errors
        assert there.insertions - there.deletions == back.words - there.words
        assert there.errors <= max(there.words, back.words)


def test_clips_add_up():
    total = sum((word_error_rate("a b", "a"), word_error_rate("c", "d")), WordErrors())
    assert total == WordErrors(1, 1, 0, 3)
    assert total.rate == pytest.approx(2 / 3)


def test_words_of_other_scripts_are_words():
    # Quotation marks and a composed letter; Hindi, whose vowels are marks.
    assert normalised_words("\u00abE\u0301tude\u00bb \u2014 A\u0308") == ["\u00e9tude", "\u00e4"]
    assert normalised_words("\u0939\u093f\u0928\u094d\u0926\u0940") == [
        "\u0939\u093f\u0928\u094d\u0926\u0940"
    ]


def test_transcripts_from_lines_and_from_a_folder(tmp_path):
    lines = tmp_path / "lines.tsv"
    lines.write_text("\ufeffa.wav\tThe cat.\n\nb.take2\t sat down \nc\t\n", encoding="utf-8")
    expected = {"a": "The cat.", "b.take2": "sat down", "c": ""}
    assert read_transcripts(lines) == expected
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, words in expected.items():
        (folder / f"{name}.txt").write_text(words + "\n")
    assert read_transcripts(folder) == expected
    assert clip_name("folder/b.take2.FLAC") == "b.take2"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no transcripts"),
        (b"a words", r"line 1: is not NAME<tab>words"),
        (b"a\tx\n\n\twords", r"line 3: is not NAME<tab>words"),
        (b"a\tx\na.wav\ty", "line 2: a has a transcript already"),
        (b"a\t\xff", "not text in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_wrong_transcripts_are_refused(tmp_path, content, fault):
    path = tmp_path / "transcripts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RtdenoiseError, match=fault) as error:
        read_transcripts(path)
    assert "\n" not in str(error.value)


def test_folder_without_transcripts_is_refused(tmp_path):
    with pytest.raises(RtdenoiseError, match="holds no transcripts"):
        read_transcripts(tmp_path)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """The sentences, spoken slowly by a machine: float32 at 16 kHz."""
    if shutil.which("espeak-ng") is None:
        pytest.fail("espeak-ng missing; run scripts/setup-debian.sh test")
    folder = tmp_path_factory.mktemp("spoken")
    clips = []
    for number, words in enumerate(SENTENCES):
        path = folder / f"{number}.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", path, words], check=True)
        samples, rate = soundfile.read(path, dtype="float32")
        clips.append(resample_poly(samples, RATE_HZ, rate).astype(np.float32))
    return clips


def errors_of(clips):
    pairs = zip(SENTENCES, clips, strict=True)
    return sum((word_error_rate(said, recognise(clip)) for said, clip in pairs), WordErrors())


def test_noise_makes_words_hard_to_recognise(spoken):
    rng = np.random.default_rng(1)
    loud = [clip + clip.std() * rng.normal(size=clip.size).astype(np.float32) for clip in spoken]
    clean = errors_of(spoken)
    assert clean.rate < 0.5
    assert errors_of(loud).rate > clean.rate + 0.3


def test_recogniser_forgets_earlier_clips(spoken):
    first = [recognise(clip) for clip in spoken]
    recognise(0.5 * np.random.default_rng(2).normal(size=RATE_HZ).astype(np.float32))
    assert [recognise(clip) for clip in spoken[::-1]] == first[::-1]
    assert recognise(np.empty(0, np.float32)) == ""


def test_missing_recogniser_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    recognise.__globals__["_decoder"].cache_clear()
    with pytest.raises(RtdenoiseError, match=r"rtdenoise\[eval\]"):
        recognise(np.zeros(1600, np.float32))
