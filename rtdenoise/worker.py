"""The thread that does the work of a live run, and an interpreter that does not disturb it."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rtdenoise.pipeline import Pipeline

SWITCH_S = 0.0005
"""How long another thread may keep the interpreter from the worker; Python's own is 5 ms."""

PRIORITY = -11
"""Nice value that sound servers take."""

REALTIME_PRIORITY = 5
"""Real-time priority that sound servers take, of 1 to 99."""

MOST_PIECES = 25
"""Whoever does so much work without a pause must not keep a processor from all others."""

PATIENCE_S = 0.5
"""The worker looks for itself after so long without a callback."""


class Worker:
    """Does a pipeline's work while the context is entered.

    Args:
        pipeline: whose work to do.
        has_bursts: whether single pieces of it may take long. Then the thread is a usual one:
            one that goes first would keep the sound server from its work so long.

    Attributes:
        wake: to be set when there may be work.
    """

    def __init__(self, pipeline: Pipeline, *, has_bursts: bool = False) -> None:
        self._pipeline, self._has_bursts = pipeline, has_bursts
        self.wake = threading.Event()
        self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="denoiser", daemon=True)

    def check(self) -> None:
        """Raise here what was raised in the thread, if anything was."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self.wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            is_realtime = _schedule() == _REALTIME
            if is_realtime and self._has_bursts:
                is_realtime = not _set_schedule(_USUAL)
            while not self._stopping:
                self.wake.wait(PATIENCE_S)
                self.wake.clear()
                pieces = 0
                while not self._stopping and self._pipeline.work():
                    pieces += 1
                    if is_realtime and pieces == MOST_PIECES:
                        _set_schedule(_USUAL)
                if is_realtime and pieces >= MOST_PIECES:
                    _set_schedule(_REALTIME)
        except BaseException as error:
            self._error = error


@contextmanager
def calm_interpreter() -> Iterator[None]:
    """Keep the garbage collector and other threads and programs out of the worker's way.

    What exists by now is not looked through again, and nothing is collected but when
    :func:`collect` is called. Threads that start inside, the worker's and those of the audio
    driver, have the priority of a sound server where the system lets users raise it; where
    it lets them, they go before all usual threads.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    priority, schedule = _raise_priority(), _schedule()
    is_realtime = _set_schedule(_REALTIME)
    try:
        yield
    finally:
        if is_realtime:
            _set_schedule(schedule)
        if priority is not None:
            os.setpriority(os.PRIO_PROCESS, 0, priority)
        gc.enable()
        gc.unfreeze()
        sys.setswitchinterval(interval)


def collect() -> None:
    """Collect the little garbage that a live run makes: a fraction of a hop's time."""
    gc.collect()


def _raise_priority() -> int | None:
    """Raise the priority of this thread and those it starts; return what it was, or None."""
    if sys.platform == "win32":
        return None
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except OSError:  # most systems let only some users do this; it works without
        return None
    return usual


def _schedule() -> tuple[int, int]:
    """Return the scheduling policy and priority of this thread."""
    if sys.platform != "linux":
        return _USUAL
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def _set_schedule(schedule: tuple[int, int]) -> bool:
    """Set them for this thread and those it will start; return whether the system let us."""
    if sys.platform != "linux":
        return False
    try:
        os.sched_setscheduler(0, schedule[0], os.sched_param(schedule[1]))
    except OSError:
        return False
    return True


_USUAL = (0, 0)
_REALTIME = (os.SCHED_RR, REALTIME_PRIORITY) if sys.platform == "linux" else (-1, 0)
