"""The front end: a streaming short-time Fourier transform and its inverse.

Sizes are times, so one configuration serves every sample rate: bin ``k`` of the
spectrum is the same frequency at 8 kHz and at 96 kHz. Spectra are scaled by the sum of
the analysis window, so the magnitude of a tone does not depend on the rate either: a
sine of amplitude 1 at the centre of a bin has magnitude 1 there.

The synthesis window may be shorter than the analysis window. The latency of the
transform is the length of the *synthesis* window, while its frequency resolution comes
from the *analysis* window. The two are chosen such that their product is a Hann window,
which overlap-adds to a constant: with gain 1 the output is the input.

Reference:
    D. Mauler and R. Martin, "A low delay, variable resolution, perfect reconstruction
    spectral analysis-synthesis system for speech enhancement", EUSIPCO 2007.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtdenoise import fft

FloatArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex64]

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 96_000


@dataclass(frozen=True)
class StftConfig:
    """Windows and hop of a short-time Fourier transform, in milliseconds.

    Both windows are whole multiples of the hop, and the synthesis window spans at least
    two hops. At a rate where the hop is not a whole number of samples (22.05 kHz, say)
    it is rounded, and the windows follow it.

    Args:
        analysis_ms: length of the analysis window.
        synthesis_ms: length of the synthesis window, at most ``analysis_ms``.
        hop_ms: time from one frame to the next.

    Raises:
        ValueError: the three lengths do not fit together.

    Example:
        >>> config = StftConfig()
        >>> config.hop_samples(48_000), config.bins(16_000), config.latency_samples(16_000)
        (480, 161, 320)
    """

    analysis_ms: float = 20.0
    synthesis_ms: float = 20.0
    hop_ms: float = 10.0

    def __post_init__(self) -> None:
        if self.hop_ms <= 0:
            raise ValueError(f"hop_ms must be positive, not {self.hop_ms:g}")
        for name in ("analysis_ms", "synthesis_ms"):
            hops = getattr(self, name) / self.hop_ms
            if abs(hops - round(hops)) > 1e-6:
                raise ValueError(f"{name} must be a whole multiple of hop_ms={self.hop_ms:g}")
        if not 2 <= self.synthesis_hops <= self.analysis_hops:
            raise ValueError("synthesis_ms must be at least 2 hops and at most analysis_ms")

    @property
    def analysis_hops(self) -> int:
        """Length of the analysis window in hops."""
        return round(self.analysis_ms / self.hop_ms)

    @property
    def synthesis_hops(self) -> int:
        """Length of the synthesis window in hops."""
        return round(self.synthesis_ms / self.hop_ms)

    def hop_samples(self, rate: int) -> int:
        """Samples from one frame to the next at ``rate`` Hz."""
        return round(self.hop_ms * rate / 1000)

    def analysis_samples(self, rate: int) -> int:
        """Samples in the analysis window at ``rate`` Hz: also the length of the FFT."""
        return self.analysis_hops * self.hop_samples(rate)

    def synthesis_samples(self, rate: int) -> int:
        """Samples in the synthesis window at ``rate`` Hz."""
        return self.synthesis_hops * self.hop_samples(rate)

    def bins(self, rate: int) -> int:
        """Frequency bins of a frame at ``rate`` Hz, from 0 Hz to half the rate."""
        return self.analysis_samples(rate) // 2 + 1

    def latency_samples(self, rate: int) -> int:
        """Algorithmic latency: samples that must have arrived after the one that comes out.

        It counts the wait for a whole hop, as a listener does.
        """
        return self.synthesis_samples(rate)

    def windows(self, rate: int) -> tuple[FloatArray, FloatArray]:
        """Analysis and synthesis window at ``rate`` Hz, scaled for perfect reconstruction.

        The analysis window rises as a long square-root Hann and falls as a short one;
        it is divided by half its sum, so that tones keep their amplitude.

        Returns:
            float32 ``[analysis_samples]`` and float32 ``[synthesis_samples]``.
        """
        long, short = self.analysis_samples(rate), self.synthesis_samples(rate)
        fall = short // 2
        rise = long - fall
        analysis = np.empty(long)
        analysis[:rise] = np.sin(np.pi / 2 * np.arange(rise) / rise)
        analysis[rise:] = np.cos(np.pi / 2 * np.arange(fall) / fall) if fall else 0.0
        # The Hann window of the product, and so its overlap-add, spans `short` samples. An
        # odd length has no middle sample: its halves join where the analysis window turns.
        turn = short - fall
        product = np.empty(short)
        product[:turn] = np.sin(np.pi / 2 * np.arange(turn) / turn) ** 2
        product[turn:] = np.cos(np.pi / 2 * np.arange(fall) / fall) ** 2
        tail = analysis[-short:]
        synthesis = np.divide(product, tail, out=np.zeros(short), where=tail > 0)
        hop = self.hop_samples(rate)
        overlap = product.reshape(self.synthesis_hops, hop).sum(axis=0)
        synthesis /= np.tile(overlap, self.synthesis_hops)
        scale = 2.0 / analysis.sum()
        return (analysis * scale).astype(np.float32), (synthesis / scale).astype(np.float32)


def check_rate(rate: int) -> int:
    """Return ``rate`` if it is a whole sample rate that the front end serves.

    Raises:
        ValueError: it is not, or lies outside 8 to 96 kHz.
    """
    if rate != int(rate) or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise ValueError(f"sample rate {rate} Hz is outside {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
    return int(rate)


class Analysis:
    """Turns blocks of samples into frames of spectrum, for any number of streams at once.

    Args:
        config: windows and hop.
        rate: sample rate in Hz.
        streams: number of independent signals.
    """

    def __init__(self, config: StftConfig, rate: int, streams: int = 1) -> None:
        self._hop = config.hop_samples(rate)
        self._size = config.analysis_samples(rate)
        self._window = config.windows(rate)[0]
        self._streams = streams
        self._rfft = fft.forward(self._size, streams)
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next sample is the first one."""
        # The past starts as the silence before the first frame; see push().
        self._past = np.zeros((self._streams, self._size - self._hop), np.float32)

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget the past of some streams, whose hops begin with those of the others."""
        self._past[list(rows)] = 0

    def copy_row(self, source: "Analysis", row: int) -> None:
        """Give the one stream here the past of a stream of another, equal analysis."""
        self._past = source._past[row : row + 1].copy()

    def push(self, block: FloatArray) -> ComplexArray:
        """Take samples and return every frame that they complete.

        Args:
            block: float32 ``[streams, samples]``, of any length.

        Returns:
            complex64 ``[streams, frames, bins]``; frame ``t`` ends with sample
            ``(t + 1) * hop - 1`` of the stream.
        """
        samples = np.concatenate((self._past, block), axis=1)
        frames = max(0, (samples.shape[1] - self._size) // self._hop + 1)
        if frames == 0:
            self._past = samples
            return np.empty((self._streams, 0, self._size // 2 + 1), np.complex64)
        if frames == 1:  # as live streams do; strides take a twentieth of a hop's work to set up
            windows = samples[:, np.newaxis, : self._size]
        else:
            stream, sample = samples.strides
            windows = np.lib.stride_tricks.as_strided(
                samples,
                (self._streams, frames, self._size),
                (stream, self._hop * sample, sample),
                writeable=False,
            )
        spectrum = self._rfft(windows * self._window)
        past = samples[:, frames * self._hop :]
        self._past = past if frames == 1 else past.copy()  # lest a long block stays in memory
        return np.asarray(spectrum, np.complex64)


class Synthesis:
    """Turns frames of spectrum back into samples by overlap-add.

    The samples come out aligned with those that went into :class:`Analysis`: the first
    one returned belongs to the first one pushed, only later.

    Args:
        config: windows and hop.
        rate: sample rate in Hz.
        streams: number of independent signals.
        steady: give a hop for each frame from the first on, beginning with the silence
            before the start.
    """

    def __init__(
        self, config: StftConfig, rate: int, streams: int = 1, *, steady: bool = False
    ) -> None:
        self._hop = config.hop_samples(rate)
        self._size = config.analysis_samples(rate)
        self._window = config.windows(rate)[1]
        self._irfft = fft.inverse(self._size)
        self._overlaps = config.synthesis_hops
        self._streams = streams
        self._steady = steady
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frame is the first one."""
        held = (self._overlaps - 1) * self._hop
        self._sum = np.zeros((self._streams, held), np.float32)
        # Samples of the first frames that lie before the stream's start.
        self._skip = 0 if self._steady else held

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget the past of some streams."""
        self._sum[list(rows)] = 0

    def copy_row(self, source: "Synthesis", row: int) -> None:
        """Give the one stream here the past of a stream of another, equal synthesis."""
        self._sum = source._sum[row : row + 1].copy()

    def push(self, spectrum: ComplexArray) -> FloatArray:
        """Take frames and return every sample that no later frame will change.

        Args:
            spectrum: complex64 ``[streams, frames, bins]``.

        Returns:
            float32 ``[streams, samples]``.
        """
        frames = spectrum.shape[1]
        short = self._window.size
        tail = self._irfft(spectrum)[:, :, -short:]
        time = np.asarray(tail * self._window, np.float32)
        if frames == 1:
            flat = time[:, 0]
            flat[:, : self._sum.shape[1]] += self._sum
        else:
            parts = time.reshape(self._streams, frames, self._overlaps, self._hop)
            total = np.zeros((self._streams, frames + self._overlaps - 1, self._hop), np.float32)
            total[:, : self._overlaps - 1] = self._sum.reshape(self._streams, -1, self._hop)
            # Oldest frame first, as when frames come one by one: the same sum to the last bit.
            for k in reversed(range(self._overlaps)):
                total[:, k : k + frames] += parts[:, :, k]
            flat = total.reshape(self._streams, -1)
        ready = frames * self._hop
        rest = flat[:, ready:]
        self._sum = rest if frames == 1 else rest.copy()  # as in the analysis
        skip = min(self._skip, ready)
        self._skip -= skip
        return flat[:, skip:ready]
