"""What is done to a model's gains before they meet the spectrum: limit and mix."""

import math
import threading

import numpy as np

from rtdenoise.errors import AudioError
from rtdenoise.stft import ComplexArray, FloatArray

Gain = FloatArray | ComplexArray


class Gains:
    """Attenuation limit and mix of each of some streams.

    Both may change at any time, from other threads too.

    Args:
        streams: number of streams.
        limit_db: limit that holds for a stream that is given none; None for no limit.
    """

    def __init__(self, streams: int, limit_db: float | None = None) -> None:
        self._default_limit_db = math.inf if limit_db is None else limit_db
        self._limit_db = np.full(streams, self._default_limit_db)
        self._mix = np.ones(streams)
        self._lock = threading.Lock()
        self._prepare()

    def limit_db(self, stream: int) -> float:
        """Return the most that any part of a stream is attenuated, in dB."""
        return float(self._limit_db[stream])

    def mix(self, stream: int) -> float:
        """Return the share of the denoised signal in a stream's output."""
        return float(self._mix[stream])

    def set_limit_db(self, value: float | None, stream: int | slice = slice(None)) -> None:
        """Set the limit of a stream or of several; None for the one given at the beginning.

        Raises:
            AudioError: it is less than 0.
        """
        if value is None:
            value = self._default_limit_db
        if not value >= 0:
            raise AudioError(f"limit_db {value} must be 0 or more")
        with self._lock:
            self._limit_db[stream] = value
            self._prepare()

    def set_mix(self, value: float, stream: int | slice = slice(None)) -> None:
        """Set the mix of a stream or of several.

        Raises:
            AudioError: it is less than 0 or more than 1.
        """
        if not 0 <= value <= 1:
            raise AudioError(f"mix {value} must be between 0 and 1")
        with self._lock:
            self._mix[stream] = value
            self._prepare()

    def _prepare(self) -> None:
        """Lay out what :meth:`apply` needs, each in one assignment: another thread reads it."""
        least = (10 ** (-self._limit_db / 20)).astype(np.float32)[:, np.newaxis, np.newaxis]
        streams = np.flatnonzero(least)
        self._floor = (streams, least[streams]) if streams.size else None
        mix = self._mix[:, np.newaxis, np.newaxis]
        self._shares = (
            (mix.astype(np.float32), (1 - mix).astype(np.float32)) if mix.min() < 1 else None
        )

    def apply(self, gain: Gain) -> Gain:
        """Return the gain with limit and mix applied.

        Args:
            gain: real or complex ``[streams, frames, bins]``; it stays as it is.
        """
        floor, shares = self._floor, self._shares
        if floor is not None:
            streams, least = floor
            if len(streams) == len(gain):
                gain = limited(gain, least)
            else:
                gain = gain.copy()
                gain[streams] = limited(gain[streams], least)
        if shares is not None:
            wet, dry = shares
            gain = gain * wet + dry
        return gain


def limited(gain: Gain, least: FloatArray | np.float32) -> Gain:
    """Return the gain with a magnitude of ``least`` or more.

    The smaller a complex gain is, the less its phase means; so what is raised to the
    limit turns towards the phase of the input, which a gain of 0 gets wholly.

    Args:
        gain: real or complex ``[streams, frames, bins]``.
        least: more than 0; one value, or ``[streams, 1, 1]``.
    """
    if not np.iscomplexobj(gain):
        return np.maximum(gain, least)
    size = np.abs(gain)
    turned = gain + np.maximum(least - size, 0)
    # The two can cancel; then the phase of the input is as good as any.
    turned[turned == 0] = 1
    return np.where(size < least, turned * (least / np.abs(turned)), gain)
