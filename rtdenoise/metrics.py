"""Scores of denoised speech against its clean reference, one clip at a time."""

from collections.abc import Callable

import numpy as np

from rtdenoise.dnsmos import dnsmos
from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray

METRIC_RATE_HZ = 16_000
"""The rate at which PESQ-WB and ESTOI are defined, and at which clips are scored."""


def si_sdr_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    The estimate is split into its projection on the clean signal and the rest; means are
    removed first. Reference: J. Le Roux et al., "SDR - half-baked or well done?", ICASSP
    2019.

    Args:
        estimate: float ``[samples]``.
        clean: float ``[samples]``.
    """
    e = np.asarray(estimate, np.float64) - np.mean(estimate, dtype=np.float64)
    c = np.asarray(clean, np.float64) - np.mean(clean, dtype=np.float64)
    target = (e @ c) / (c @ c + 1e-20) * c
    rest = e - target
    return float(10 * np.log10((target @ target + 1e-20) / (rest @ rest + 1e-20)))


def pesq_wb(estimate: FloatArray, clean: FloatArray) -> float:
    """Return wide-band PESQ (ITU-T P.862.2), 1.0 to 4.64, of float ``[samples]`` at 16 kHz.

    Raises:
        RtdenoiseError: the package ``pesq`` is missing.
    """
    try:
        from pesq import pesq
    except ImportError as error:
        raise RtdenoiseError("PESQ needs a package: pip install 'rtdenoise[eval]'") from error
    return float(pesq(METRIC_RATE_HZ, clean, estimate, "wb"))


def estoi(estimate: FloatArray, clean: FloatArray) -> float:
    """Return extended STOI, about 0 to 1, of float ``[samples]`` at 16 kHz.

    Reference: J. Jensen and C. Taal, "An algorithm for predicting the intelligibility of
    speech masked by modulated noise maskers", TASLP 2016.

    Raises:
        RtdenoiseError: the package ``pystoi`` is missing.
    """
    try:
        from pystoi import stoi
    except ImportError as error:
        raise RtdenoiseError("ESTOI needs a package: pip install 'rtdenoise[eval]'") from error
    return float(stoi(clean, estimate, METRIC_RATE_HZ, extended=True))


def dnsmos_ovrl(estimate: FloatArray, _: FloatArray) -> float:
    """Return the overall rating of DNSMOS P.835, 1 to 5; the reference is not used."""
    return dnsmos(estimate).overall


METRICS: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "pesq_wb": pesq_wb,
    "estoi": estoi,
    "si_sdr_db": si_sdr_db,
    "dnsmos_ovrl": dnsmos_ovrl,
}
"""What clips are scored by; each takes the estimate and the clean reference."""
