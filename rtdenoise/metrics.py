"""Scores of denoised speech against its clean reference, one clip at a time.

Every metric has a function of its own in :data:`ALL_METRICS`. Some share slow work: four
need PESQ, three come from one run of a network. :func:`score` does such work once, and a
metric that cannot be had for a clip does not take the others with it.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rtdenoise.composite import composite
from rtdenoise.dnsmos import dnsmos, dnsmos_p808
from rtdenoise.errors import RtdenoiseError
from rtdenoise.spectral_metrics import (
    checked_pair,
    log_spectral_distance_db,
    segmental_snr_db,
    snr_db,
    spectrogram_mse,
    spectrogram_ssim,
)
from rtdenoise.stft import FloatArray

Metric = Callable[[FloatArray, FloatArray], float]

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
        RtdenoiseError: the package ``pesq`` is missing, or it finds no speech.
    """
    return _pesq(estimate, clean, "wb")


def pesq_nb(estimate: FloatArray, clean: FloatArray) -> float:
    """Return narrow-band PESQ (ITU-T P.862.1), 1.0 to 4.55, of float ``[samples]`` at 16 kHz.

    P.862 takes 16 kHz and limits the band to that of a telephone itself, so nothing is
    resampled, as is usual in papers on noise suppression.

    Raises:
        RtdenoiseError: the package ``pesq`` is missing, or it finds no speech.
    """
    return _pesq(estimate, clean, "nb")


def stoi(estimate: FloatArray, clean: FloatArray) -> float:
    """Return STOI, about 0 to 1, of float ``[samples]`` at 16 kHz.

    Reference: C. Taal, R. Hendriks, R. Heusdens and J. Jensen, "An algorithm for
    intelligibility prediction of time-frequency weighted noisy speech", TASLP 2011.

    Raises:
        RtdenoiseError: the package ``pystoi`` is missing, or there is too little speech.
    """
    return _stoi(estimate, clean, extended=False)


def estoi(estimate: FloatArray, clean: FloatArray) -> float:
    """Return extended STOI, about 0 to 1, of float ``[samples]`` at 16 kHz.

    Reference: J. Jensen and C. Taal, "An algorithm for predicting the intelligibility of
    speech masked by modulated noise maskers", TASLP 2016.

    Raises:
        RtdenoiseError: the package ``pystoi`` is missing, or there is too little speech.
    """
    return _stoi(estimate, clean, extended=True)


def _pesq(estimate: FloatArray, clean: FloatArray, mode: str) -> float:
    try:
        from pesq import PesqError, pesq
    except ImportError as error:
        raise RtdenoiseError("PESQ needs a package: pip install 'rtdenoise[eval]'") from error
    if not np.any(estimate) or not np.any(clean):
        raise RtdenoiseError("PESQ of silence is not defined")  # the package returns NaN or 1
    try:
        return float(pesq(METRIC_RATE_HZ, clean, estimate, mode))
    except PesqError as error:
        raise RtdenoiseError(f"PESQ cannot be taken ({_text(error)})") from error


def _stoi(estimate: FloatArray, clean: FloatArray, *, extended: bool) -> float:
    try:
        from pystoi import stoi
    except ImportError as error:
        raise RtdenoiseError("STOI needs a package: pip install 'rtdenoise[eval]'") from error
    # Of too little speech the package warns and returns 1e-5, which would pass for a score.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(stoi(clean, estimate, METRIC_RATE_HZ, extended=extended))
        except RuntimeWarning as error:
            raise RtdenoiseError("STOI needs 0.4 s or more of speech; give longer clips") from error


def _text(error: Exception) -> str:
    """Return the first argument of an error, which C code gives as bytes."""
    first = error.args[0] if error.args else type(error).__name__
    return first.decode() if isinstance(first, bytes) else str(first)


def _pesq_scores(estimate: FloatArray, clean: FloatArray) -> dict[str, float]:
    pesq = pesq_wb(estimate, clean)
    rated = composite(estimate, clean, pesq)
    return {
        "pesq_wb": pesq,
        "csig": rated.signal,
        "cbak": rated.background,
        "covl": rated.overall,
    }


def _dnsmos_scores(estimate: FloatArray, _: FloatArray) -> dict[str, float]:
    rated = dnsmos(estimate)
    return {
        "dnsmos_sig": rated.speech,
        "dnsmos_bak": rated.background,
        "dnsmos_ovrl": rated.overall,
    }


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that come from the same work.

    Attributes:
        names: what ``score`` returns.
        score: takes the estimate and the clean reference, float ``[samples]`` at 16 kHz
            each; raises :class:`RtdenoiseError` where the metrics are not defined.
    """

    names: tuple[str, ...]
    score: Callable[[FloatArray, FloatArray], dict[str, float]]


def _alone(name: str, metric: Metric) -> MetricGroup:
    return MetricGroup((name,), lambda estimate, clean: {name: metric(estimate, clean)})


METRIC_GROUPS: tuple[MetricGroup, ...] = (
    MetricGroup(("pesq_wb", "csig", "cbak", "covl"), _pesq_scores),
    _alone("pesq_nb", pesq_nb),
    _alone("stoi", stoi),
    _alone("estoi", estoi),
    _alone("si_sdr_db", si_sdr_db),
    _alone("snr_db", snr_db),
    _alone("segmental_snr_db", segmental_snr_db),
    _alone("log_spectral_distance_db", log_spectral_distance_db),
    MetricGroup(("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"), _dnsmos_scores),
    _alone("dnsmos_p808", lambda estimate, _: dnsmos_p808(estimate)),
    _alone("spectrogram_mse", spectrogram_mse),
    _alone("spectrogram_ssim", spectrogram_ssim),
)
"""All metrics by shared work: what one of a group costs, all of it cost."""

NO_REFERENCE = frozenset({"dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808"})
"""Metrics that listen to the estimate only."""

LOWER_IS_BETTER = frozenset({"log_spectral_distance_db", "spectrogram_mse"})


def _only(group: MetricGroup, name: str) -> Metric:
    return lambda estimate, clean: group.score(estimate, clean)[name]


_BY_NAME = {name: _only(group, name) for group in METRIC_GROUPS for name in group.names} | {
    "pesq_wb": pesq_wb  # alone it needs no composite
}

ALL_METRICS: dict[str, Metric] = {
    name: _BY_NAME[name]
    for name in (
        *("pesq_wb", "pesq_nb", "stoi", "estoi"),
        *("si_sdr_db", "snr_db", "segmental_snr_db", "log_spectral_distance_db"),
        *("csig", "cbak", "covl"),
        *("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808"),
        *("spectrogram_mse", "spectrogram_ssim"),
    )
}
"""Every metric, in the order of tables; each takes the estimate and the clean reference."""

HEADLINE = ("pesq_wb", "estoi", "si_sdr_db", "dnsmos_ovrl")
"""The four that clips are scored by unless more is asked for."""


@dataclass(frozen=True)
class Scored:
    """The scores of one clip.

    Attributes:
        values: by metric; NaN where it could not be had.
        reasons: why not, by metric, for those.
    """

    values: dict[str, float]
    reasons: dict[str, str]


def score(
    estimate: FloatArray, clean: FloatArray | None, names: Iterable[str] = tuple(ALL_METRICS)
) -> Scored:
    """Return metrics of one clip, doing shared work once.

    Args:
        estimate: float ``[samples]`` at 16 kHz.
        clean: the same shape; None leaves out all metrics but :data:`NO_REFERENCE`.
        names: of :data:`ALL_METRICS`.

    Raises:
        RtdenoiseError: a name is unknown, or the two are not a pair: they differ in length,
            are empty, or hold NaN or infinity.
    """
    wanted = list(names)
    for name in wanted:
        if name not in ALL_METRICS:
            raise RtdenoiseError(f"{name}: no such metric; choose from {', '.join(ALL_METRICS)}")
    if clean is None:
        wanted = [name for name in wanted if name in NO_REFERENCE]
        clean = np.empty(0, np.float32)
    else:
        checked_pair(estimate, clean)
    values = dict.fromkeys(wanted, np.nan)
    reasons: dict[str, str] = {}
    for group in METRIC_GROUPS:
        asked = [name for name in wanted if name in group.names]
        if not asked:
            continue
        try:
            # A lone PESQ need not pay for the composite measures.
            if len(asked) == 1:
                values[asked[0]] = ALL_METRICS[asked[0]](estimate, clean)
            else:
                scored = group.score(estimate, clean)
                values |= {name: scored[name] for name in asked}
        except RtdenoiseError as error:
            reasons |= dict.fromkeys(asked, str(error))
    return Scored(values, reasons)
