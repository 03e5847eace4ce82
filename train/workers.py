"""Where the trials of a search are trained: in this process, or in several beside it.

Only the process that started the search touches the study. The others get one trial at a
time through a pipe and ask after each validation whether to go on, so no database is
shared, and a process that dies is seen by the end of its pipe.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console

from rtdenoise.errors import RtdenoiseError
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import DataError
from rtdenoise.train.fit import Fit
from rtdenoise.train.memory import keep_freed_memory

Scores = dict[str, float]


@dataclass(frozen=True)
class Job:
    """A trial to train: its number, what to train, and the folder of its run."""

    number: int
    config: FitConfig
    folder: Path


class Dispatcher(Protocol):
    """Whoever gives out the trials and takes their scores."""

    def next(self) -> Job | None:
        """Return the next trial, or None when there are enough."""

    def check(self, number: int, step: int, scores: Scores) -> str:
        """Take a trial's scores and return why it shall stop; nothing where it shall not."""

    def end(self, number: int, note: str, scores: Scores) -> None:
        """Take the end of a trial: why it stopped early, or nothing and its last scores."""


class _Stop(Exception):
    """Ends a run from within its callback."""


def train_job(
    job: Job, cache: Path, device: str, check: Callable[[int, Scores], str]
) -> tuple[str, Scores]:
    """Train one trial, and return why it stopped early (or nothing) and its last scores.

    Args:
        job: the trial.
        cache: folder for decoded audio.
        device: where to train.
        check: takes step and scores, and returns why to stop, or nothing.
    """

    def on_check(step: int, scores: Scores) -> None:
        if note := check(step, scores):
            raise _Stop(note)

    try:
        run = Fit(job.config, job.folder, cache, device, Console(quiet=True))
        return "", run.run(on_check)
    except _Stop as stop:
        return str(stop), {}
    except torch.OutOfMemoryError:
        # Of a GPU: this network is too large for it, another one may not be.
        return "out of memory", {}


def run_here(dispatcher: Dispatcher, cache: Path, device: str) -> None:
    """Train all trials in this process."""
    while job := dispatcher.next():
        note, scores = train_job(job, cache, device, partial(dispatcher.check, job.number))
        dispatcher.end(job.number, note, scores)


def run_beside(dispatcher: Dispatcher, cache: Path, device: str, workers: int) -> None:
    """Train all trials in several processes, which share the cores, or take a GPU each.

    Args:
        dispatcher: gives out the trials.
        cache: folder for decoded audio.
        device: where to train; ``cuda`` stands for all GPUs in turn.
        workers: number of processes.

    Raises:
        DataError: a trial met something that the user can mend, or a process died.
        RuntimeError: a trial met anything else.
    """
    context = get_context("spawn")
    threads = max(1, torch.get_num_threads() // workers)
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    processes: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, Job] = {}
    try:
        while len(processes) < workers and (job := dispatcher.next()):
            place = f"cuda:{len(processes) % gpus}" if gpus else device
            pipe, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, job, cache, place, threads))
            process.start()
            # Or the pipe would not end with the process.
            theirs.close()
            processes[pipe], busy[pipe] = process, job
        while busy:
            for pipe in wait(list(busy)):
                try:
                    message = pipe.recv()
                except (EOFError, OSError) as error:
                    process = processes[pipe]
                    process.join(10)
                    raise DataError(
                        f"trial {busy[pipe].number}: its process died (exit code "
                        f"{process.exitcode}), perhaps for want of memory; the same command "
                        "goes on, with fewer workers if need be"
                    ) from error
                reply = _answer(dispatcher, busy[pipe].number, message)
                if reply is None:
                    del busy[pipe]
                    continue
                if isinstance(reply, Job):
                    busy[pipe] = reply
                with suppress(BrokenPipeError):  # it died; its pipe is about to say so
                    pipe.send(reply)
    finally:
        for pipe, process in processes.items():
            process.terminate()
            process.join()
            pipe.close()


def _answer(dispatcher: Dispatcher, number: int, message: tuple[Any, ...]) -> str | Job | None:
    """Return what to send to the process of a trial; nothing when it has done its part."""
    kind, *values = message
    if kind == "check":
        return dispatcher.check(number, *values)
    if kind == "end":
        dispatcher.end(number, *values)
        return dispatcher.next()
    if kind == "refused":
        raise DataError(values[0])
    raise RuntimeError(f"trial {number} failed in its process:\n{values[0]}")


def work(pipe: Connection, job: Job, cache: Path, device: str, threads: int) -> None:
    """Be a process that trains ``job``, and then what comes through the pipe."""
    # Ctrl-C reaches every process of a terminal; the one that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    if device == "cpu":
        keep_freed_memory()
    serve(pipe, job, cache, device)


def _end_with_parent() -> None:
    # One that was killed leaves nobody to end this process, whose trial another would repeat.
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def serve(pipe: Connection, job: Job, cache: Path, device: str) -> None:
    """Train ``job`` and what comes through the pipe, until it ends or a trial fails."""

    def check(step: int, scores: Scores) -> str:
        pipe.send(("check", step, scores))
        return str(pipe.recv())

    try:
        while True:
            pipe.send(("end", *train_job(job, cache, device, check)))
            job = pipe.recv()
    except RtdenoiseError as error:
        pipe.send(("refused", str(error)))
    except (EOFError, BrokenPipeError):
        return
    except Exception:
        # As text: not every exception survives the way through a pipe.
        pipe.send(("failed", traceback.format_exc()))
