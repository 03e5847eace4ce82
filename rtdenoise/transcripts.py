"""Word error rate: how much of what was said a speech recogniser understands.

A denoiser can please the ear and yet remove what tells words apart; a recogniser notices.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import RtdenoiseError
from rtdenoise.paths import CONTAINERS
from rtdenoise.stft import FloatArray

RATE_HZ = 16_000
"""The rate that the recogniser was trained at."""

WORD_ERRORS, WORDS = "word_errors", "words"
"""Names of a clip's two counts in scores; their rate is that of sums over clips."""

_INSIDE = re.compile(r"(?<=[^\W_])'(?=[^\W_])|(?<=\d)[.,](?=\d)")
"""Marks that belong to a word: the apostrophe of "don't", the point of "3.5"."""


@dataclass(frozen=True)
class WordErrors:
    """How what was heard differs from what was said; sums over clips with ``+``.

    Attributes:
        substitutions: words heard as others.
        deletions: words not heard.
        insertions: words heard that were not said.
        words: number of words said.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def errors(self) -> int:
        """Number of errors of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word said; can exceed 1, and is infinite where nothing was said."""
        if self.words == 0:
            return float("inf") if self.errors else 0.0
        return self.errors / self.words

    def __add__(self, other: "WordErrors") -> "WordErrors":
        """Return the errors of two clips together."""
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


def normalised_words(text: str) -> list[str]:
    """Return the words of a text in lower case without punctuation.

    Numbers stay as they are written: "12" and "twelve" are different words.

    Example:
        >>> normalised_words("Well-known: DON'T pay 3.50, 'friend'!")
        ['well', 'known', "don't", 'pay', '3.50', 'friend']
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    inside = {match.start() for match in _INSIDE.finditer(plain)}
    # Letters, numbers, and the marks that complete letters in some scripts.
    kept = (
        c if place in inside or unicodedata.category(c)[0] in "LNM" else " "
        for place, c in enumerate(plain)
    )
    return "".join(kept).split()


def word_error_rate(said: str, heard: str) -> WordErrors:
    """Return the fewest errors that lead from what was said to what was heard.

    Args:
        said: the transcript.
        heard: what was recognised.

    Example:
        >>> word_error_rate("the cat sat", "a cat sat down")
        WordErrors(substitutions=1, deletions=0, insertions=1, words=3)
    """
    reference, hypothesis = normalised_words(said), normalised_words(heard)
    # row[j]: errors that lead from the words of the reference so far to j words heard.
    row = [WordErrors(insertions=j) for j in range(len(hypothesis) + 1)]
    for i, word in enumerate(reference, 1):
        above, row = row, [WordErrors(deletions=i)]
        for j, other in enumerate(hypothesis, 1):
            ways = (
                above[j - 1] + WordErrors(substitutions=int(word != other)),
                above[j] + WordErrors(deletions=1),
                row[j - 1] + WordErrors(insertions=1),
            )
            row.append(min(ways, key=lambda way: way.errors))
    return row[-1] + WordErrors(words=len(reference))


def clip_name(name: str) -> str:
    """Return a recording's name as transcripts know it: without the suffix of an audio file.

    Example:
        >>> clip_name("p232.take2.wav"), clip_name("p232.take2")
        ('p232.take2', 'p232.take2')
    """
    path = Path(name)
    return path.stem if path.suffix.lower() in CONTAINERS else path.name


def read_transcripts(path: Path) -> dict[str, str]:
    """Return what was said in each clip, by its :func:`clip_name`.

    Args:
        path: a text file of lines ``NAME<tab>words``, or a folder of files ``NAME.txt``.

    Raises:
        RtdenoiseError: it cannot be read, holds no transcripts, has a line without a tab,
            or names a clip twice.
    """
    if path.is_dir():
        named = {p.stem: _text(p).strip() for p in sorted(path.glob("*.txt"))}
        if not named:
            raise RtdenoiseError(f"{path}: holds no transcripts; give a folder of NAME.txt")
        return named
    transcripts: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, tab, words = line.partition("\t")
        key = clip_name(name.strip())
        if not tab or not key:
            raise RtdenoiseError(f"{path}, line {number}: is not NAME<tab>words")
        if key in transcripts:
            raise RtdenoiseError(f"{path}, line {number}: {key} has a transcript already")
        transcripts[key] = words.strip()
    if not transcripts:
        raise RtdenoiseError(f"{path}: holds no transcripts; give lines NAME<tab>words")
    return transcripts


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RtdenoiseError(f"{path}: is not text in UTF-8") from error
    except OSError as error:
        raise RtdenoiseError(f"{path}: cannot be read ({error.strerror})") from error


def recognise(samples_16k: FloatArray) -> str:
    """Return the English words that PocketSphinx hears, in lower case.

    It is a small recogniser of the old kind, so its error rates are high; what counts is
    how they change. The same samples always give the same words.

    Args:
        samples_16k: float ``[samples]`` at 16 kHz, full scale 1; beyond it they are cut.

    Raises:
        RtdenoiseError: the package ``pocketsphinx`` is missing.
    """
    decoder = _decoder()
    if samples_16k.size == 0:
        return ""
    data = (np.clip(samples_16k, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    # The recogniser takes the channel's means as it finds them on the way. Hearing the clip
    # twice lets it begin with the clip's own, where otherwise the first words suffer.
    decoder.reinit_feat()  # forgets the clip before
    _decode(decoder, data)
    means = decoder.get_cmn(True)
    decoder.reinit_feat()
    decoder.set_cmn(means)
    return _decode(decoder, data)


def _decode(decoder: Any, data: bytes) -> str:
    decoder.start_utt()
    decoder.process_raw(data)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else str(hypothesis.hypstr)


def check_recogniser() -> None:
    """Raise :class:`RtdenoiseError` if the package ``pocketsphinx`` is missing."""
    _sphinx()


def _sphinx() -> Any:
    try:
        return import_module("pocketsphinx")
    except ImportError as error:
        raise RtdenoiseError(
            "recognising words needs a package: pip install 'rtdenoise[eval]'"
        ) from error


@cache
def _decoder() -> Any:
    """Return the recogniser, which takes a second to load."""
    sphinx = _sphinx()
    # Limits on words and states a frame: noise makes a search without them four times slower.
    return sphinx.Decoder(samprate=RATE_HZ, cmn="live", maxhmmpf=3000, maxwpf=20, loglevel="FATAL")
