"""Denoises a stream of samples block by block, or a whole array at once."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import AudioError as AudioError
from rtdenoise.frontend import FrontEnd, check_type, finite
from rtdenoise.model import DEFAULT_MODEL, Model, load_model
from rtdenoise.stft import FloatArray, check_rate

MAX_CHANNELS = 64
"""More than this is taken for an array lying on its side."""


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

    The first hop that a model takes by itself prepares those after it, for tens of milliseconds:
    where hops have deadlines, :meth:`process` one of silence before, and :meth:`reset`.

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
        config = self.model.config
        self._hop = config.hop_samples(self.rate)
        if self._hop * self.out_rate != config.hop_samples(self.out_rate) * self.rate:
            raise AudioError(
                f"a hop of {config.hop_ms:g} ms is not whole at {self.rate} or {self.out_rate} Hz; "
                "use one rate for both"
            )
        self._end = FrontEnd(self.model, self.rate, self.out_rate, channels)
        self.limit_db = limit_db
        self.mix = mix
        self._state = self.model.start(channels)
        self.reset()

    @property
    def limit_db(self) -> float:
        """Most that any part of the signal is attenuated, in dB; may change at any time.

        Set it to None for the limit of the model's card.
        """
        return self._end.gains.limit_db(0)

    @limit_db.setter
    def limit_db(self, value: float | None) -> None:
        self._end.gains.set_limit_db(value)

    @property
    def mix(self) -> float:
        """Share of the denoised signal in the output; may change at any time."""
        return self._end.gains.mix(0)

    @mix.setter
    def mix(self, value: float) -> None:
        self._end.gains.set_mix(value)

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
        self._end.reset()
        self._state.reset()
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
        chunk = self.model.frames_per_step * self._hop
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
        check_type(array)
        if array.ndim == 1 and self.channels == 1:
            array = array[np.newaxis]
        if array.ndim != 2 or array.shape[0] != self.channels:
            raise AudioError(
                f"audio has shape {array.shape}; it must be [channels, samples] with "
                f"{self.channels} channel(s) (transpose what soundfile reads)"
            )
        return finite(array)

    def _advance(self, samples: FloatArray) -> FloatArray:
        """Take samples through analysis, model, gain and synthesis."""
        spectrum = self._end.analyse(samples)
        if spectrum.shape[1] == 0:
            return np.empty((self.channels, 0), np.float32)
        gain, self._state = self.model.step(spectrum, self._state)
        return self._end.synthesise(gain)


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
