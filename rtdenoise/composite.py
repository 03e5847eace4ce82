"""Composite measures CSIG, CBAK and COVL: PESQ and three simpler distances, weighed together.

The weights were fitted to what listeners said of noise suppressors (on a scale of 1 to 5).
They were fitted at 8 kHz with narrow-band PESQ; at 16 kHz the field feeds them wide-band
PESQ, and so does this module, so that its figures compare with published ones.

References:
    Y. Hu and P. Loizou, "Evaluation of objective quality measures for speech enhancement",
    IEEE Trans. Audio, Speech, Language Processing 16(1), 2008.
    D. Klatt, "Prediction of perceived phonetic distance from critical-band spectra: a first
    step", ICASSP 1982.
"""

from dataclasses import dataclass

import numpy as np

from rtdenoise.spectral_metrics import (
    FRAME_SAMPLES,
    RATE_HZ,
    DoubleArray,
    checked_pair,
    hann_frames,
    segmental_snr_db,
)
from rtdenoise.stft import FloatArray

LPC_ORDER = 16
"""What speech sampled at 16 kHz is modelled with; 10 at 8 kHz."""

KEPT_SHARE = 0.95
"""Of the frames, those with the lowest distances; the rest are outliers."""

FFT_SAMPLES = 1024
BAND_CENTRES_HZ = np.concatenate(
    [
        np.arange(50.0, 541.0, 70.0),
        [617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30, 1288.72, 1442.54, 1610.70],
        [1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63],
    ]
)
BAND_WIDTHS_HZ = np.concatenate(
    [
        np.full(7, 70.0),
        [77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154],
        [183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136],
    ]
)
"""The 25 critical bands of the literature. They end at 4 kHz, at any sampling rate."""

SKIRT = 11.0
"""How steeply a band falls off from its centre."""

LEAST_WEIGHT = np.exp(-30.0 / (2 * 2.303))
"""Where a band's skirt is cut off."""

LEAST_ENERGY = 1e-10
GLOBAL_PEAK_DB, LOCAL_PEAK_DB = 20.0, 1.0
"""Klatt's constants: how fast a band counts less below the highest and the nearest peak."""


@dataclass(frozen=True)
class Composite:
    """Ratings from 1 to 5.

    Attributes:
        signal: distortion of the speech (CSIG).
        background: intrusiveness of the background (CBAK).
        overall: both together (COVL).
    """

    signal: float
    background: float
    overall: float


def composite(estimate: FloatArray, clean: FloatArray, pesq: float) -> Composite:
    """Return the composite measures, clamped to 1 to 5.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: float ``[samples]`` at 16 kHz.
        pesq: wide-band PESQ of the same two, which is slow and often known already.

    Raises:
        RtdenoiseError: the recordings differ in length, are empty, or hold NaN or infinity.
    """
    return regression(
        pesq,
        log_likelihood_ratio(estimate, clean),
        weighted_spectral_slope(estimate, clean),
        segmental_snr_db(estimate, clean),
    )


def regression(pesq: float, llr: float, wss: float, segmental_snr_db: float) -> Composite:
    """Return the composite measures of known parts, clamped to 1 to 5.

    Args:
        pesq: PESQ as MOS-LQO.
        llr: from :func:`log_likelihood_ratio`.
        wss: from :func:`weighted_spectral_slope`.
        segmental_snr_db: segmental signal-to-noise ratio in dB.
    """
    signal = 3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss
    background = 1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * segmental_snr_db
    overall = 1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss
    return Composite(*(float(np.clip(x, 1.0, 5.0)) for x in (signal, background, overall)))


def log_likelihood_ratio(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the log-likelihood ratio (LLR), 0 for equal spectral envelopes.

    It is the log of how much worse the linear predictor of the estimate predicts the clean
    speech than its own one does, over frames of 30 ms; mean of the lowest 95 %.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: float ``[samples]`` at 16 kHz.

    Raises:
        RtdenoiseError: the recordings differ in length, are empty, or hold NaN or infinity.
    """
    e, c = (_autocorrelation(hann_frames(x)) for x in checked_pair(estimate, clean))
    own = _prediction_error(c, linear_predictor(c))
    other = _prediction_error(c, linear_predictor(e))
    return _lowest_mean(np.log(other / own))


def linear_predictor(autocorrelation: DoubleArray) -> DoubleArray:
    """Return prediction-error filters by the Levinson-Durbin recursion.

    Args:
        autocorrelation: float ``[frames, order + 1]``, from lag 0.

    Returns:
        float ``[frames, order + 1]``, each starting with 1.
    """
    filters = np.zeros_like(autocorrelation)
    filters[:, 0] = 1.0
    error = autocorrelation[:, 0].copy()
    for order in range(1, autocorrelation.shape[1]):
        ahead = np.sum(filters[:, :order] * autocorrelation[:, order:0:-1], axis=1)
        reflection = (-ahead / error)[:, np.newaxis]
        # The right side is a copy: the filter is added to itself turned round.
        filters[:, 1 : order + 1] += reflection * filters[:, order - 1 :: -1][:, :order]
        error = error * (1 - reflection[:, 0] ** 2)
    return filters


def weighted_spectral_slope(estimate: FloatArray, clean: FloatArray) -> float:
    """Return Klatt's weighted-slope spectral distance (WSS), 0 for equal spectra.

    Slopes between 25 critical bands are compared in frames of 30 ms; mean of the lowest 95 %.

    Args:
        estimate: float ``[samples]`` at 16 kHz, full scale 1.
        clean: float ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        RtdenoiseError: the recordings differ in length, are empty, or hold NaN or infinity.
    """
    e, c = (_band_energies_db(hann_frames(x)) for x in checked_pair(estimate, clean))
    return _lowest_mean(slope_distances(e, c))


def slope_distances(estimate_db: DoubleArray, clean_db: DoubleArray) -> DoubleArray:
    """Return the weighted-slope distance of each frame.

    Args:
        estimate_db: float ``[frames, bands]``, energies in dB.
        clean_db: the same shape.

    Returns:
        float ``[frames]``.
    """
    weights = (_slope_weights(estimate_db) + _slope_weights(clean_db)) / 2
    squares = (np.diff(clean_db) - np.diff(estimate_db)) ** 2
    return np.asarray(np.sum(weights * squares, axis=1) / np.sum(weights, axis=1))


def _slope_weights(energy_db: DoubleArray) -> DoubleArray:
    """Return how much each slope counts: most near the spectrum's peaks."""
    below = energy_db[:, :-1]
    highest = energy_db.max(axis=1, keepdims=True)
    nearest = np.take_along_axis(energy_db, _nearest_peaks(np.diff(energy_db)), axis=1)
    return np.asarray(
        GLOBAL_PEAK_DB
        / (GLOBAL_PEAK_DB + highest - below)
        * LOCAL_PEAK_DB
        / (LOCAL_PEAK_DB + nearest - below)
    )


def _nearest_peaks(slopes: DoubleArray) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Return the band at the peak that each slope climbs to, going up or down from it."""
    bands = np.arange(slopes.shape[1])
    rising = slopes > 0
    ends = np.where(rising, bands.size, bands)
    above = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    starts = np.where(rising, bands, -1)
    below = np.maximum.accumulate(starts, axis=1) + 1
    # Going up, the program that the field uses stops one band short of the peak. Figures
    # that are to compare with published ones must have that in them too.
    return np.where(rising, above - 1, below)


def _band_energies_db(frames: DoubleArray) -> DoubleArray:
    power = np.abs(np.fft.rfft(frames, FFT_SAMPLES, axis=1)[:, : FFT_SAMPLES // 2]) ** 2
    return 10 * np.log10(np.maximum(power @ _band_filters().T, LEAST_ENERGY))


def _band_filters() -> DoubleArray:
    """Return weights ``[bands, bins]``; a wide band is lower, so that its area is alike."""
    bins_per_hz = FFT_SAMPLES / RATE_HZ
    centres = np.floor(BAND_CENTRES_HZ * bins_per_hz)[:, np.newaxis]
    widths = (BAND_WIDTHS_HZ * bins_per_hz)[:, np.newaxis]
    offsets = (np.arange(FFT_SAMPLES // 2) - centres) / widths
    weights = widths[0] / widths * np.exp(-SKIRT * offsets**2)
    return np.where(weights > LEAST_WEIGHT, weights, 0.0)


def _autocorrelation(frames: DoubleArray) -> DoubleArray:
    """Return float ``[frames, LPC_ORDER + 1]``, from lag 0."""
    lags = [
        np.sum(frames[:, : FRAME_SAMPLES - lag] * frames[:, lag:], axis=1)
        for lag in range(LPC_ORDER + 1)
    ]
    result = np.stack(lags, axis=1)
    # A trace of white noise, far below 16 bits, keeps silence and pure tones solvable.
    result[:, 0] = result[:, 0] * (1 + 1e-12) + 1e-20
    return result


def _prediction_error(autocorrelation: DoubleArray, filters: DoubleArray) -> DoubleArray:
    """Return the power ``[frames]`` that is left when filters predict such signals."""
    order = filters.shape[1] - 1
    # a' R a with R Toeplitz needs only the autocorrelation of a.
    total = autocorrelation[:, 0] * np.sum(filters**2, axis=1)
    for lag in range(1, order + 1):
        overlap = np.sum(filters[:, :-lag] * filters[:, lag:], axis=1)
        total = total + 2 * autocorrelation[:, lag] * overlap
    return np.asarray(total)


def _lowest_mean(distances: DoubleArray) -> float:
    kept = max(1, round(distances.size * KEPT_SHARE))
    return float(np.sort(distances)[:kept].mean())
