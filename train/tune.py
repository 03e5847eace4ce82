"""Hyperparameter search: trials of short training runs, of which the hopeless end early.

The same command goes on with a search that was ended, and a trial that was cut off
continues from its last checkpoint.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import DataError, load_corpus
from rtdenoise.train.space import SPACES
from rtdenoise.train.study import Study
from rtdenoise.train.trials import Trial, draw_trials, figure_class, write_tables
from rtdenoise.train.workers import run_beside, run_here


def tune(
    base: FitConfig,
    folder: Path,
    cache: Path,
    device: str,
    trials: int,
    workers: int,
    console: Console,
) -> list[Trial]:
    """Search hyperparameters until there are so many complete or pruned trials in all.

    The first trial is ``base`` itself; each one shows as many hours of audio as it says.
    The tables and the picture in the folder show all trials.

    Args:
        base: everything that is not searched, and the values to begin with.
        folder: gets ``study.db``, ``trials.md``, ``trials.csv``, ``trials.png`` and a run's
            folder for each trial; a search in it is continued.
        cache: folder for decoded audio.
        device: where to train; with several workers, ``cuda`` stands for all GPUs in turn.
        trials: wanted in all, 1 or more.
        workers: trials at a time; above 1 each has a process with its share of the cores.
        console: gets a line for each trial that ends.

    Returns:
        All trials with the best one first, which is complete.

    Raises:
        DataError: the data or the folder cannot be used, there is no search for this
            network, or every trial diverged.
        RtdenoiseError: matplotlib is missing.
    """
    figure_class()  # rather now than after hours
    if base.network not in SPACES:
        raise DataError(f"nothing to search for {base.network!r}; use {' or '.join(SPACES)}")
    space = SPACES[base.network]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DataError("a search starts its own processes; do not start it with torchrun")
    if base.start_from is not None:
        raise DataError("trials differ in shape, so none can start from a checkpoint")
    for split in ("train", "valid"):
        load_corpus(base.sources, split, cache)  # decoded once, and refused before a study
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        study = Study(base, space, folder, trials, console)
        try:
            if workers > 1:
                run_beside(study, cache, device, workers)
            else:
                run_here(study, cache, device)
            found = study.trials()
        finally:
            study.close()
    write_tables(found, folder)
    logarithmic = {name for name, axis in space.axes.items() if axis.log}
    draw_trials(found, logarithmic).savefig(folder / "trials.png", dpi=100)
    if found[0].state != "complete":
        raise DataError(f"no trial came to its end; {folder / 'trials.md'} says why")
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other searches out of a folder; the lock goes when its process does."""
    # SQLite has locks on every system, and is here anyway.
    lock = sqlite3.connect(folder / "study.lock", timeout=0)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise DataError(f"{folder}: another process is searching in it") from error
        yield
    finally:
        lock.close()
