"""The trials of a hyperparameter search: their ranking, tables and picture."""

import csv
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import RtdenoiseError
from rtdenoise.tables import markdown

PANEL_COLUMNS = 3
"""Panels side by side in the picture."""


@dataclass(frozen=True)
class Trial:
    """One training run of a search.

    Attributes:
        number: counted from 0 in the order of their beginning.
        state: ``complete``, ``pruned``, ``failed`` (cut off), ``running`` or ``waiting``.
        settings: value of each hyperparameter that is searched.
        score: of its best validation; None before the first one.
        scores: what that validation measured.
        steps: optimiser steps up to the last validation.
        hours: hours of audio shown in them.
        minutes: time that they took.
        note: why it ended early, or what else is special; may be empty.
    """

    number: int
    state: str
    settings: dict[str, int | float]
    score: float | None
    scores: dict[str, float]
    steps: int
    hours: float
    minutes: float
    note: str


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Return complete trials with the best score first, then pruned ones, then the rest."""

    def place(trial: Trial) -> tuple[int, float, int]:
        if trial.score is None or trial.state not in order:
            return order.get(trial.state, len(order)), math.inf, trial.number
        return order[trial.state], -trial.score, trial.number

    order = {"complete": 0, "pruned": 1}
    return sorted(trials, key=place)


def options(trial: Trial) -> str:
    """Return a trial's settings as options of ``rtdenoise train``."""
    return " ".join(f"--{k.replace('_', '-')} {v}" for k, v in trial.settings.items())


def write_tables(trials: Sequence[Trial], folder: Path) -> None:
    """Write ``trials.md``, rounded to read, and ``trials.csv``, in full precision."""
    rows = _rows(ranked(trials))
    cells = [{title: _cell(value) for title, value in row.items()} for row in rows]
    (folder / "trials.md").write_text(markdown(cells) + "\n", encoding="utf-8")
    with (folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    measures = dict.fromkeys(name for t in trials for name in t.scores)
    settings = dict.fromkeys(name for t in trials for name in t.settings)
    return [
        {
            "rank": rank if trial.state == "complete" else None,
            "trial": trial.number,
            "state": trial.state,
            "score": trial.score,
            **{name: trial.scores.get(name) for name in measures},
            **{name: trial.settings.get(name) for name in settings},
            "steps": trial.steps,
            "hours": trial.hours,
            "minutes": trial.minutes,
            "note": trial.note,
        }
        for rank, trial in enumerate(trials, 1)
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure_class() -> Any:
    """Return matplotlib's ``Figure``, which needs no display.

    Raises:
        RtdenoiseError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RtdenoiseError("pictures need a package: pip install 'rtdenoise[plot]'") from error
    return Figure


def draw_trials(trials: Sequence[Trial], logarithmic: Collection[str]) -> Any:
    """Return a figure: scores in the order of the trials, and against each setting.

    Pruned trials are hollow; those without a result are crosses at the lower edge.

    Args:
        trials: at least one.
        logarithmic: settings to show on a logarithmic axis (zero has a place on it too).

    Raises:
        RtdenoiseError: matplotlib is missing.
    """
    names = list(dict.fromkeys(name for t in trials for name in t.settings))
    lines = -(-len(names) // PANEL_COLUMNS)
    figure = figure_class()(figsize=(10, 3 + 2.4 * lines), layout="constrained")
    grid = figure.add_gridspec(1 + lines, PANEL_COLUMNS)
    history = figure.add_subplot(grid[0, :])
    _scatter(history, [(t.number, t) for t in trials])
    _draw_best_so_far(history, trials)
    history.set_xlabel("trial")
    history.xaxis.get_major_locator().set_params(integer=True)
    history.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=8)
    for k, name in enumerate(names):
        place = grid[1 + k // PANEL_COLUMNS, k % PANEL_COLUMNS]
        panel = figure.add_subplot(place, sharey=history)
        points = [(t.settings[name], t) for t in trials if name in t.settings]
        if name in logarithmic:
            _stretch(panel, [value for value, _ in points])
        _scatter(panel, points)
        panel.set_xlabel(name.replace("_", " "))
    for panel in figure.axes:
        panel.set_ylabel("score")
    return figure


def _stretch(panel: Any, values: list[float]) -> None:
    """Make the axis logarithmic; zero, where it occurs, lies left of the smallest value."""
    if min(values) > 0:
        panel.set_xscale("log")
    else:
        smallest = min((v for v in values if v > 0), default=1.0)
        panel.set_xscale("symlog", linthresh=smallest)
    # Over less than a decade they would lie on each other.
    panel.tick_params(axis="x", which="minor", labelbottom=False)


def _scatter(panel: Any, points: list[tuple[float, Trial]]) -> None:
    for state, face in (("complete", "C0"), ("pruned", "none")):
        chosen = [(x, t.score) for x, t in points if t.state == state and t.score is not None]
        if chosen:
            panel.plot(*zip(*chosen, strict=True), "o", color="C0", ms=5, mfc=face, label=state)
    x = [x for x, t in points if t.state not in ("complete", "pruned") or t.score is None]
    if x:
        # In fractions of the panel's height, so that they stretch no axis of scores.
        low = panel.get_xaxis_transform()
        panel.plot(x, [0.04] * len(x), "x", color="C3", ms=5, transform=low, label="no result")


def _draw_best_so_far(panel: Any, trials: Sequence[Trial]) -> None:
    done = [t for t in sorted(trials, key=lambda t: t.number) if t.state == "complete"]
    best: list[float] = []
    for trial in done:
        best.append(max([trial.score, *best[-1:]]))
    panel.step([t.number for t in done], best, where="post", color="C1", label="best so far")
