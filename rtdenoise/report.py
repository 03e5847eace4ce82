"""Writes what an evaluation found: as a table to read, and as files to go on with."""

import csv
import io
import json
import math
from pathlib import Path

from rtdenoise.errors import RtdenoiseError
from rtdenoise.evaluate import Evaluation
from rtdenoise.statistics import Interval, bootstrap_mean
from rtdenoise.tables import markdown

FILES = ("scores.json", "scores.csv", "scores.md")

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
}
"""Title of each metric in tables, and its decimals."""


def intervals(evaluation: Evaluation) -> dict[str, dict[str, Interval]]:
    """Return mean and 95 % interval by system and metric."""
    return {
        system: {
            metric: bootstrap_mean(clip[metric] for clip in clips.values())
            for metric in next(iter(clips.values()))
        }
        for system, clips in evaluation.scores.items()
    }


def table(evaluation: Evaluation, with_intervals: bool = True) -> str:
    """Return means by system as a table in Markdown.

    Args:
        evaluation: what was found.
        with_intervals: whether half the width of each interval stands beside its mean.
    """
    rows = []
    for system, means in intervals(evaluation).items():
        cells = {"system": system}
        for metric, interval in means.items():
            title, decimals = TITLES[metric]
            cells[title] = _cell(interval, decimals, with_intervals)
        rows.append(cells)
    return markdown(rows)


def save_report(evaluation: Evaluation, folder: Path, force: bool = False) -> None:
    """Write scores of each clip as JSON and CSV, and the table as Markdown.

    Args:
        evaluation: what was found.
        folder: made if missing.
        force: whether existing files may be replaced.

    Raises:
        RtdenoiseError: a file exists, or cannot be written.
    """
    check_report(folder, force)
    clips = {
        system: {name: _finite(values) for name, values in clips.items()}
        for system, clips in evaluation.scores.items()
    }
    summary = {
        system: {metric: _finite(vars(interval)) for metric, interval in means.items()}
        for system, means in intervals(evaluation).items()
    }
    document = {"clips": clips, "means": summary, "gaps": evaluation.gaps}
    gaps = "".join(f"- {gap}\n" for gap in evaluation.gaps)
    text = f"{table(evaluation)}\n" + (f"\nGaps:\n\n{gaps}" if gaps else "")
    contents = (json.dumps(document, indent=1) + "\n", _csv(evaluation), text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(FILES, contents, strict=True):
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise RtdenoiseError(f"{folder}: cannot be written ({error.strerror})") from error


def check_report(folder: Path, force: bool) -> None:
    """Refuse a folder that a report cannot go to, before hours are spent on it.

    Raises:
        RtdenoiseError: it is a file, or holds a report and ``force`` is not given.
    """
    if folder.exists() and not folder.is_dir():
        raise RtdenoiseError(f"{folder} is a file; give a folder for the report")
    for name in FILES:
        if (folder / name).exists() and not force:
            raise RtdenoiseError(f"{folder / name} exists; use --force to replace it")


def _cell(interval: Interval, decimals: int, with_interval: bool) -> str:
    if math.isnan(interval.mean):
        return "-"
    mean = f"{interval.mean:.{decimals}f}"
    if not with_interval:
        return mean
    return f"{mean} ±{(interval.high - interval.low) / 2:.{decimals}f}"


def _csv(evaluation: Evaluation) -> str:
    """Return a line for each system and clip; gaps are empty."""
    lines = io.StringIO()
    metrics = next(iter(next(iter(evaluation.scores.values())).values()))
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["system", "clip", *metrics])
    for system, clips in evaluation.scores.items():
        for name, values in clips.items():
            cells = ("" if math.isnan(value) else repr(value) for value in values.values())
            writer.writerow([system, name, *cells])
    return lines.getvalue()


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Replace NaN, for which JSON has no word."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
