"""What commands need of the terminal: complaints, progress bars, signals, silence."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STDERR = 2
"""File descriptor of standard error."""


def complain(message: object) -> None:
    """Print one line on standard error."""
    print(f"rtdenoise: {message}", file=sys.stderr)


@contextmanager
def progress_bar(name: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on standard error while a file is worked on, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeColumn

    text = TextColumn("{task.description}", markup=False)
    console = Console(file=sys.stderr)
    with Progress(
        text, BarColumn(), TaskProgressColumn(), TimeColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C, and the signals that ask a program to end, unwind: temporary files go.

    The exit code is 128 and the signal's number, 130 for Ctrl-C.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for name in names:  # a second one would stop the tidying up
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        raise SystemExit(128 + number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    except SystemExit:
        complain("stopped; unfinished output removed")
        raise
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep standard error to ourselves.

    libsndfile's MP3 decoder prints its thoughts there; what matters comes as an error.
    """
    if sys.stderr.fileno() != STDERR:
        yield
        return
    ours = sys.stderr
    real = os.dup(STDERR)
    with open(
        real, "w", buffering=1, encoding=ours.encoding, errors="backslashreplace"
    ) as sys.stderr:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(real, STDERR)
            sys.stderr = ours
