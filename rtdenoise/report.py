"""Writes what an evaluation found: as tables to read, and as files to go on with."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import Evaluation, Scores
from rtdenoise.robustness import LEVEL_REDUCTION, STRESS_METRICS
from rtdenoise.statistics import Interval, bootstrap_mean, bootstrap_ratio
from rtdenoise.tables import markdown
from rtdenoise.transcripts import WORD_ERRORS, WORDS

SCORE_FILES = ("scores.json", "scores.csv", "scores.md")
STRESS_FILES = ("stress.json", "stress.csv", "stress.md")

WORD_ERROR_RATE = "word_error_rate_percent"
"""Stands in tables for a clip's two counts of words."""

TITLES = {
    "pesq_wb": ("PESQ-WB", 2),
    "pesq_nb": ("PESQ-NB", 2),
    "stoi": ("STOI", 3),
    "estoi": ("ESTOI", 3),
    "si_sdr_db": ("SI-SDR dB", 1),
    "snr_db": ("SNR dB", 1),
    "segmental_snr_db": ("segSNR dB", 1),
    "log_spectral_distance_db": ("LSD dB", 1),
    "csig": ("CSIG", 2),
    "cbak": ("CBAK", 2),
    "covl": ("COVL", 2),
    "dnsmos_sig": ("SIG", 2),
    "dnsmos_bak": ("BAK", 2),
    "dnsmos_ovrl": ("OVRL", 2),
    "dnsmos_p808": ("P.808", 2),
    "spectrogram_mse": ("MSE", 4),
    "spectrogram_ssim": ("SSIM", 3),
    WORD_ERROR_RATE: ("WER %", 1),
    LEVEL_REDUCTION: ("reduction dB", 1),
}
"""Title of each metric in tables, and its decimals."""

MOST_DB = 100.0
"""Beyond this a ratio is one of rounding errors: nothing is wrong at all."""

Rows = list[dict[str, str]]
"""Cells by column title."""


def intervals(evaluation: Evaluation) -> dict[str, dict[str, Interval]]:
    """Return mean and 95 % interval by system and metric; of words, the rate of errors."""
    return {system: _intervals(list(clips.values())) for system, clips in evaluation.scores.items()}


def score_rows(evaluation: Evaluation, with_intervals: bool = True) -> Rows:
    """Return means by system as rows of a table.

    Args:
        evaluation: what was found.
        with_intervals: whether half the width of each interval stands beside its mean.
    """
    return [
        {"system": system} | {TITLES[m][0]: cell(m, i, with_intervals) for m, i in means.items()}
        for system, means in intervals(evaluation).items()
    ]


def clip_cells(scores: Scores) -> dict[str, str]:
    """Return the scores of one clip as cells by column title."""
    return {TITLES[m][0]: cell(m, i, False) for m, i in _intervals([scores]).items()}


def stress_tables(found: Mapping[str, Evaluation]) -> dict[str, Rows]:
    """Return a table of conditions by systems for each metric, by its title.

    Args:
        found: by condition, from :func:`rtdenoise.robustness.score_conditions`.
    """
    by_condition = {name: intervals(evaluation) for name, evaluation in found.items()}
    tables: dict[str, Rows] = {}
    for metric in (*STRESS_METRICS, LEVEL_REDUCTION):
        rows = [
            {"condition": name}
            | {system: cell(metric, means[metric]) for system, means in by_system.items()}
            for name, by_system in by_condition.items()
            if all(metric in means for means in by_system.values())
        ]
        if rows:
            tables[TITLES[metric][0]] = rows
    return tables


def text_of(tables: Mapping[str, Rows]) -> str:
    """Return tables in Markdown, each below its title."""
    return "\n\n".join(f"{title}:\n\n{markdown(rows)}" for title, rows in tables.items())


def score_files(evaluation: Evaluation) -> dict[str, str]:
    """Return the contents of :data:`SCORE_FILES` by name."""
    text = markdown(score_rows(evaluation)) + "\n" + _gap_list(evaluation.gaps)
    lines = [("system", "clip", *_metrics(evaluation)), *_clip_lines(evaluation)]
    contents = (_json(_document(evaluation)), _csv(lines), text)
    return dict(zip(SCORE_FILES, contents, strict=True))


def stress_files(found: Mapping[str, Evaluation]) -> dict[str, str]:
    """Return the contents of :data:`STRESS_FILES` by name."""
    document = {name: _document(evaluation) for name, evaluation in found.items()}
    lines: list[tuple[str, ...]] = [("condition", "system", "clip", "metric", "value")]
    for name, evaluation in found.items():
        metrics = _metrics(evaluation)
        for system, clip, *values in _clip_lines(evaluation):
            lines += [(name, system, clip, *pair) for pair in zip(metrics, values, strict=True)]
    gaps = [f"{name}: {gap}" for name, evaluation in found.items() for gap in evaluation.gaps]
    text = text_of(stress_tables(found)) + "\n" + _gap_list(gaps)
    return dict(zip(STRESS_FILES, (_json(document), _csv(lines), text), strict=True))


def check_free(folder: Path, names: Iterable[str], force: bool) -> None:
    """Refuse a folder that a report cannot go to, before hours are spent on it.

    Raises:
        RtdenoiseError: it is a file, or holds one of these and ``force`` is not given.
    """
    if folder.exists() and not folder.is_dir():
        raise RtdenoiseError(f"{folder} is a file; give a folder for the report")
    for name in names:
        if (folder / name).exists() and not force:
            raise RtdenoiseError(f"{folder / name} exists; use --force to replace it")


def save_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, by name, to a folder, which is made if missing; replaces what is there.

    Raises:
        RtdenoiseError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise RtdenoiseError(f"{folder}: cannot be written ({error.strerror})") from error


def cell(metric: str, interval: Interval, with_interval: bool = True) -> str:
    """Return a mean, and half the width of its interval, as a cell."""
    decimals = TITLES[metric][1]
    if math.isnan(interval.mean):
        return "-"
    if metric.endswith("_db") and interval.mean > MOST_DB:
        return f">{MOST_DB:.0f}"
    mean = f"{interval.mean:.{decimals}f}"
    if not with_interval:
        return mean
    return f"{mean} ±{(interval.high - interval.low) / 2:.{decimals}f}"


def _intervals(clips: list[Scores]) -> dict[str, Interval]:
    found = {
        metric: bootstrap_mean(clip[metric] for clip in clips)
        for metric in clips[0]
        if metric not in (WORD_ERRORS, WORDS)
    }
    if WORDS in clips[0]:
        percent = (100 * clip[WORD_ERRORS] for clip in clips)
        found[WORD_ERROR_RATE] = bootstrap_ratio(percent, (clip[WORDS] for clip in clips))
    return found


def _metrics(evaluation: Evaluation) -> tuple[str, ...]:
    return tuple(next(iter(next(iter(evaluation.scores.values())).values())))


def _clip_lines(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return a line for each system and clip; gaps are empty."""
    return [
        (system, clip, *("" if math.isnan(value) else repr(value) for value in values.values()))
        for system, clips in evaluation.scores.items()
        for clip, values in clips.items()
    ]


def _document(evaluation: Evaluation) -> dict[str, object]:
    clips = {
        system: {name: _finite(values) for name, values in clips.items()}
        for system, clips in evaluation.scores.items()
    }
    means = {
        system: {metric: _finite(vars(interval)) for metric, interval in found.items()}
        for system, found in intervals(evaluation).items()
    }
    return {"clips": clips, "means": means, "gaps": evaluation.gaps}


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Replace NaN, for which JSON has no word."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def _csv(lines: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _gap_list(gaps: list[str]) -> str:
    return "\nGaps:\n\n" + "".join(f"- {gap}\n" for gap in gaps) if gaps else ""
