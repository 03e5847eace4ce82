"""Scores models, and other denoisers, on recordings with or without clean references."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from rtdenoise.alignment import align
from rtdenoise.denoiser import denoise
from rtdenoise.errors import RtdenoiseError
from rtdenoise.metrics import HEADLINE, METRIC_RATE_HZ, score
from rtdenoise.model import Model, load_model
from rtdenoise.outside import OutsideSystem, denoise_outside
from rtdenoise.pairs import Pair, PairAudio, read_pair, resampled
from rtdenoise.statistics import bootstrap_mean
from rtdenoise.stft import FloatArray
from rtdenoise.transcripts import WORD_ERRORS, WORDS, clip_name, recognise, word_error_rate

UNPROCESSED = "noisy"
"""Name of the row for the recordings as they are."""

REFERENCE = "clean"
"""Name of the references where they stand beside what systems make of recordings."""

System = str | OutsideSystem
"""Name or folder of a model, :data:`UNPROCESSED`, or another denoiser."""

Scores = dict[str, float]

Progress = Callable[[int, int], None]
"""Called with the number of things done and that of all."""


@dataclass(frozen=True)
class Evaluation:
    """What systems scored on recordings.

    Attributes:
        scores: by system, name of the noisy file, and metric; NaN where there is a gap.
        gaps: why, a line for each system, file and reason.
    """

    scores: dict[str, dict[str, Scores]]
    gaps: list[str] = field(default_factory=list)

    def add(self, clip: str, by_system: dict[str, Scores], gaps: Iterable[str]) -> None:
        """Take in what systems scored on one clip, and why some scores are missing."""
        for system, scores in by_system.items():
            self.scores.setdefault(system, {})[clip] = scores
        self.gaps.extend(gaps)


def hear(system: System, audio: PairAudio, path: Path) -> FloatArray:
    """Return what a system makes of a recording, in time with the reference if there is one.

    Args:
        system: what to run.
        audio: samples of the recording and its reference.
        path: file that holds the recording, for what runs as a command.

    Returns:
        float32 ``[samples]`` at the rate of ``audio``.

    Raises:
        RtdenoiseError: the system fails on it.
    """
    if isinstance(system, OutsideSystem):
        out = resampled(*denoise_outside(system, path), audio.rate)
    elif system == UNPROCESSED:
        out = audio.noisy
    else:
        out = denoise(audio.noisy, audio.rate, _loaded(system))
    return out if audio.clean is None else align(out, audio.clean, rate_hz=audio.rate).samples


def score_audio(
    path: Path,
    audio: PairAudio,
    systems: Sequence[System],
    metrics: Sequence[str] = HEADLINE,
    transcripts: Mapping[str, str] | None = None,
) -> tuple[dict[str, Scores], list[str]]:
    """Return each system's scores on one recording, and why some are NaN.

    Args:
        path: file that holds the recording; its name is the clip's.
        audio: samples of the recording and its reference. Scores are taken at 16 kHz.
        systems: what to score.
        metrics: of :data:`rtdenoise.metrics.ALL_METRICS`.
        transcripts: what was said, by clip, to count errors of recognised words; None does not.

    Returns:
        scores by system and metric, and a line for each reason.
    """
    reference = None
    if audio.clean is not None:
        reference = resampled(audio.clean, audio.rate, METRIC_RATE_HZ)
    scores, gaps = {}, []
    for system in systems:
        try:
            heard = resampled(hear(system, audio, path), audio.rate, METRIC_RATE_HZ)
            scored = score(heard, reference, metrics)
            values, reasons = scored.values, scored.reasons
            if transcripts is not None:
                words, why_none = _word_errors(heard, path.name, transcripts)
                values, reasons = values | words, reasons | why_none
        except RtdenoiseError as error:  # one clip that fails is a gap, not the end
            names = [*metrics, *((WORD_ERRORS, WORDS) if transcripts is not None else ())]
            values, reasons = dict.fromkeys(names, np.nan), {"all metrics": str(error)}
        scores[name_of(system)] = values
        for why in dict.fromkeys(reasons.values()):
            names = [metric for metric in reasons if reasons[metric] == why]
            gaps.append(f"{path.name}, {name_of(system)}: {', '.join(names)}: {why}")
    return scores, gaps


def score_models(
    pairs: list[Pair],
    systems: Sequence[System],
    progress: Progress | None = None,
    metrics: Sequence[str] = HEADLINE,
    transcripts: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score systems on pairs, several pairs at a time.

    Args:
        pairs: from :func:`rtdenoise.pairs.find_pairs`.
        systems: names or folders of models, ``"noisy"`` for the recordings as they are, or
            other denoisers.
        progress: called after each pair.
        metrics: of :data:`rtdenoise.metrics.ALL_METRICS`; without clean references, those
            that need one are left out.
        transcripts: as :func:`score_audio` takes them.

    Raises:
        RtdenoiseError: two systems have one name, a model is unknown, a file cannot be
            read, a pair does not belong together, or no clip has a transcript.
    """
    check_systems(systems)
    if transcripts is not None and not any(clip_name(p.name) in transcripts for p in pairs):
        raise RtdenoiseError(f"no transcript is of a clip here, such as {clip_name(pairs[0].name)}")
    evaluation = Evaluation({name_of(system): {} for system in systems})
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = []
        for pair in pairs:
            said = None  # only what was said in this clip goes to the other process
            if transcripts is not None:
                clip = clip_name(pair.name)
                said = {clip: transcripts[clip]} if clip in transcripts else {}
            jobs.append(pool.submit(_score_pair, pair, systems, metrics, said))
        for done, (pair, job) in enumerate(zip(pairs, jobs, strict=True), 1):
            evaluation.add(pair.name, *job.result())
            if progress is not None:
                progress(done, len(pairs))
    return evaluation


def check_systems(systems: Sequence[System]) -> None:
    """Refuse systems that cannot be told apart, or are not there.

    Raises:
        RtdenoiseError: two have one name, one is named as the references are, or a model is
            unknown.
    """
    names = [name_of(system) for system in systems]
    for name in names:
        if name == REFERENCE:
            raise RtdenoiseError(f"{name!r} is what the references are called; choose another name")
        if names.count(name) > 1:
            raise RtdenoiseError(f"{name!r} is given twice; give each system a name of its own")
    for system in systems:
        if isinstance(system, str) and system != UNPROCESSED:
            load_model(system)  # refuses an unknown one here, not in each process


def means(clips: dict[str, Scores]) -> Scores:
    """Return the mean of each metric over clips; gaps do not count."""
    return {
        name: bootstrap_mean(clip[name] for clip in clips.values()).mean
        for name in next(iter(clips.values()))
    }


def name_of(system: System) -> str:
    """Return what a system is called in tables."""
    return system if isinstance(system, str) else system.name


def _score_pair(
    pair: Pair,
    systems: Sequence[System],
    metrics: Sequence[str],
    transcripts: Mapping[str, str] | None,
) -> tuple[dict[str, Scores], list[str]]:
    return score_audio(pair.noisy, read_pair(pair), systems, metrics, transcripts)


def _word_errors(
    heard_16k: FloatArray, file: str, transcripts: Mapping[str, str]
) -> tuple[Scores, dict[str, str]]:
    """Return errors and words said, and why they are NaN."""
    said = transcripts.get(clip_name(file))
    if said is None:
        return {WORD_ERRORS: np.nan, WORDS: np.nan}, {"word errors": "no transcript"}
    found = word_error_rate(said, recognise(heard_16k))
    return {WORD_ERRORS: found.errors, WORDS: found.words}, {}


@cache
def _loaded(model: str) -> Model:
    """Return a model, loaded once in each process rather than for each clip."""
    return load_model(model)
