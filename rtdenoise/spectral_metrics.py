"""Distances between a recording and its reference that need nothing but numpy and scipy.

Signal-to-noise ratios in time, and differences between magnitude spectrograms. None of
them allows for a delay: align the recordings first (:mod:`rtdenoise.alignment`).
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray

DoubleArray = npt.NDArray[np.float64]

RATE_HZ = 16_000
FRAME_SAMPLES = round(0.030 * RATE_HZ)
"""Frame of the segmental measures: 30 ms."""

HOP_SAMPLES = FRAME_SAMPLES // 4
"""75 % overlap."""

LEAST_SEGMENT_DB, MOST_SEGMENT_DB = -10.0, 35.0
"""Beyond these a frame sounds no worse or no better, so it should not sway the mean."""

STFT_SAMPLES = 512
STFT_HOP_SAMPLES = 128
FLOOR_DB = -100.0
"""Bins weaker than this against the strongest one of the reference count as this strong."""

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
"""The window is Gaussian, 11 by 11."""

SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
"""What keeps SSIM finite on black and on flat images, for values from 0 to 1."""


def checked_pair(estimate: FloatArray, clean: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """Return both recordings in double precision.

    Args:
        estimate: float ``[samples]``.
        clean: float ``[samples]``.

    Raises:
        RtdenoiseError: they differ in length, are empty, or hold NaN or infinity.
    """
    if estimate.ndim != 1 or estimate.shape != clean.shape or estimate.size == 0:
        raise RtdenoiseError(
            f"cannot compare recordings of shapes {estimate.shape} and {clean.shape}; "
            "give two of one channel and one length"
        )
    pair = np.asarray(estimate, np.float64), np.asarray(clean, np.float64)
    if not all(np.isfinite(x).all() for x in pair):
        raise RtdenoiseError("a recording holds NaN or infinity; repair it before scoring")
    return pair


def hann_frames(samples: DoubleArray) -> DoubleArray:
    """Return overlapping frames of 30 ms under a Hann window.

    Args:
        samples: float ``[samples]`` at 16 kHz; fewer than one frame are padded to one.

    Returns:
        float ``[frames, FRAME_SAMPLES]``.
    """
    padded = np.pad(samples, (0, max(0, FRAME_SAMPLES - samples.size)))
    # Without its zero ends, the window as the literature on these measures has it.
    window = np.hanning(FRAME_SAMPLES + 2)[1:-1]
    return np.asarray(_windows(padded, FRAME_SAMPLES)[::HOP_SAMPLES] * window)


def snr_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the power of the clean signal over that of the difference, in dB.

    Unlike SI-SDR it also counts a wrong level as noise.

    Args:
        estimate: float ``[samples]``.
        clean: float ``[samples]``.

    Raises:
        RtdenoiseError: from :func:`checked_pair`.
    """
    e, c = checked_pair(estimate, clean)
    return float(_ratio_db(c @ c, (c - e) @ (c - e)))


def segmental_snr_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the mean signal-to-noise ratio of frames, each kept within -10 to 35 dB.

    Reference: J. Hansen and B. Pellom, "An effective quality evaluation protocol for speech
    enhancement algorithms", ICSLP 1998.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: float ``[samples]`` at 16 kHz.

    Raises:
        RtdenoiseError: from :func:`checked_pair`.
    """
    e, c = checked_pair(estimate, clean)
    signal = np.sum(hann_frames(c) ** 2, axis=1)
    noise = np.sum(hann_frames(c - e) ** 2, axis=1)
    return float(np.clip(_ratio_db(signal, noise), LEAST_SEGMENT_DB, MOST_SEGMENT_DB).mean())


def log_spectral_distance_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the RMS difference of the log spectra over bins, averaged over frames, in dB.

    Both spectrograms are first raised to 100 dB below the strongest bin of the clean one.

    Reference: A. Gray and J. Markel, "Distance measures for speech processing", IEEE Trans.
    ASSP 24(5), 1976.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: float ``[samples]`` at 16 kHz.

    Raises:
        RtdenoiseError: from :func:`checked_pair`, or the clean recording is silent.
    """
    images = normalised_spectrograms(estimate, clean)
    e, c = (20 * np.log10(np.maximum(image, 10 ** (FLOOR_DB / 20))) for image in images)
    return float(np.sqrt(np.mean((e - c) ** 2, axis=1)).mean())


def normalised_spectrograms(
    estimate: FloatArray, clean: FloatArray
) -> tuple[DoubleArray, DoubleArray]:
    """Return linear STFT magnitudes divided by the maximum of the clean one.

    Both are divided by the same number, so a wrong level stays visible; the clean one
    spans 0 to 1. The window is Hann, 32 ms, every 8 ms.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: float ``[samples]`` at 16 kHz.

    Returns:
        the two as float ``[frames, bins]``.

    Raises:
        RtdenoiseError: from :func:`checked_pair`, or the clean recording is silent.
    """
    e, c = (_magnitudes(x) for x in checked_pair(estimate, clean))
    largest = c.max()
    if largest == 0:
        raise RtdenoiseError("the clean reference is silent; spectra cannot be compared with it")
    return e / largest, c / largest


def spectrogram_mse(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the mean squared difference of the normalised magnitude spectrograms.

    Normalised means: linear STFT magnitude divided by the maximum of the clean one; see
    :func:`normalised_spectrograms`, which also gives arguments and errors.
    """
    e, c = normalised_spectrograms(estimate, clean)
    return float(np.mean((e - c) ** 2))


def spectrogram_ssim(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the structural similarity of the normalised magnitude spectrograms, at most 1.

    Normalised means: linear STFT magnitude divided by the maximum of the clean one; see
    :func:`normalised_spectrograms`, which also gives arguments and errors. The images are
    compared by :func:`ssim`.
    """
    return ssim(*normalised_spectrograms(estimate, clean))


def ssim(image: DoubleArray, reference: DoubleArray) -> float:
    """Return the mean structural similarity of two images with values from 0 to 1.

    The window is Gaussian, 11 by 11, of standard deviation 1.5; borders are mirrored.

    Reference: Z. Wang, A. Bovik, H. Sheikh and E. Simoncelli, "Image quality assessment:
    from error visibility to structural similarity", IEEE Trans. Image Processing 13(4), 2004.

    Args:
        image: float ``[rows, columns]``.
        reference: the same shape.
    """
    x, y = image, reference
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x**2
    variance_y = _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    power = (mean_x**2 + mean_y**2 + SSIM_C1) * (variance_x + variance_y + SSIM_C2)
    return float(np.mean(alike / power))


def _blurred(image: DoubleArray) -> DoubleArray:
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    rows = correlate1d(image, weights, axis=0, mode="reflect")
    return np.asarray(correlate1d(rows, weights, axis=1, mode="reflect"))


def _magnitudes(samples: DoubleArray) -> DoubleArray:
    # Padded by half a window, so the first and the last samples are heard in full.
    padded = np.pad(samples, STFT_SAMPLES // 2)
    frames = _windows(padded, STFT_SAMPLES)[::STFT_HOP_SAMPLES]
    window = np.hanning(STFT_SAMPLES + 1)[:-1]
    return np.abs(np.fft.rfft(frames * window, axis=1))


def _windows(samples: DoubleArray, size: int) -> DoubleArray:
    return np.lib.stride_tricks.sliding_window_view(samples, size)


def _ratio_db(signal: DoubleArray, noise: DoubleArray) -> DoubleArray:
    # Silence over silence is 0 dB; nothing wrong at all is finite, though large.
    return np.asarray(10 * np.log10((signal + 1e-20) / (noise + 1e-20)))
