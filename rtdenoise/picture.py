"""The picture of one moment of a live run: meters, delay, cost and faults.

It is redrawn ten times a second in the process that computes the sound, so it is put together
from plain segments of text; rich does no more than colour them and crop the lines.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from rtdenoise.meters import Snapshot

FLOOR_DB = -60.0
"""Level at the left end of the meters; 0 dB of full scale is at the right end."""

LOUD_DB, CLIPPING_DB = -20.0, -6.0
"""Where the meters turn yellow, and red."""

REDUCTION_RANGE_DB = 40.0
"""Reduction that fills its meter."""

LABEL_CELLS = 10
"""Width of the column of titles."""

PLAIN, DIM, BOLD = Style(), Style(dim=True), Style(bold=True)
GREEN, YELLOW, RED = Style(color="green"), Style(color="yellow"), Style(color="red")
BLUE, MAGENTA, CYAN = Style(color="blue"), Style(color="magenta"), Style(color="cyan")

GLYPHS = ("█", "│", "·", "▓", "▒")
"""Of a bar, a peak, the rest of a meter, the buffer and the devices."""

ASCII_GLYPHS = ("#", "|", "-", "=", ":")
"""The same for a terminal that has no others."""

Piece = tuple[str, Style]
"""Text that stays together, and how it looks."""

KEYS: Sequence[Piece] = [
    (text, DIM) for text in ("[b] bypass", "[+/-] mix", "[ [ and ] ] attenuation limit", "[q] quit")
]


def printable(text: str) -> str:
    """Keep what a device is called from breaking lines or moving the cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(frozen=True)
class Picture:
    """The picture of one moment, as wide as the console; something that rich prints."""

    snapshot: Snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the picture."""
        for line in self._lines(options.max_width, ASCII_GLYPHS if options.ascii_only else GLYPHS):
            yield from (Segment(text, style) for text, style in line)
            yield Segment.line()

    def _lines(self, width: int, glyphs: Sequence[str]) -> Iterator[list[Piece]]:
        s, d = self.snapshot, self.snapshot.delay
        full, mark, empty, buffer, device = glyphs
        cells = max(0, width - LABEL_CELLS - len(" -120.0 dB  peak -120.0"))
        yield from _flow("rtdenoise", self._state(), width)
        yield []
        for label, db, peak_db in (
            ("input", s.input_db, s.input_peak_db),
            ("output", s.output_db, s.output_peak_db),
        ):
            meter = _meter(_share(db), _share(peak_db), cells, (full, mark, empty))
            yield [_label(label), *meter, (f" {db:6.1f} dB  peak {peak_db:6.1f}", PLAIN)]
        lit = round(cells * min(1.0, max(0.0, s.reduction_db / REDUCTION_RANGE_DB)))
        bar: list[Piece] = [(full * lit, CYAN), (empty * (cells - lit), DIM)]
        yield [_label("reduction"), *bar, (f" {s.reduction_db:6.1f} dB", PLAIN)]
        yield []
        parts = [
            (device, d.device_in_ms, "device in", BLUE),
            (full, d.algorithm_ms, "algorithm", MAGENTA),
            (buffer, d.buffer_ms, "buffer", CYAN),
            (device, d.device_out_ms, "device out", BLUE),
        ]
        bar, ends = [], 0.0
        for glyph, part_ms, _, style in parts:
            begins, ends = ends, ends + cells * max(0.0, part_ms) / max(1e-9, d.total_ms)
            bar.append((glyph * (min(cells, round(ends)) - round(begins)), style))
        yield [_label("delay"), *bar, (f" {d.total_ms:6.1f} ms", BOLD)]
        yield from _flow(
            "", [(f"{g} {name} {ms:.1f}", style) for g, ms, name, style in parts], width
        )
        yield from _flow("compute", self._compute(), width)
        yield from _flow("xruns", self._faults(), width)
        yield []
        yield from _flow("keys", KEYS, width)

    def _state(self) -> Iterable[Piece]:
        s = self.snapshot
        seconds = int(s.elapsed_s)
        yield f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}", PLAIN
        yield printable(s.model), BOLD
        if s.waiting_for:
            yield f"waiting for {printable(s.waiting_for)}", YELLOW + BOLD
        yield ("bypass on", YELLOW + BOLD) if s.bypass else ("bypass off", DIM)
        yield f"mix {100 * s.mix:.0f} %", PLAIN
        yield f"limit {s.limit_db:.1f} dB" if math.isfinite(s.limit_db) else "no limit", PLAIN

    def _compute(self) -> Iterable[Piece]:
        s = self.snapshot
        share = 100 * s.compute_p99_ms / s.hop_ms
        yield f"p50 {s.compute_p50_ms:.2f} ms", PLAIN
        yield f"p99 {s.compute_p99_ms:.2f} ms = {share:.0f} % of a hop", PLAIN
        # What fits in there adds nothing to the delay.
        within = s.compute_p99_ms <= s.delay.buffer_ms
        yield ("within the buffer", GREEN) if within else ("beyond the buffer", RED)
        yield f"RTF {s.real_time_factor:.3f}", PLAIN

    def _faults(self) -> Iterable[Piece]:
        s = self.snapshot
        yield str(s.xruns), RED + BOLD if s.xruns else GREEN
        for name, count in (
            ("underruns", s.underruns),
            ("overruns", s.overruns),
            ("stalls", s.stalls),
        ):
            yield f"{name} {count}", YELLOW if count else DIM
        for name, audio_ms in (("dropped", s.dropped_ms), ("repeated", s.repeated_ms)):
            yield f"{name} {audio_ms:.1f} ms", YELLOW if audio_ms else DIM


def _label(text: str) -> Piece:
    return text.ljust(LABEL_CELLS), DIM


def _flow(label: str, pieces: Iterable[Piece], width: int) -> Iterator[list[Piece]]:
    """Yield lines with as many pieces as fit, under each other."""
    line, used = [_label(label)], LABEL_CELLS
    for text, style in pieces:
        if len(line) > 1 and used + cell_len(text) > width:
            yield line
            line, used = [_label("")], LABEL_CELLS
        line += [(text, style), ("  ", PLAIN)]
        used += cell_len(text) + 2
    yield line


def _share(db: float) -> float:
    """Return the part of a meter that a level fills, from 0 to 1."""
    return min(1.0, max(0.0, 1 - db / FLOOR_DB))


def _meter(level: float, peak: float, cells: int, glyphs: Sequence[str]) -> Iterator[Piece]:
    """Yield a bar up to a level with a mark at the peak, both as shares of its length."""
    full, mark, empty = glyphs
    lit, peak_cell = round(cells * level), math.ceil(cells * peak) - 1

    def cell(place: int) -> Piece:
        db = FLOOR_DB * (1 - (place + 0.5) / cells)
        style = RED if db > CLIPPING_DB else YELLOW if db > LOUD_DB else GREEN
        if place == peak_cell:
            return mark, style
        return (full, style) if place < lit else (empty, DIM)

    for style, run in groupby(map(cell, range(cells)), key=lambda piece: piece[1]):
        yield "".join(glyph for glyph, _ in run), style
