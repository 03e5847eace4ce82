"""The thread that does the work of a live run, and an interpreter that does not disturb it."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rtdenoise.pipeline import Pipeline

SWITCH_S = 0.0005
"""How long another thread may keep the interpreter from the worker; Python's own is 5 ms."""

PATIENCE_S = 0.5
"""The worker looks for itself after so long without a callback."""


class Worker:
    """Does a pipeline's work while the context is entered.

    Args:
        pipeline: whose work to do.

    Attributes:
        wake: to be set when there may be work.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
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
            while not self._stopping:
                self.wake.wait(PATIENCE_S)
                self.wake.clear()
                while not self._stopping and self._pipeline.work():
                    pass
        except BaseException as error:
            self._error = error


@contextmanager
def calm_interpreter() -> Iterator[None]:
    """Keep the garbage collector and the other threads out of the worker's way.

    What exists by now is not looked through again, and nothing is collected but when
    :func:`collect` is called.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        sys.setswitchinterval(interval)


def collect() -> None:
    """Collect the little garbage that a live run makes: a fraction of a hop's time."""
    gc.collect()
