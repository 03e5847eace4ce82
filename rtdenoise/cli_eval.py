"""The command `eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdenoise.errors import RtdenoiseError
from rtdenoise.terminal import complain, progress_bar

if TYPE_CHECKING:
    from rtdenoise.outside import OutsideSystem


def evaluate(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy recordings.")],
    clean: Annotated[
        Path | None,
        typer.Option(help="Folder of their clean references, same names. Without: DNSMOS only."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model to score; repeatable. Default: all.")
    ] = None,
    cmd: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COMMAND",
            help="Another denoiser, as in 'rnn=tool {in} {out}'; repeatable.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Score by all 17 metrics, not by the usual four.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores.json, scores.csv and scores.md.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Score models and other denoisers: PESQ, STOI, SI-SDR, composite, DNSMOS and more.

    Means are followed by half the width of their 95 % bootstrap intervals.
    """
    from rtdenoise.report import check_report, save_report, table

    if out is not None:
        check_report(out, force)
    from rtdenoise.evaluate import UNPROCESSED, find_pairs, score_models
    from rtdenoise.metrics import ALL_METRICS, HEADLINE, NO_REFERENCE
    from rtdenoise.model import list_models
    from rtdenoise.outside import parse_outside

    pairs = find_pairs(noisy, clean)
    metrics = list(ALL_METRICS if every else HEADLINE)
    if clean is None:
        metrics = [name for name in ALL_METRICS if name in NO_REFERENCE]
    systems: list[str | OutsideSystem] = [
        UNPROCESSED,
        *(model or list_models()),
        *map(parse_outside, cmd or []),
    ]
    with progress_bar("scoring", quiet=False) as progress:
        found = score_models(pairs, systems, progress, metrics)
    if out is not None:
        save_report(found, out, force)
    print(table(found))
    for gap in found.gaps:
        complain(gap)
    if all(len(found.gaps) and not _has_score(clips) for clips in found.scores.values()):
        raise RtdenoiseError("nothing could be scored; see above")


def _has_score(clips: dict[str, dict[str, float]]) -> bool:
    return any(value == value for values in clips.values() for value in values.values())
