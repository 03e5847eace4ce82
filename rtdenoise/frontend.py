"""Both ends of the way through a model: samples to spectra, and gains back to samples."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import AudioError
from rtdenoise.gains import Gain, Gains
from rtdenoise.model import Model
from rtdenoise.stft import Analysis, ComplexArray, FloatArray, Synthesis

HIGH_BAND_BINS = 40
"""The gain above a model's highest bin is the mean of its gains over this many bins below."""

LARGEST_SAMPLE = 1e6
"""Samples beyond this are damage; squared and summed they would overflow."""


class FrontEnd:
    """Analysis and synthesis around a model, for some streams that advance together.

    Between :meth:`analyse` and :meth:`synthesise` the caller has the model work out the
    gains: so one forward pass can serve several front ends.

    Args:
        model: whose windows, bins and lookahead are served.
        rate: sample rate of the input in Hz.
        out_rate: sample rate of the output in Hz, at which a hop is as long.
        streams: number of streams.
        steady: give a hop for every hop from the first on, beginning with silence, and
            not only what is ready of a signal that begins now.

    Attributes:
        gains: limit and mix of each stream.
    """

    def __init__(
        self, model: Model, rate: int, out_rate: int, streams: int, *, steady: bool = False
    ) -> None:
        config = model.config
        self.gains = Gains(streams, model.card.limit_db)
        self._streams = streams
        self._lookahead = model.lookahead_frames
        self._bins, self._out_bins = config.bins(rate), config.bins(out_rate)
        self._model_bins = model.bins
        self._steady = steady
        self._analysis = Analysis(config, rate, streams)
        self._synthesis = Synthesis(config, out_rate, streams, steady=steady)
        self.reset()

    def reset(self) -> None:
        """Forget the signals so far, as if newly made; limit and mix stay."""
        self._analysis.reset()
        self._synthesis.reset()
        waiting = self._lookahead if self._steady else 0
        self._waiting = np.zeros((self._streams, waiting, self._bins), np.complex64)

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget the signals of some streams, whose hops begin with those of the others."""
        numbers = list(rows)
        self._analysis.reset_rows(numbers)
        self._synthesis.reset_rows(numbers)
        self._waiting[numbers] = 0

    def copy_row(self, source: "FrontEnd", row: int) -> None:
        """Make the one stream here what a stream of another front end is, limit and mix too."""
        self._analysis.copy_row(source._analysis, row)
        self._synthesis.copy_row(source._synthesis, row)
        self._waiting = source._waiting[row : row + 1].copy()
        self.gains.set_limit_db(source.gains.limit_db(row))
        self.gains.set_mix(source.gains.mix(row))

    def analyse(self, samples: FloatArray) -> ComplexArray:
        """Take samples and return what the model is to see of the frames that they complete.

        Args:
            samples: finite float32 ``[streams, samples]``.

        Returns:
            complex64 ``[streams, frames, model bins]``. Unless there is no frame,
            :meth:`synthesise` must have their gains before the next samples come.
        """
        spectrum = self._analysis.push(samples)
        if self._lookahead:
            self._waiting = np.concatenate((self._waiting, spectrum), axis=1)
        else:
            self._waiting = spectrum
        missing = self._model_bins - self._bins
        if missing <= 0:
            return spectrum[:, :, : self._model_bins]
        return np.pad(spectrum, ((0, 0), (0, 0), (0, missing)))

    def synthesise(self, gain: Gain) -> FloatArray:
        """Take the model's gains for the frames just analysed and return what is ready.

        Args:
            gain: real or complex ``[streams, frames, model bins]``.

        Returns:
            float32 ``[streams, samples]``.
        """
        spectrum = self._waiting
        if self._lookahead:
            ready = max(0, spectrum.shape[1] - self._lookahead)
            self._waiting = spectrum[:, ready:]
            spectrum, gain = spectrum[:, :ready], gain[:, gain.shape[1] - ready :]
        gain = self.gains.apply(self._for_spectrum(gain))
        return self._synthesis.push(self._for_output(spectrum * gain))

    def _for_spectrum(self, gain: Gain) -> Gain:
        """Return the gain for every bin of the spectrum."""
        above = self._bins - self._model_bins
        if above > 0:
            whole = np.empty((*gain.shape[:2], self._bins), gain.dtype)
            whole[:, :, : self._model_bins] = gain
            near = np.abs(gain[:, :, -HIGH_BAND_BINS:])
            # A sum, as numpy's mean takes twice as long for so few numbers.
            whole[:, :, self._model_bins :] = near.sum(axis=2, keepdims=True) / HIGH_BAND_BINS
            return whole
        return gain[:, :, : self._bins] if above else gain

    def _for_output(self, spectrum: ComplexArray) -> ComplexArray:
        """Return the spectrum with the bins of the output's rate: cut, or filled with zeros."""
        missing = self._out_bins - self._bins
        if missing <= 0:
            return spectrum[:, :, : self._out_bins]
        padded = np.pad(spectrum, ((0, 0), (0, 0), (0, missing)))
        # The highest bin stood for its mirror image too, which has a bin of its own now.
        padded[:, :, self._bins - 1] *= 0.5
        return padded


def check_type(array: npt.NDArray[np.generic]) -> None:
    """Refuse what is not floating point.

    Raises:
        AudioError: it is not.
    """
    if array.dtype.kind != "f":
        raise AudioError(
            f"audio is {array.dtype}; it must be floating point with full scale 1 "
            "(divide int16 by 32768)"
        )


def finite(array: npt.NDArray[np.generic]) -> FloatArray:
    """Return samples as float32, with NaN and infinite ones as 0 and none out of all bounds."""
    samples = array.astype(np.float32, copy=False)
    # No sample is larger than all are together, which one fast operation tells; NaN fails it too.
    if not np.vdot(samples, samples) <= LARGEST_SAMPLE**2:
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        samples = samples.clip(-LARGEST_SAMPLE, LARGEST_SAMPLE)
    return samples
