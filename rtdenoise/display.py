"""Three ways to show a live run: a picture, a line a second, or JSON a second."""

import json
import math
import sys
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live

from rtdenoise.errors import RtdenoiseError
from rtdenoise.keys import in_foreground
from rtdenoise.meters import Snapshot
from rtdenoise.picture import Picture, printable

INTERVAL_S = 1.0
"""Least time between two lines."""


class Display(ABC):
    """Where the snapshots of a live run go. A context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return None

    @abstractmethod
    def show(self, snapshot: Snapshot) -> None:
        """Show one moment; called about ten times a second."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a line once, such as what happened to a device."""


class LineDisplay(Display):
    """Writes one line a second at most, but always the first and the last snapshot.

    Args:
        file: to write to; standard output if None.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self._written_s = -math.inf
        self._unwritten: Snapshot | None = None

    def __exit__(self, *raised: object) -> None:
        # Nobody may be reading any more; another error would hide the first.
        if self._unwritten is not None and not isinstance(raised[1], BrokenPipeError):
            self._write(self.line(self._unwritten))
        self._unwritten = None

    def show(self, snapshot: Snapshot) -> None:
        """Write one moment if the last line is a second old."""
        if snapshot.elapsed_s - self._written_s < INTERVAL_S:
            self._unwritten = snapshot
            return
        self._written_s = snapshot.elapsed_s
        self._unwritten = None
        self._write(self.line(snapshot))

    @abstractmethod
    def line(self, snapshot: Snapshot) -> str:
        """Return one moment as a line."""

    def _write(self, line: str) -> None:
        print(line, file=self._file, flush=True)


class PlainDisplay(LineDisplay):
    """Words and numbers, for logs and for terminals that cannot redraw.

    Args:
        file: to write to; standard output if None.
    """

    def line(self, snapshot: Snapshot) -> str:
        """Return one moment in words; what is as usual is left out."""
        s = snapshot
        parts = [
            f"{int(s.elapsed_s)} s",
            f"in {s.input_db:.1f} dB",
            f"out {s.output_db:.1f} dB",
            f"reduction {s.reduction_db:.1f} dB",
            _delay(s),
            _compute(s),
            f"RTF {s.real_time_factor:.3f}",
            f"xruns {s.xruns}",
        ]
        if s.stalls:
            parts.append(f"stalls {s.stalls}")
        if s.dropped_ms or s.repeated_ms:
            parts.append(f"dropped {s.dropped_ms:.1f} ms  repeated {s.repeated_ms:.1f} ms")
        if s.bypass:
            parts.append("bypass")
        if s.waiting_for:
            parts.append(f"waiting for {printable(s.waiting_for)}")
        return "  ".join(parts)

    def note(self, text: str) -> None:
        """Write a line once."""
        self._write(printable(text))


class JsonDisplay(LineDisplay):
    """One JSON object a line, for programs.

    It has the fields of :class:`Snapshot` and what follows from them: the sum of the delay,
    the real-time factor and the xruns. A note is ``{"note": TEXT}``.

    Args:
        file: to write to; standard output if None.
    """

    def line(self, snapshot: Snapshot) -> str:
        """Return one moment as JSON; a number that is not finite is null."""
        fields = asdict(snapshot)
        fields["delay"]["total_ms"] = snapshot.delay.total_ms
        fields["real_time_factor"] = snapshot.real_time_factor
        fields["xruns"] = snapshot.xruns
        return json.dumps(_finite(fields), allow_nan=False)

    def note(self, text: str) -> None:
        """Write a note as an object of its own."""
        self._write(json.dumps({"note": text}))


class PictureDisplay(Display):
    """Meters and numbers, redrawn in place; they vanish at the end.

    Args:
        console: to draw on; standard output if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        # No thread of its own: the caller says when to draw.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        try:
            self._terminal: int | None = self._console.file.fileno()
        except OSError:
            self._terminal = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw one moment, unless another program has the terminal."""
        if self._terminal is None or in_foreground(self._terminal):
            self._live.update(Picture(snapshot), refresh=True)

    def note(self, text: str) -> None:
        """Write a line above the picture."""
        self._console.print(printable(text), markup=False, highlight=False, emoji=False)


def choose_display(plain: bool, json: bool) -> Display:
    """Return the display for standard output: a picture if that is a terminal.

    Args:
        plain: ask for lines of words.
        json: ask for lines of JSON.

    Raises:
        RtdenoiseError: both are asked for.
    """
    if plain and json:
        raise RtdenoiseError("--plain and --json exclude each other; give one of them")
    if json:
        return JsonDisplay()
    console = Console()
    # A dumb terminal cannot redraw; and a log file may pass for a terminal with FORCE_COLOR.
    draws = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
    return PictureDisplay(console) if draws and not plain else PlainDisplay()


def summary(snapshot: Snapshot) -> str:
    """Return what to say at the end of a run, in four lines.

    Args:
        snapshot: the last one.
    """
    s = snapshot
    return (
        f"ran {s.elapsed_s:.1f} s with {printable(s.model)}\n"
        f"{_delay(s)}\n"
        f"{_compute(s)} of a {s.hop_ms:.1f} ms hop, RTF {s.real_time_factor:.3f}\n"
        f"xruns {s.xruns} (underruns {s.underruns}, overruns {s.overruns}), stalls {s.stalls}, "
        f"dropped {s.dropped_ms:.1f} ms, repeated {s.repeated_ms:.1f} ms"
    )


def _delay(s: Snapshot) -> str:
    d = s.delay
    return (
        f"delay {d.total_ms:.1f} ms (device {d.device_in_ms:.1f} + algorithm "
        f"{d.algorithm_ms:.1f} + buffer {d.buffer_ms:.1f} + device {d.device_out_ms:.1f})"
    )


def _compute(s: Snapshot) -> str:
    return f"compute p50 {s.compute_p50_ms:.2f} p99 {s.compute_p99_ms:.2f} ms"


def _finite(value: object) -> object:
    """Replace what JSON has no word for."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
