"""Denoises a stream of samples block by block, or a whole array at once."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import DEFAULT_MODEL, Model, load_model
from rtdenoise.stft import Analysis, ComplexArray, FloatArray, Synthesis, check_rate

MAX_CHANNELS = 64
"""More than this is taken for an array lying on its side."""

HOPS_PER_STEP = 64
"""Hops worked on at once: enough to spread the cost of a call, few enough to stay in cache."""

HIGH_BAND_BINS = 40
"""The gain above a model's highest bin is the mean of its gains over this many bins below."""

LARGEST_SAMPLE = 1e6
"""Samples beyond this are damage; squared and summed they would overflow."""


class AudioError(RtdenoiseError, ValueError):
    """Audio has the wrong shape, type or rate."""


class Denoiser:
    """Noisy blocks in, clean blocks out, for one signal of one or more channels.

    Args:
        rate: sample rate in Hz, 8000 to 96000.
        model: a name, the folder of an exported model, or a loaded model.
        channels: number of channels, each denoised on its own.
        limit_db: most that any part of the signal is attenuated; None for the limit that
            the model's card gives, ``math.inf`` for none at all.
        mix: 1 gives the denoised signal, 0 the input (equally delayed).
        device: where a model given by name or folder runs.
        out_rate: sample rate in Hz of what comes out; None for ``rate``. The spectrum is
            synthesised at that rate, which costs no delay.

    Raises:
        AudioError: rate, out_rate, channels, limit_db or mix cannot be used.
        ModelError: the model cannot be used.

    Example:
        >>> import numpy as np
        >>> denoiser = Denoiser(rate=48_000)
        >>> blocks = [denoiser.process(np.zeros(480, np.float32)) for _ in range(10)]
        >>> sum(len(b) for b in blocks) + len(denoiser.flush())
        4800
    """

    def __init__(
        self,
        rate: int,
        model: str | Path | Model = DEFAULT_MODEL,
        *,
        channels: int = 1,
        limit_db: float | None = None,
        mix: float = 1.0,
        device: str = "cpu",
        out_rate: int | None = None,
    ) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"{channels} channels: must be 1 to {MAX_CHANNELS}")
        try:
            self.rate = check_rate(rate)
            self.out_rate = check_rate(rate if out_rate is None else out_rate)
        except ValueError as error:
            raise AudioError(str(error)) from error
        self.model = model if isinstance(model, Model) else load_model(model, device)
        self.channels = channels
        self.limit_db = limit_db
        self.mix = mix
        config = self.model.config
        self._hop = config.hop_samples(self.rate)
        if self._hop * self.out_rate != config.hop_samples(self.out_rate) * self.rate:
            raise AudioError(
                f"a hop of {config.hop_ms:g} ms is not whole at {self.rate} or {self.out_rate} Hz; "
                "use one rate for both"
            )
        self._bins = config.bins(self.rate)
        self._analysis = Analysis(config, self.rate, channels)
        self._synthesis = Synthesis(config, self.out_rate, channels)
        self._state = self.model.start(channels)
        self.reset()

    @property
    def limit_db(self) -> float:
        """Most that any part of the signal is attenuated, in dB; may change at any time.

        Set it to None for the limit of the model's card.
        """
        return self._limit_db

    @limit_db.setter
    def limit_db(self, value: float | None) -> None:
        if value is None:
            value = math.inf if self.model.card.limit_db is None else self.model.card.limit_db
        if not value >= 0:
            raise AudioError(f"limit_db {value} must be 0 or more")
        self._limit_db = value
        self._least_gain = 10 ** (-value / 20)

    @property
    def mix(self) -> float:
        """Share of the denoised signal in the output; may change at any time."""
        return self._mix

    @mix.setter
    def mix(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise AudioError(f"mix {value} must be between 0 and 1")
        self._mix = value

    @property
    def latency_samples(self) -> int:
        """Algorithmic latency: samples that must follow one before it comes out."""
        config = self.model.config
        return config.latency_samples(self.rate) + self.model.lookahead_frames * self._hop

    @property
    def latency_ms(self) -> float:
        """Algorithmic latency in milliseconds."""
        return 1000 * self.latency_samples / self.rate

    def reset(self) -> None:
        """Forget the signal so far, as if newly made."""
        self._analysis.reset()
        self._synthesis.reset()
        self._state.reset()
        self._waiting = np.empty((self.channels, 0, self._bins), np.complex64)
        self._taken = self._given = 0
        self._ndim = 1 if self.channels == 1 else 2

    def process(self, block: npt.ArrayLike) -> FloatArray:
        """Take samples and return those that are ready.

        What is returned continues what was returned before: put together, and with
        :meth:`flush` at the end, it is exactly as long as the input (in seconds, where
        ``out_rate`` differs) and aligned with it.
        NaN and infinite samples count as 0.

        Args:
            block: floating point ``[samples]`` for one channel, or ``[channels, samples]``;
                any number of samples, full scale 1.

        Returns:
            float32 of as many dimensions as ``block``.

        Raises:
            AudioError: the block has another shape or no floating-point type.
        """
        array = np.asarray(block)
        samples = self._checked(array)
        self._ndim = array.ndim
        self._taken += samples.shape[1]
        chunk = HOPS_PER_STEP * self._hop
        if samples.shape[1] <= chunk:
            clean = self._advance(samples)
        else:
            starts = range(0, samples.shape[1], chunk)
            clean = np.concatenate([self._advance(samples[:, s : s + chunk]) for s in starts], 1)
        self._given += clean.shape[1]
        return clean if array.ndim == 2 else clean[0]

    def flush(self) -> FloatArray:
        """Return the rest of the signal and reset.

        Returns:
            float32 of as many dimensions as the blocks had.
        """
        rest, ndim = self._taken * self.out_rate // self.rate - self._given, self._ndim
        silence = np.zeros((self.channels, self.latency_samples + self._hop), np.float32)
        clean = self._advance(silence)[:, :rest]
        self.reset()
        return clean if ndim == 2 else clean[0]

    def _checked(self, array: npt.NDArray[np.generic]) -> FloatArray:
        """Return the block as finite float32 ``[channels, samples]``."""
        if array.dtype.kind != "f":
            raise AudioError(
                f"audio is {array.dtype}; it must be floating point with full scale 1 "
                "(divide int16 by 32768)"
            )
        if array.ndim == 1 and self.channels == 1:
            array = array[np.newaxis]
        if array.ndim != 2 or array.shape[0] != self.channels:
            raise AudioError(
                f"audio has shape {array.shape}; it must be [channels, samples] with "
                f"{self.channels} channel(s) (transpose what soundfile reads)"
            )
        samples = array.astype(np.float32, copy=False)
        if samples.size and not np.abs(samples).max() <= LARGEST_SAMPLE:  # NaN fails it too
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
            samples = samples.clip(-LARGEST_SAMPLE, LARGEST_SAMPLE)
        return samples

    def _advance(self, samples: FloatArray) -> FloatArray:
        """Take samples through analysis, model, gain and synthesis."""
        spectrum = self._analysis.push(samples)
        if spectrum.shape[1] == 0:
            return np.empty((self.channels, 0), np.float32)
        gain, self._state = self.model.step(self._for_model(spectrum), self._state)
        lookahead = self.model.lookahead_frames
        if lookahead:
            spectrum = np.concatenate((self._waiting, spectrum), axis=1)
            ready = max(0, spectrum.shape[1] - lookahead)
            self._waiting = spectrum[:, ready:]
            spectrum, gain = spectrum[:, :ready], gain[:, gain.shape[1] - ready :]
        return self._synthesis.push(self._for_output(spectrum * self._for_spectrum(gain)))

    def _for_model(self, spectrum: ComplexArray) -> ComplexArray:
        """Return the model's bins of the spectrum; those above half the rate are zero."""
        missing = self.model.bins - self._bins
        if missing <= 0:
            return spectrum[:, :, : self.model.bins]
        return np.pad(spectrum, ((0, 0), (0, 0), (0, missing)))

    def _for_output(self, spectrum: ComplexArray) -> ComplexArray:
        """Return the spectrum with the bins of the output's rate: cut, or filled with zeros."""
        missing = self.model.config.bins(self.out_rate) - self._bins
        if missing <= 0:
            return spectrum[:, :, : self._bins + missing]
        padded = np.pad(spectrum, ((0, 0), (0, 0), (0, missing)))
        # The highest bin stood for its mirror image too, which has a bin of its own now.
        padded[:, :, self._bins - 1] *= 0.5
        return padded

    def _for_spectrum(self, gain: FloatArray | ComplexArray) -> FloatArray | ComplexArray:
        """Return the gain for every bin of the spectrum, with limit and mix applied."""
        above = self._bins - self.model.bins
        if above > 0:
            high = np.abs(gain[:, :, -HIGH_BAND_BINS:]).mean(axis=2, keepdims=True)
            gain = np.concatenate((gain, np.repeat(high, above, axis=2)), axis=2)
        elif above < 0:
            gain = gain[:, :, : self._bins]
        if self._least_gain > 0.0:
            gain = limited(gain, np.float32(self._least_gain))
        if self._mix < 1.0:
            gain = gain * np.float32(self._mix) + np.float32(1.0 - self._mix)
        return gain


def limited(gain: FloatArray | ComplexArray, least: np.float32) -> FloatArray | ComplexArray:
    """Return the gain with a magnitude of ``least`` or more.

    The smaller a complex gain is, the less its phase means; so what is raised to the
    limit turns towards the phase of the input, which a gain of 0 gets wholly.
    """
    if not np.iscomplexobj(gain):
        return np.maximum(gain, least)
    size = np.abs(gain)
    turned = gain + np.maximum(least - size, 0)
    # The two can cancel; then the phase of the input is as good as any.
    turned[turned == 0] = least
    return np.where(size < least, turned * (least / np.abs(turned)), gain)


def denoise(
    audio: npt.ArrayLike,
    rate: int,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    limit_db: float | None = None,
    mix: float = 1.0,
    device: str = "cpu",
) -> FloatArray:
    """Return a whole recording denoised: same shape, aligned in time.

    Args:
        audio: floating point ``[samples]`` or ``[channels, samples]``, full scale 1.
        rate: sample rate in Hz, 8000 to 96000.
        model: a name, the folder of an exported model, or a loaded model.
        limit_db: most that any part of the signal is attenuated; None for the limit that
            the model's card gives, ``math.inf`` for none at all.
        mix: 1 gives the denoised signal, 0 the input.
        device: where a model given by name or folder runs.

    Returns:
        float32 of the shape of ``audio``.

    Raises:
        AudioError: audio, rate, limit_db or mix cannot be used.
        ModelError: the model cannot be used.

    Example:
        >>> import numpy as np
        >>> noisy = np.random.default_rng(0).normal(size=16_000).astype(np.float32) * 0.1
        >>> denoise(noisy, 16_000).shape
        (16000,)
    """
    array = np.asarray(audio)
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[0] <= MAX_CHANNELS):
        raise AudioError(
            f"audio has shape {array.shape}; it must be [samples] or [channels, samples] "
            "(transpose what soundfile reads)"
        )
    channels = array.shape[0] if array.ndim == 2 else 1
    denoiser = Denoiser(rate, model, channels=channels, limit_db=limit_db, mix=mix, device=device)
    return np.concatenate((denoiser.process(array), denoiser.flush()), axis=-1)
