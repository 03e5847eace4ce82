"""Scores models on pairs of noisy and clean recordings."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from rtdenoise.denoiser import denoise
from rtdenoise.errors import RtdenoiseError
from rtdenoise.metrics import METRIC_RATE_HZ, METRICS
from rtdenoise.model import Model, load_model
from rtdenoise.stft import FloatArray

UNPROCESSED = "noisy"
"""Name of the row for the recordings as they are."""

Scores = dict[str, float]


@dataclass(frozen=True)
class Pair:
    """A noisy recording and its clean reference."""

    noisy: Path
    clean: Path


def find_pairs(noisy: Path, clean: Path) -> list[Pair]:
    """Return the recordings of ``noisy`` with their namesakes in ``clean``, sorted.

    Raises:
        RtdenoiseError: a folder is missing or empty, or a namesake is.
    """
    for folder in (noisy, clean):
        if not folder.is_dir():
            raise RtdenoiseError(f"{folder}: no such folder; give folders of recordings")
    files = sorted(p for p in noisy.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise RtdenoiseError(f"{noisy}: is empty; give a folder of noisy recordings")
    missing = [p.name for p in files if not (clean / p.name).is_file()]
    if missing:
        raise RtdenoiseError(f"{clean / missing[0]}: missing; each noisy file needs its clean one")
    return [Pair(p, clean / p.name) for p in files]


def score_pair(pair: Pair, models: list[str]) -> dict[str, Scores]:
    """Return each model's scores on one pair, by model and metric.

    Stereo recordings are mixed down. Scores are taken at 16 kHz.

    Raises:
        RtdenoiseError: a file cannot be read, or the two do not belong together.
    """
    (noisy, rate), (clean, clean_rate) = _read(pair.noisy), _read(pair.clean)
    if rate != clean_rate or noisy.size != clean.size:
        raise RtdenoiseError(f"{pair.noisy}: rate or length differs from {pair.clean}")
    reference = _resampled(clean, rate)
    scores = {}
    for model in models:
        estimate = noisy if model == UNPROCESSED else denoise(noisy, rate, _loaded(model))
        heard = _resampled(estimate, rate)
        scores[model] = {name: metric(heard, reference) for name, metric in METRICS.items()}
    return scores


def score_models(
    pairs: list[Pair],
    models: list[str],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Scores]]:
    """Score models on pairs, several pairs at a time.

    Args:
        pairs: from :func:`find_pairs`.
        models: names, folders, or ``"noisy"`` for the recordings as they are.
        progress: called with the number of pairs done and that of all.

    Returns:
        scores by model, name of the noisy file, and metric.
    """
    for model in models:
        if model != UNPROCESSED:
            load_model(model)  # refuses an unknown one here, not in each process
    scores: dict[str, dict[str, Scores]] = {model: {} for model in models}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(score_pair, pairs, [models] * len(pairs))
        for done, (pair, by_model) in enumerate(zip(pairs, work, strict=True), 1):
            for model, values in by_model.items():
                scores[model][pair.noisy.name] = values
            if progress is not None:
                progress(done, len(pairs))
    return scores


def means(clips: dict[str, Scores]) -> Scores:
    """Return the mean of each metric over clips."""
    names = next(iter(clips.values()))
    return {name: float(np.mean([c[name] for c in clips.values()])) for name in names}


def save_scores(scores: dict[str, dict[str, Scores]], path: Path) -> None:
    """Write what :func:`score_models` returned as JSON.

    Raises:
        RtdenoiseError: it cannot be written.
    """
    try:
        path.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RtdenoiseError(f"{path}: cannot be written ({error.strerror})") from error


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
