"""Pairs of a noisy recording and its clean reference, as files and as samples."""

from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray


@dataclass(frozen=True)
class Pair:
    """A noisy recording and its clean reference, or None where there is none."""

    noisy: Path
    clean: Path | None

    @property
    def name(self) -> str:
        """Name of the noisy file, by which the pair is known."""
        return self.noisy.name


@dataclass(frozen=True, eq=False)
class PairAudio:
    """The samples of a pair.

    Attributes:
        noisy: float32 ``[samples]``, full scale 1.
        clean: float32 ``[samples]``, aligned with ``noisy``; None where there is none.
        rate: their sample rate in Hz.
    """

    noisy: FloatArray
    clean: FloatArray | None
    rate: int

    @property
    def reference(self) -> FloatArray:
        """What ``clean`` is, where it must be there.

        Raises:
            ValueError: it is not.
        """
        if self.clean is None:
            raise ValueError("this recording has no clean reference")
        return self.clean

    @property
    def noise(self) -> FloatArray:
        """What is in ``noisy`` besides the reference: a new array.

        Raises:
            ValueError: there is no reference.
        """
        return self.noisy - self.reference


def find_pairs(noisy: Path, clean: Path | None) -> list[Pair]:
    """Return the recordings of ``noisy`` with their namesakes in ``clean``, sorted.

    Raises:
        RtdenoiseError: a folder is missing or empty, or a namesake is.
    """
    for folder in (noisy, clean):
        if folder is not None and not folder.is_dir():
            raise RtdenoiseError(f"{folder}: no such folder; give folders of recordings")
    files = sorted(p for p in noisy.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise RtdenoiseError(f"{noisy}: is empty; give a folder of noisy recordings")
    if clean is None:
        return [Pair(p, None) for p in files]
    missing = [p.name for p in files if not (clean / p.name).is_file()]
    if missing:
        raise RtdenoiseError(f"{clean / missing[0]}: missing; each noisy file needs its clean one")
    return [Pair(p, clean / p.name) for p in files]


def read_pair(pair: Pair) -> PairAudio:
    """Return the samples of a pair, mixed down to one channel.

    Raises:
        RtdenoiseError: a file cannot be read, or the two do not belong together.
    """
    noisy, rate = _read_mono(pair.noisy)
    if pair.clean is None:
        return PairAudio(noisy, None, rate)
    clean, clean_rate = _read_mono(pair.clean)
    if rate != clean_rate or noisy.size != clean.size:
        raise RtdenoiseError(f"{pair.noisy}: rate or length differs from {pair.clean}")
    return PairAudio(noisy, clean, rate)


def read_audio(path: Path) -> tuple[FloatArray, int]:
    """Return the samples of a file, float32 ``[samples, channels]``, and its rate in Hz.

    Raises:
        RtdenoiseError: it cannot be read as audio.
    """
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise RtdenoiseError(f"{path}: cannot be read as audio ({error})") from error
    return audio, rate


def resampled(samples: FloatArray, rate: int, to_rate: int) -> FloatArray:
    """Return float32 samples at another rate in Hz."""
    if rate == to_rate:
        return samples
    common = gcd(rate, to_rate)
    return np.asarray(resample_poly(samples, to_rate // common, rate // common), np.float32)


def _read_mono(path: Path) -> tuple[FloatArray, int]:
    audio, rate = read_audio(path)
    return audio.mean(axis=1), rate
