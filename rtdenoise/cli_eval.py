"""The command ``rtdenoise eval``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdenoise.errors import RtdenoiseError
from rtdenoise.terminal import complain, progress_bar

if TYPE_CHECKING:
    from rtdenoise.evaluate import Evaluation, System
    from rtdenoise.pairs import Pair

PAGE = "index.html"
PICTURES = "pictures"


def evaluate(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy recordings.")],
    clean: Annotated[
        Path | None,
        typer.Option(help="Folder of their clean references, same names. Without: DNSMOS only."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model to score, or NAME@N; repeatable. Default: all.")
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
    transcripts: Annotated[
        Path | None,
        typer.Option(help="What was said: lines NAME<tab>words, or a folder of NAME.txt."),
    ] = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Score under harder conditions as well.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores as JSON, CSV and Markdown.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Draw each clip into OUT/pictures.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write OUT/index.html: tables, pictures, players.")
    ] = False,
    html_clips: Annotated[
        int, typer.Option(min=1, help="Most clips on the page; the worst are taken.")
    ] = 20,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Score models and other denoisers: PESQ, STOI, SI-SDR, composite, DNSMOS and more.

    Means are followed by half the width of their 95 % bootstrap intervals.
    """
    if (pictures or html) and out is None:
        raise RtdenoiseError("--pictures and --html need a folder to write to; give --out")
    if stress and clean is None:
        raise RtdenoiseError("--stress needs clean references; give --clean")
    from rtdenoise.evaluate import UNPROCESSED, score_models
    from rtdenoise.metrics import ALL_METRICS, HEADLINE, NO_REFERENCE
    from rtdenoise.model import list_models
    from rtdenoise.outside import parse_outside
    from rtdenoise.pairs import find_pairs
    from rtdenoise.plot import check_drawing
    from rtdenoise.report import check_free, save_files, score_files, score_rows
    from rtdenoise.tables import markdown
    from rtdenoise.transcripts import check_recogniser, read_transcripts

    pairs = find_pairs(noisy, clean)
    plan = _Plan(pairs, out, stress, pictures, html, html_clips)
    if out is not None:
        check_free(out, plan.files(), force)
    if pictures or html:
        check_drawing()
    if transcripts is not None:
        check_recogniser()
    metrics = list(ALL_METRICS if every else HEADLINE)
    if clean is None:
        metrics = [name for name in ALL_METRICS if name in NO_REFERENCE]
    said = None if transcripts is None else read_transcripts(transcripts)
    systems: list[System] = [*(model or list_models()), *map(parse_outside, cmd or [])]
    with progress_bar("scoring", quiet=False) as progress:
        found = score_models(pairs, [UNPROCESSED, *systems], progress, metrics, said)
    if out is not None:
        save_files(out, score_files(found))  # first, so that nothing later can lose them
    print(markdown(score_rows(found)))
    for gap in _shortened(found.gaps):
        complain(gap)
    if all(not _has_score(clips) for clips in found.scores.values()):
        raise RtdenoiseError("nothing could be scored; see above")
    plan.finish(systems, found)


@dataclass(frozen=True)
class _Plan:
    """What is asked for beyond scores."""

    pairs: list["Pair"]
    out: Path | None
    stress: bool
    pictures: bool
    html: bool
    html_clips: int

    def files(self) -> Iterator[str]:
        """Return the names of all files that will be written to ``out``."""
        from rtdenoise.listening import picture_names
        from rtdenoise.report import SCORE_FILES, STRESS_FILES

        yield from SCORE_FILES
        if self.stress:
            yield from STRESS_FILES
        if self.pictures:
            yield from (f"{PICTURES}/{name}" for name in picture_names(self.pairs))
        if self.html:
            yield PAGE

    def finish(self, systems: list["System"], found: "Evaluation") -> None:
        """Do it, given what was scored."""
        from rtdenoise.evaluate import UNPROCESSED
        from rtdenoise.listening import collect_clips, save_pictures, worst_first
        from rtdenoise.page import write_page
        from rtdenoise.report import save_files, score_rows, stress_files, stress_tables, text_of
        from rtdenoise.robustness import score_conditions
        from rtdenoise.stress import CONDITIONS

        tables = {"Scores, ± half of the 95 % interval": score_rows(found)}
        if self.stress:
            with progress_bar("harder conditions", quiet=False) as progress:
                harder = score_conditions(self.pairs, [UNPROCESSED, *systems], progress)
            if self.out is not None:
                save_files(self.out, stress_files(harder))
            by_metric = stress_tables(harder)
            print(f"\n{text_of(by_metric)}")
            for name, evaluation in harder.items():
                for gap in _shortened(evaluation.gaps):
                    complain(f"{name}: {gap}")
            tables |= {
                f"{title} under harder conditions": rows for title, rows in by_metric.items()
            }
            tables["Conditions"] = [
                {"condition": name, "what was done": condition.what}
                for name, condition in CONDITIONS.items()
            ]
        if self.out is None:
            return
        if self.pictures:
            with progress_bar("drawing", quiet=False) as progress:
                save_pictures(self.pairs, systems, self.out / PICTURES, progress)
        if self.html:
            by_name = {pair.name: pair for pair in self.pairs}
            worst = [by_name[name] for name in worst_first(found)[: self.html_clips]]
            with progress_bar("writing the page", quiet=False) as progress:
                clips = collect_clips(worst, systems, found, progress)
            shown = "all clips" if len(worst) == len(self.pairs) else f"the {len(worst)} worst"
            title = f"{len(self.pairs)} recordings; to hear: {shown}, the worst first"
            write_page(self.out / PAGE, title, tables, clips)


def _shortened(gaps: list[str]) -> Iterator[str]:
    """Return a line for each system and reason, however many clips it is about."""
    clips: dict[str, list[str]] = {}
    for gap in gaps:
        clip, _, why = gap.partition(", ")
        clips.setdefault(why, []).append(clip)
    for why, (first, *more) in clips.items():
        yield f"{first}{f' and {len(more)} more' if more else ''}, {why}"


def _has_score(clips: dict[str, dict[str, float]]) -> bool:
    return any(value == value for values in clips.values() for value in values.values())
