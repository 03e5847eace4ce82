"""The numbers behind pictures of recordings: spectrogram, gain and level over time."""

import math
from dataclasses import dataclass

import numpy as np

from rtdenoise.stft import Analysis, FloatArray, StftConfig

DISPLAY = StftConfig(analysis_ms=32, synthesis_ms=16, hop_ms=8)
"""Long windows, so that the harmonics of a voice are lines."""

MOST_COLUMNS = 2000
"""A longer recording has several frames averaged in a column; a picture shows no more."""

LEVEL_MS = 40
"""Time over which a level is taken; longer for long recordings."""

SILENCE = 1e-9
"""Magnitude that stands for 0, which has no level in dB."""


@dataclass(frozen=True)
class Spectrogram:
    """Level over time and frequency.

    Attributes:
        db: float32 ``[columns, bins]``; a sine of amplitude 1 has 0 dB.
        column_s: seconds from one column to the next.
        rate: sample rate in Hz; the last bin is half of it.
    """

    db: FloatArray
    column_s: float
    rate: int

    @property
    def seconds(self) -> float:
        """Time that all columns span."""
        return self.column_s * len(self.db)


def spectrogram(audio: FloatArray, rate: int) -> Spectrogram:
    """Return the spectrogram of a recording, in at most ``MOST_COLUMNS`` columns.

    Args:
        audio: float32 ``[samples]``; what a column lacks at the end is silence.
        rate: sample rate in Hz.
    """
    hop = DISPLAY.hop_samples(rate)
    frames = math.ceil(audio.size / (hop * MOST_COLUMNS)) or 1
    column = frames * hop
    analysis = Analysis(DISPLAY, rate)
    power = []
    # Column by column: the spectrum of an hour would not fit in memory.
    for start in range(0, max(1, audio.size), column):
        block = np.zeros((1, column), np.float32)
        part = audio[start : start + column]
        block[0, : part.size] = part
        power.append(np.mean(np.abs(analysis.push(block)[0]) ** 2, axis=0))
    db = 10 * np.log10(np.asarray(power) + SILENCE**2)
    return Spectrogram(db.astype(np.float32), column / rate, rate)


def gain_db(after: Spectrogram, before: Spectrogram, audible_db: float) -> FloatArray:
    """Return by how much each place of a spectrogram was changed.

    It is close to the gain that a model applied, which it gives to frames of its own.

    Args:
        after: of the denoised recording.
        before: of the noisy one, as long.
        audible_db: where ``before`` is below this level a ratio means nothing.

    Returns:
        float32 ``[columns, bins]``, in dB; NaN where it means nothing.
    """
    return np.where(before.db >= audible_db, after.db - before.db, np.float32(np.nan))


def level_db(audio: FloatArray, rate: int) -> tuple[FloatArray, FloatArray]:
    """Return the level of a recording over time.

    Args:
        audio: float32 ``[samples]``.
        rate: sample rate in Hz.

    Returns:
        time in seconds and RMS level in dB of full scale, float32 ``[blocks]`` each.
    """
    size = max(LEVEL_MS * rate // 1000, math.ceil(audio.size / MOST_COLUMNS))
    starts = np.arange(0, max(1, audio.size), size)
    power = np.add.reduceat(np.append(audio, np.float32(0)).astype(np.float64) ** 2, starts)
    rms = np.sqrt(power / np.minimum(size, np.maximum(1, audio.size - starts)))
    return (
        ((starts + size / 2) / rate).astype(np.float32),
        (20 * np.log10(rms + SILENCE)).astype(np.float32),
    )
