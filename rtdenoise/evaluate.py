"""Scores models, and other denoisers, on recordings with or without clean references."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from rtdenoise.alignment import align
from rtdenoise.denoiser import denoise
from rtdenoise.errors import RtdenoiseError
from rtdenoise.metrics import HEADLINE, METRIC_RATE_HZ, score
from rtdenoise.model import Model, load_model
from rtdenoise.outside import OutsideSystem, denoise_outside
from rtdenoise.statistics import bootstrap_mean
from rtdenoise.stft import FloatArray

UNPROCESSED = "noisy"
"""Name of the row for the recordings as they are."""

Scores = dict[str, float]


@dataclass(frozen=True)
class Pair:
    """A noisy recording and its clean reference, or None where there is none."""

    noisy: Path
    clean: Path | None


@dataclass(frozen=True)
class Evaluation:
    """What systems scored on recordings.

    Attributes:
        scores: by system, name of the noisy file, and metric; NaN where there is a gap.
        gaps: why, a line for each system, file and reason.
    """

    scores: dict[str, dict[str, Scores]]
    gaps: list[str] = field(default_factory=list)


def find_pairs(noisy: Path, clean: Path | None) -> list[Pair]:
    """Return the recordings of ``noisy`` with their namesakes in ``clean``, sorted.

    Raises:
        RtdenoiseError: a folder is missing or empty, or a namesake is.
    """
    for folder in (noisy, clean):
        if folder is not None and not folder.is_dir():
            raise RtdenoiseError(f"{folder}: no such folder; give folders of recordings")
    files = sorted(p for p in noisy.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise RtdenoiseError(f"{noisy}: is empty; give a folder of noisy recordings")
    if clean is None:
        return [Pair(p, None) for p in files]
    missing = [p.name for p in files if not (clean / p.name).is_file()]
    if missing:
        raise RtdenoiseError(f"{clean / missing[0]}: missing; each noisy file needs its clean one")
    return [Pair(p, clean / p.name) for p in files]


def score_pair(
    pair: Pair, systems: Sequence[str | OutsideSystem], metrics: Sequence[str] = HEADLINE
) -> tuple[dict[str, Scores], list[str]]:
    """Return each system's scores on one pair, by system and metric, and why some are NaN.

    Stereo recordings are mixed down. Scores are taken at 16 kHz, after the output has been
    aligned with the reference.

    Raises:
        RtdenoiseError: a file cannot be read, or the two do not belong together.
    """
    noisy, rate = _read(pair.noisy)
    reference = None
    if pair.clean is not None:
        clean, clean_rate = _read(pair.clean)
        if rate != clean_rate or noisy.size != clean.size:
            raise RtdenoiseError(f"{pair.noisy}: rate or length differs from {pair.clean}")
        reference = _resampled(clean, rate)
    scores, gaps = {}, []
    for system in systems:
        try:
            heard = _resampled(*_output(system, pair.noisy, noisy, rate))
            if reference is not None:
                heard = align(heard, reference).samples
            scored = score(heard, reference, metrics)
            values, reasons = scored.values, scored.reasons
        except RtdenoiseError as error:  # one clip that fails is a gap, not the end
            values, reasons = dict.fromkeys(metrics, np.nan), {"all metrics": str(error)}
        scores[name_of(system)] = values
        for why in dict.fromkeys(reasons.values()):
            names = ", ".join(metric for metric in reasons if reasons[metric] == why)
            gaps.append(f"{pair.noisy.name}, {name_of(system)}: {names}: {why}")
    return scores, gaps


def score_models(
    pairs: list[Pair],
    systems: Sequence[str | OutsideSystem],
    progress: Callable[[int, int], None] | None = None,
    metrics: Sequence[str] = HEADLINE,
) -> Evaluation:
    """Score systems on pairs, several pairs at a time.

    Args:
        pairs: from :func:`find_pairs`.
        systems: names or folders of models, ``"noisy"`` for the recordings as they are, or
            other denoisers.
        progress: called with the number of pairs done and that of all.
        metrics: of :data:`rtdenoise.metrics.ALL_METRICS`; without clean references, those
            that need one are left out.

    Raises:
        RtdenoiseError: two systems have one name, a model is unknown, a file cannot be
            read, or a pair does not belong together.
    """
    names = [name_of(system) for system in systems]
    for name in names:
        if names.count(name) > 1:
            raise RtdenoiseError(f"{name!r} is given twice; give each system a name of its own")
    for system in systems:
        if isinstance(system, str) and system != UNPROCESSED:
            load_model(system)  # refuses an unknown one here, not in each process
    evaluation = Evaluation({name: {} for name in names})
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        count = len(pairs)
        work = pool.map(score_pair, pairs, [systems] * count, [metrics] * count)
        for done, (pair, (by_system, gaps)) in enumerate(zip(pairs, work, strict=True), 1):
            for name, values in by_system.items():
                evaluation.scores[name][pair.noisy.name] = values
            evaluation.gaps.extend(gaps)
            if progress is not None:
                progress(done, count)
    return evaluation


def means(clips: dict[str, Scores]) -> Scores:
    """Return the mean of each metric over clips; gaps do not count."""
    return {
        name: bootstrap_mean(clip[name] for clip in clips.values()).mean
        for name in next(iter(clips.values()))
    }


def name_of(system: str | OutsideSystem) -> str:
    """Return what a system is called in tables."""
    return system if isinstance(system, str) else system.name


def _output(
    system: str | OutsideSystem, path: Path, noisy: FloatArray, rate: int
) -> tuple[FloatArray, int]:
    """Return what a system makes of a recording, and its rate."""
    if isinstance(system, OutsideSystem):
        return denoise_outside(system, path)
    return (noisy if system == UNPROCESSED else denoise(noisy, rate, _loaded(system))), rate


@cache
def _loaded(model: str) -> Model:
    """Return a model, loaded once in each process rather than for each clip."""
    return load_model(model)


def _read(path: Path) -> tuple[FloatArray, int]:
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise RtdenoiseError(f"{path}: cannot be read as audio ({error})") from error
    return audio.mean(axis=1), rate


def _resampled(samples: FloatArray, rate: int) -> FloatArray:
    if rate == METRIC_RATE_HZ:
        return samples
    common = gcd(rate, METRIC_RATE_HZ)
    return np.asarray(resample_poly(samples, METRIC_RATE_HZ // common, rate // common), np.float32)
