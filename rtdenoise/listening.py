"""What an evaluation heard, to look at and to listen to."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from io import BytesIO
from math import isnan
from pathlib import Path

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import (
    REFERENCE,
    UNPROCESSED,
    Evaluation,
    Progress,
    System,
    hear,
    name_of,
)
from rtdenoise.page import Clip
from rtdenoise.pairs import Pair, read_pair
from rtdenoise.plot import draw_comparison
from rtdenoise.report import clip_cells
from rtdenoise.stft import FloatArray


def worst_first(evaluation: Evaluation) -> list[str]:
    """Return the names of clips by the first metric of the first denoiser, lowest first.

    Recordings as they are count only if nothing else was scored. Gaps come last.
    """
    names = [name for name in evaluation.scores if name != UNPROCESSED] or [UNPROCESSED]
    clips = evaluation.scores[names[0]]

    def rank(clip: str) -> tuple[bool, float]:
        first = next(iter(clips[clip].values()))
        return isnan(first), first

    return sorted(clips, key=rank)


def save_pictures(
    pairs: list[Pair], systems: Sequence[System], folder: Path, progress: Progress | None = None
) -> None:
    """Draw each recording beside what each system made of it, as ``NAME.png`` in a folder.

    Args:
        pairs: from :func:`rtdenoise.pairs.find_pairs`.
        systems: as :func:`rtdenoise.evaluate.score_models` takes them.
        folder: made if missing; files in it are replaced.
        progress: called after each picture.

    Raises:
        RtdenoiseError: matplotlib is missing, a recording cannot be read, or a picture
            cannot be written.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(_draw, pair, systems, folder / name)
            for pair, name in zip(pairs, picture_names(pairs), strict=True)
        ]
        for done, job in enumerate(jobs, 1):
            job.result()
            if progress is not None:
                progress(done, len(jobs))


def picture_names(pairs: list[Pair]) -> list[str]:
    """Return the name of each pair's picture; ``a.wav`` and ``a.flac`` have different ones."""
    return [f"{pair.name}.png" for pair in pairs]


def collect_clips(
    pairs: list[Pair],
    systems: Sequence[System],
    evaluation: Evaluation,
    progress: Progress | None = None,
) -> list[Clip]:
    """Return recordings with what each system made of them, for a page.

    Args:
        pairs: in the order of the page.
        systems: as :func:`rtdenoise.evaluate.score_models` takes them.
        evaluation: what they scored.
        progress: called after each recording.

    Raises:
        RtdenoiseError: matplotlib is missing, or a recording cannot be read.
    """
    clips = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_clip, pair, systems, evaluation) for pair in pairs]
        for done, job in enumerate(jobs, 1):
            clips.append(job.result())
            if progress is not None:
                progress(done, len(jobs))
    return clips


def _versions(pair: Pair, systems: Sequence[System]) -> tuple[dict[str, FloatArray], int]:
    """Return a recording in all versions, and its rate in Hz; where a system fails, without it."""
    audio = read_pair(pair)
    versions = {UNPROCESSED: audio.noisy}
    for system in systems:
        with suppress(RtdenoiseError):  # the evaluation names it as a gap
            versions[name_of(system)] = hear(system, audio, pair.noisy)
    if audio.clean is not None:
        versions[REFERENCE] = audio.clean
    samples = min(version.size for version in versions.values())
    return {name: version[:samples] for name, version in versions.items()}, audio.rate


def _draw(pair: Pair, systems: Sequence[System], path: Path) -> None:
    draw_comparison(*_versions(pair, systems), path)


def _clip(pair: Pair, systems: Sequence[System], evaluation: Evaluation) -> Clip:
    versions, rate = _versions(pair, systems)
    picture = BytesIO()
    draw_comparison(versions, rate, picture)
    shown = {
        system: clip_cells(clips[pair.name])
        for system, clips in evaluation.scores.items()
        if system in versions
    }
    return Clip(pair.name, rate, versions, shown, picture.getvalue())
