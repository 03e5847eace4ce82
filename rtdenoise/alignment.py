"""Shifts a denoised recording onto its reference, which most scores need.

A denoiser that streams is late by its latency. A score that compares sample by sample
would count that as noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import correlate

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray


@dataclass(frozen=True)
class Aligned:
    """A recording in time with its reference.

    Attributes:
        samples: float32, as long as the reference.
        lag_samples: how late the recording was; below 0 if it was early.
    """

    samples: FloatArray
    lag_samples: int


def align(
    estimate: FloatArray, clean: FloatArray, most_ms: float = 200.0, rate_hz: int = 16_000
) -> Aligned:
    """Return the estimate shifted by whole samples to where it matches best.

    The lag is where the cross-correlation is highest (C. Knapp and G. Carter, "The
    generalized correlation method for estimation of time delay", IEEE Trans. ASSP 24(4),
    1976, without weighting). Samples that the estimate lacks are zero.

    Args:
        estimate: float ``[samples]``; its length may differ from the reference's.
        clean: float ``[samples]``.
        most_ms: lags of up to this much, either way, are tried.
        rate_hz: sampling rate of both.

    Returns:
        the shifted estimate and its lag, which is 0 if nothing matches (silence).

    Raises:
        RtdenoiseError: one of them is empty.
        ValueError: ``most_ms`` is negative.
    """
    if estimate.size == 0 or clean.size == 0:
        raise RtdenoiseError("cannot align a recording of no samples; give longer ones")
    if most_ms < 0:
        raise ValueError(f"most_ms is {most_ms}; it must be 0 or more")
    lag = _best_lag(estimate, clean, round(most_ms * rate_hz / 1000))
    shifted = np.zeros(clean.size, np.float32)
    kept = estimate[max(0, lag) : max(0, clean.size + lag)]
    shifted[max(0, -lag) :][: kept.size] = kept
    return Aligned(shifted, lag)


def _best_lag(estimate: FloatArray, clean: FloatArray, most_samples: int) -> int:
    e, c = np.asarray(estimate, np.float64), np.asarray(clean, np.float64)
    similarity = correlate(e, c, mode="full", method="fft")
    lags = np.arange(1 - c.size, e.size)
    near = np.abs(lags) <= most_samples
    # The rounding of the FFT alone must not pass for a match.
    least = 1e-9 * float(np.sqrt((e @ e) * (c @ c)))
    best = int(np.argmax(similarity[near]))
    return int(lags[near][best]) if similarity[near][best] > least else 0
