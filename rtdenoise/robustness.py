"""Scores models, and other denoisers, under harder conditions."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from rtdenoise.audiofile import quantised
from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import (
    Evaluation,
    Progress,
    Scores,
    System,
    check_systems,
    hear,
    name_of,
    score_audio,
)
from rtdenoise.outside import OutsideSystem
from rtdenoise.pairs import Pair, PairAudio, read_pair
from rtdenoise.stress import CONDITIONS, level_reduction_db

AS_RECORDED = "as recorded"
"""Name of the row for recordings without any condition."""

STRESS_METRICS = ("pesq_wb", "estoi", "si_sdr_db")
LEVEL_REDUCTION = "level_reduction_db"
"""What counts instead where there is no speech."""


def score_conditions(
    pairs: list[Pair],
    systems: Sequence[System],
    progress: Progress | None = None,
    conditions: Sequence[str] = tuple(CONDITIONS),
) -> dict[str, Evaluation]:
    """Score systems on pairs as they were recorded and under each condition.

    Args:
        pairs: from :func:`rtdenoise.pairs.find_pairs`, each with its reference. Talkers in
            the noise are taken from the next pair.
        systems: as :func:`rtdenoise.evaluate.score_models` takes them.
        progress: called after each pair under each condition.
        conditions: of :data:`rtdenoise.stress.CONDITIONS`.

    Returns:
        by condition, what was found, by :data:`STRESS_METRICS`; where there is no speech, by
        ``level_reduction_db``.

    Raises:
        RtdenoiseError: two systems have one name, a model is unknown, a file cannot be
            read, or a pair does not belong together.
    """
    check_systems(systems)
    names = (AS_RECORDED, *conditions)
    jobs = [(name, index) for name in names for index in range(len(pairs))]
    found = {name: Evaluation({name_of(system): {} for system in systems}) for name in names}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = [
            pool.submit(_score, name, pairs[index], pairs[(index + 1) % len(pairs)], systems)
            for name, index in jobs
        ]
        for done, ((name, index), job) in enumerate(zip(jobs, work, strict=True), 1):
            found[name].add(pairs[index].name, *job.result())
            if progress is not None:
                progress(done, len(jobs))
    return found


def _score(
    condition: str, pair: Pair, other: Pair, systems: Sequence[System]
) -> tuple[dict[str, Scores], list[str]]:
    """Return each system's scores on one pair under a condition, and why some are NaN."""
    audio = read_pair(pair)
    if condition == AS_RECORDED:
        return score_audio(pair.noisy, audio, systems, STRESS_METRICS)
    changed = CONDITIONS[condition].apply(audio, read_pair(other))
    with TemporaryDirectory(prefix="rtdenoise-") as folder:
        path = Path(folder, pair.name).with_suffix(".wav")
        if any(isinstance(system, OutsideSystem) for system in systems):
            _write(path, changed)
        if not CONDITIONS[condition].silent:
            return score_audio(path, changed, systems, STRESS_METRICS)
        return _reductions(path, changed, systems)


def _write(path: Path, audio: PairAudio) -> None:
    """Write a recording for other denoisers: as 16 bits, which all read, if these can hold it."""
    fits = float(np.abs(audio.noisy).max(initial=0.0)) <= 1.0
    codec = "PCM_16" if fits else "FLOAT"
    soundfile.write(path, quantised(audio.noisy, codec), audio.rate, subtype=codec)


def _reductions(
    path: Path, audio: PairAudio, systems: Sequence[System]
) -> tuple[dict[str, Scores], list[str]]:
    """Return by how much each system lowers the level of a recording without speech."""
    scores, gaps = {}, []
    for system in systems:
        reduction_db = np.nan
        try:
            reduction_db = level_reduction_db(audio.noisy, hear(system, audio, path))
        except RtdenoiseError as error:
            gaps.append(f"{path.name}, {name_of(system)}: {LEVEL_REDUCTION}: {error}")
        scores[name_of(system)] = {LEVEL_REDUCTION: reduction_db}
    return scores, gaps
