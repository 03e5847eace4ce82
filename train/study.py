"""The study of a hyperparameter search, in a database that outlives the search.

Optuna's tree-structured Parzen estimator (https://arxiv.org/abs/1907.10902) proposes the
trials; the median rule ends those whose best score lies below what half of the complete
ones had at that step.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from rtdenoise.train.config import FitConfig, recipe
from rtdenoise.train.data import RATE_HZ, DataError
from rtdenoise.train.space import Axis, Settings, Space
from rtdenoise.train.trials import Trial, options, ranked, write_tables
from rtdenoise.train.validate import overall
from rtdenoise.train.workers import Job, Scores

FIRST_COMPLETE = 5
"""Trials that have to be complete before any is pruned."""

RETRIES = 3
"""How often a trial is taken up again that was cut off before its next validation."""

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}

NO_PROGRESS: dict[str, Any] = {"step": 0, "seconds": 0.0, "scores": {}}
"""Of a trial before its first validation: step, time, and scores of the best one."""


@dataclass
class _Running:
    """A trial under way: its handle, when it began, what was reported, and its progress."""

    trial: optuna.Trial
    reported: set[int]
    progress: dict[str, Any]
    before_s: float
    since: float = field(default_factory=time.monotonic)


class Study:
    """The trials so far: gives out the next one, judges scores, and keeps the tables.

    Args:
        base: the configuration to begin with.
        space: what is searched.
        folder: where it lies; no other process may use it.
        wanted: complete or pruned trials in all.
        console: gets a line for each trial that ends.

    Raises:
        DataError: the folder holds a search with another recipe.
    """

    def __init__(
        self, base: FitConfig, space: Space, folder: Path, wanted: int, console: Console
    ) -> None:
        self._base, self._space, self._folder = base, space, folder
        self._wanted, self._console = wanted, console
        self._distributions = {name: _distribution(axis) for name, axis in space.axes.items()}
        self._total_steps = base.steps(1)
        self._running: dict[int, _Running] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = optuna.storages.RDBStorage(f"sqlite:///{folder.resolve() / 'study.db'}")
        self._study = optuna.create_study(
            storage=self._storage,
            study_name="rtdenoise",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(FIRST_COMPLETE, self._total_steps // 4),
        )
        try:
            self._claim()
        except DataError:
            self.close()
            raise
        # With the bare seed a continued search would draw its first trials again.
        seed = base.seed + len(self._study.trials)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)

    def close(self) -> None:
        """Close the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _claim(self) -> None:
        """Begin the study with the base, or take up what was cut off."""
        wanted = recipe(self._base, 1) | {"search space": asdict(self._space)}
        wanted = json.loads(json.dumps(wanted))  # as it comes back: lists for tuples
        found = self._study.user_attrs.get("recipe")
        if found is None:
            self._study.set_user_attr("recipe", wanted)
        elif found != wanted:
            changed = [k for k, v in wanted.items() if found.get(k) != v]
            raise DataError(
                f"{self._folder}: holds a search with another recipe ({', '.join(changed)} "
                "differ); give the same options to continue it, or another folder"
            )
        if not self._study.trials:
            settings = self._space.settings(self._base)
            attributes = {"settings": settings, "base": True}
            # To the sampler it is the nearest point of the space; it is trained as it is.
            axes = self._space.axes
            self._queue({k: axes[k].nearest(v) for k, v in settings.items()}, {}, attributes)
        # Nobody else is at work here: what seems to be running was cut off.
        for cut in self._study.get_trials(states=(TrialState.RUNNING,)):
            retries = cut.user_attrs.get("retries", 0)
            if retries < RETRIES:
                attributes = {"retries": retries + 1, "retry_of": cut.number}
                self._queue(cut.params, cut.intermediate_values, cut.user_attrs | attributes)
            self._study.tell(cut.number, state=TrialState.FAIL)

    def _queue(self, values: Settings, reported: dict[int, float], attributes: Any) -> None:
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING,
                params=values,
                distributions={name: self._distributions[name] for name in values},
                intermediate_values=reported,
                user_attrs=attributes,
            )
        )

    def next(self) -> Job | None:
        """Return the next trial, or None when there are enough."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        if len(self._study.get_trials(False, ended)) + len(self._running) >= self._wanted:
            return None
        trial = self._study.ask(self._distributions)
        attributes = trial.user_attrs
        if "settings" not in attributes:
            trial.set_user_attr("settings", {k: _short(v) for k, v in trial.params.items()})
        if "folder" not in attributes:
            # A retried trial goes on in the folder of the first try.
            trial.set_user_attr("folder", f"trial_{trial.number:03d}")
        attributes = trial.user_attrs
        progress = attributes.get("progress", NO_PROGRESS)
        reported = set(self._study.trials[trial.number].intermediate_values)
        self._running[trial.number] = _Running(trial, reported, progress, progress["seconds"])
        config = self._space.apply(self._base, attributes["settings"])
        return Job(trial.number, config, self._folder / attributes["folder"])

    def check(self, number: int, step: int, scores: Scores) -> str:
        """Take a trial's scores and return why it shall stop; nothing where it shall not."""
        running = self._running[number]
        trial, best = running.trial, running.progress["scores"]
        seconds = running.before_s + time.monotonic() - running.since
        finite = math.isfinite(overall(scores))
        if finite and (not best or overall(scores) > overall(best)):
            best = scores
        running.progress = {"step": step, "seconds": seconds, "scores": best}
        trial.set_user_attr("progress", running.progress)
        if trial.user_attrs.get("retries"):
            trial.set_user_attr("retries", 0)  # it got somewhere
        if not finite:
            return "diverged"
        if step not in running.reported:
            running.reported.add(step)
            trial.report(overall(scores), step)
        hopeless = step < self._total_steps and trial.should_prune()
        return "below the median" if hopeless else ""

    def end(self, number: int, note: str, scores: Scores) -> None:
        """Take the end of a trial: why it stopped early, or nothing and its last scores."""
        if not note and self._running[number].progress["step"] < self._total_steps:
            # Its last checkpoint was written, but a cut came before its scores were here.
            note = self.check(number, self._total_steps, scores)
        running = self._running.pop(number)
        if note:
            running.trial.set_user_attr("note", note)
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, overall(running.progress["scores"]))
        found = self.trials()
        write_tables(found, self._folder)
        self._tell(next(t for t in found if t.number == number), found[0])

    def _tell(self, ended: Trial, best: Trial) -> None:
        words = [f"trial {ended.number}", ended.state]
        if ended.score is not None:
            words.append(f"score {ended.score:.4f}")
        if best.state == "complete":
            words.append(f"best {best.score:.4f} (trial {best.number})")
        words += [options(ended), f"{ended.minutes:.1f} min", ended.note]
        self._console.print("  ".join(w for w in words if w), highlight=False, markup=False)

    def trials(self) -> list[Trial]:
        """Return all trials, the best one first."""
        found = self._study.get_trials(deepcopy=False)
        successors = {t.user_attrs.get("retry_of"): t.number for t in found}
        return ranked(self._record(t, successors.get(t.number)) for t in found)

    def _record(self, trial: FrozenTrial, successor: int | None) -> Trial:
        attributes = trial.user_attrs
        progress = attributes.get("progress", NO_PROGRESS)
        notes = ["as given"] if attributes.get("base") else []
        notes += [attributes["note"]] if "note" in attributes else []
        notes += [f"cut off, went on as {successor}"] if successor is not None else []
        step_s = self._base.batch_clips * self._base.clip_samples / RATE_HZ
        return Trial(
            number=trial.number,
            state=STATES[trial.state],
            settings=attributes.get("settings", trial.params),
            score=overall(progress["scores"]) if progress["scores"] else None,
            scores=progress["scores"],
            steps=progress["step"],
            hours=progress["step"] * step_s / 3600,
            minutes=progress["seconds"] / 60,
            note=", ".join(notes),
        )


def _short(value: float) -> float:
    """Return three digits of a number, so that a command with it can be typed."""
    return value if isinstance(value, int) else float(f"{value:.3g}")


def _distribution(axis: Axis) -> IntDistribution | FloatDistribution:
    if isinstance(axis.low, int):
        return IntDistribution(axis.low, axis.high, axis.log, axis.step or 1)
    return FloatDistribution(axis.low, axis.high, axis.log, axis.step)
