"""What a live run shows: every number, no line too wide, one line a second, valid JSON."""

import io
import json
import math
import os
import random
import string
import sys
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.console import Console

from rtdenoise import display
from rtdenoise.display import JsonDisplay, PictureDisplay, PlainDisplay, choose_display, summary
from rtdenoise.errors import RtdenoiseError
from rtdenoise.meters import Delay, Snapshot
from rtdenoise.picture import Picture

SEEDS = range(20)
WIDTHS = [50, 80]


def snapshot(seed=0, **fields):
    """Return a random moment of a run."""
    rng = random.Random(seed)
    hop_ms = rng.choice([5.0, 8.0, 10.0, 16.0])
    chosen = Snapshot(
        elapsed_s=rng.uniform(0, 10 ** rng.uniform(0, 5)),
        waiting_for=rng.choice(["", "", "microphone"]),
        model="".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 12))),
        input_db=rng.uniform(-120, 0),
        input_peak_db=rng.uniform(-120, 0),
        output_db=rng.uniform(-120, 0),
        output_peak_db=rng.uniform(-120, 0),
        reduction_db=rng.uniform(0, 100),
        delay=Delay(*(rng.uniform(0, 200) for _ in range(4))),
        nominal_ms=rng.uniform(10, 50),
        compute_p50_ms=rng.uniform(0.01, hop_ms),
        compute_p99_ms=rng.uniform(0.01, 2 * hop_ms),
        hop_ms=hop_ms,
        underruns=rng.choice([0, rng.randint(1, 99_999)]),
        overruns=rng.choice([0, rng.randint(1, 99_999)]),
        stalls=rng.choice([0, rng.randint(1, 999)]),
        dropped_ms=rng.choice([0.0, rng.uniform(0, 1e5)]),
        repeated_ms=rng.choice([0.0, rng.uniform(0, 1e5)]),
        bypass=rng.random() < 0.5,
        mix=rng.random(),
        limit_db=rng.choice([math.inf, rng.uniform(0, 60)]),
    )
    return replace(chosen, **fields)


def drawn(moment, width, **options):
    """Return the picture as lines of text."""
    file = io.StringIO()
    Console(file=file, width=width, **options).print(Picture(moment))
    return file.getvalue().splitlines()


def words(text):
    return text.replace("(", " ").replace(")", " ").replace(",", " ").split()


def numbers(s):
    """Return what all displays of words show, as they show it."""
    d = s.delay
    levels = [s.input_db, s.output_db, s.reduction_db]
    delays = [d.device_in_ms, d.algorithm_ms, d.buffer_ms, d.device_out_ms, d.total_ms]
    return [
        *(f"{number:.1f}" for number in levels + delays),
        f"{s.compute_p50_ms:.2f}",
        f"{s.compute_p99_ms:.2f}",
        f"{s.compute_p50_ms / s.hop_ms:.3f}",
        str(s.underruns + s.overruns),
    ]


def faults(s):
    counts = [s.underruns, s.overruns, s.stalls]
    return [*map(str, counts), f"{s.dropped_ms:.1f}", f"{s.repeated_ms:.1f}"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", SEEDS)
def test_picture_has_every_number_and_fits(seed, width):
    s = snapshot(seed)
    lines = drawn(s, width)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) < 24  # the height of the smallest usual terminal
    shown = words("\n".join(lines))
    levels = [f"{s.input_peak_db:.1f}", f"{s.output_peak_db:.1f}"]
    share = f"{100 * s.compute_p99_ms / s.hop_ms:.0f}"
    for number in [*numbers(s), *faults(s), *levels, share, f"{100 * s.mix:.0f}", s.model]:
        assert number in shown
    assert ("waiting" in shown) == bool(s.waiting_for)
    text = " ".join(shown)
    assert ("bypass on" in text) == s.bypass
    assert (f"limit {s.limit_db:.1f} dB" if s.limit_db < math.inf else "no limit") in text
    assert ("within the buffer" in text) == (s.compute_p99_ms <= s.delay.buffer_ms)
    for key in ("[b] bypass", "[+/-] mix", "[ [ and ] ] attenuation limit", "[q] quit"):
        assert key in "\n".join(lines)


@pytest.mark.parametrize("width", [1, 2, 9, 10, 11, 25, 33, 49, 51, 79, 81, 132, 300])
def test_picture_breaks_at_no_width(width):
    for seed in SEEDS:
        s = snapshot(seed, waiting_for="マイク\n\x1b[2J[bold]" * 9, model="m" * 60)
        lines = drawn(s, width)
        assert max(map(cell_len, lines)) <= width
        assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_meters_follow_the_levels(width):
    rng = random.Random(width)
    levels = sorted(rng.uniform(-70, 5) for _ in range(50))
    lit, marks = [], []
    for db in levels:
        (line,) = (
            line
            for line in drawn(snapshot(1, input_db=db, input_peak_db=db, output_db=-120), width)
            if line.startswith("input")
        )
        lit.append(line.count("█"))
        marks.append(line.find("│"))
        bar = line.split()[1]
        assert ("│" in bar) == (db > -60)
        assert "█·" not in bar or db <= -60  # the mark is where the bar ends
    assert lit == sorted(lit)
    assert marks == sorted(marks)
    assert lit[0] == 0
    assert bar.endswith("│")


def test_delay_bar_is_parted_like_the_delay():
    s = snapshot(2, delay=Delay(5.0, 20.0, 10.0, 5.0))
    (bar,) = (line.split()[1] for line in drawn(s, 80) if line.startswith("delay"))
    assert bar.count("█") == pytest.approx(len(bar) / 2, abs=1)
    assert bar.count("▓") == pytest.approx(len(bar) / 4, abs=1)
    for odd in (Delay(0, 0, 0, 0), Delay(-3, 20, 1, -30), Delay(math.nan, 20, 1, 1)):
        assert drawn(replace(s, delay=odd), 80)


def test_picture_without_unicode():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Console(file=file, width=80).print(Picture(snapshot(3, input_db=-20.0)))
    assert b"###" in raw.getvalue()


def test_picture_is_redrawn_in_place_with_notes_above(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console = Console(file=file, width=80, height=30, force_terminal=True, color_system=None)
    with PictureDisplay(console) as shown:
        for seed in SEEDS:
            shown.show(snapshot(seed))
        shown.note("microphone [bold]X[/bold] is gone\r\x1b[2J")
        monkeypatch.setattr(display, "in_foreground", lambda terminal: False)
        shown._terminal = 1
        before = file.getvalue()
        shown.show(snapshot(99))
        assert file.getvalue() == before  # the shell's turn
    text = file.getvalue()
    assert text.count("[b] bypass") > len(SEEDS)  # once more below the note
    assert "microphone [bold]X[/bold] is gone??[2J" in text
    assert text.endswith("\x1b[2K")  # the picture is gone ...
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # ... and the cursor is back


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_line_has_every_number(seed):
    s = snapshot(seed)
    line = PlainDisplay(io.StringIO()).line(s)
    assert set(numbers(s)) <= set(words(line))
    assert line.isprintable()
    assert ("  bypass" in line) == s.bypass
    assert ("waiting for microphone" in line) == bool(s.waiting_for)


def test_plain_line_is_as_documented():
    delay = Delay(8.0, 20.0, 7.5, 2.6)
    levels = {"input_db": -23.1, "output_db": -25.0, "reduction_db": 9.8}
    compute = {"compute_p50_ms": 0.31, "compute_p99_ms": 0.58, "hop_ms": 10.0}
    good = {"underruns": 0, "overruns": 0, "stalls": 0, "dropped_ms": 0.0, "repeated_ms": 0.0}
    usual = {"bypass": False, "waiting_for": "", **good}
    s = snapshot(elapsed_s=12.3, delay=delay, **levels, **compute, **usual)
    assert PlainDisplay(io.StringIO()).line(s) == (
        "12 s  in -23.1 dB  out -25.0 dB  reduction 9.8 dB  delay 38.1 ms (device 8.0 + "
        "algorithm 20.0 + buffer 7.5 + device 2.6)  compute p50 0.31 p99 0.58 ms  RTF 0.031  "
        "xruns 0"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_json_says_all_there_is(seed):
    s = snapshot(seed)
    line = JsonDisplay(io.StringIO()).line(s)
    assert "\n" not in line

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    said = json.loads(line, parse_constant=refuse)
    assert said.pop("xruns") == s.underruns + s.overruns
    assert said.pop("real_time_factor") == s.compute_p50_ms / s.hop_ms
    assert said["delay"].pop("total_ms") == s.delay.total_ms
    if said["limit_db"] is None:
        said["limit_db"] = math.inf
    assert said == asdict(s)


@pytest.mark.parametrize("kind", [PlainDisplay, JsonDisplay])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_line_a_second_and_the_first_and_the_last(kind, seed):
    rng = random.Random(seed)
    file = io.StringIO()
    times, now = [], rng.uniform(0, 5)
    for _ in range(rng.randint(1, 200)):
        times.append(now)
        now += rng.uniform(0.05, 0.2)
    moments = [snapshot(seed, elapsed_s=time) for time in times]
    with kind(file) as lines:
        for moment in moments:
            lines.show(moment)
    written = file.getvalue().splitlines()
    by_line = {lines.line(moment): moment.elapsed_s for moment in moments}
    if kind is PlainDisplay:  # it shows whole seconds only
        assert written[0] == lines.line(moments[0])
        assert written[-1] == lines.line(moments[-1])
        return
    shown = [by_line[line] for line in written]
    assert (shown[0], shown[-1]) == (times[0], times[-1])
    gaps = [after - before for before, after in pairwise(shown)]
    assert all(1.0 <= gap < 1.2 + 1e-9 for gap in gaps[:-1])
    assert all(0.0 < gap < 1.2 + 1e-9 for gap in gaps)


def test_notes_come_at_once_and_as_one_line():
    file = io.StringIO()
    with PlainDisplay(file) as plain:
        plain.note("microphone X is gone;\nwaiting for it")
        assert file.getvalue() == "microphone X is gone;?waiting for it\n"
    file = io.StringIO()
    with JsonDisplay(file) as lines:
        lines.note('microphone "é"\nis gone')
        assert json.loads(file.getvalue()) == {"note": 'microphone "é"\nis gone'}
    assert file.getvalue().count("\n") == 1


def test_last_line_comes_after_an_error_too_unless_nobody_reads():
    def run(shown, end):
        with shown:
            shown.show(snapshot(elapsed_s=0.0))
            shown.show(snapshot(elapsed_s=0.5))
            end()

    file = io.StringIO()
    shown = PlainDisplay(file)
    with pytest.raises(ZeroDivisionError):
        run(shown, lambda: 1 // 0)
    assert len(file.getvalue().splitlines()) == 2

    class Closed(io.StringIO):
        writes = 0

        def write(self, text):
            self.writes += 1
            if self.writes > 2:  # print() writes the line and its end
                raise BrokenPipeError
            return super().write(text)

    closed = Closed()
    shown = PlainDisplay(closed)
    with pytest.raises(BrokenPipeError):
        run(shown, lambda: shown.note("X"))
    assert closed.writes == 3


def test_choice_by_flags():
    assert isinstance(choose_display(plain=False, json=True), JsonDisplay)
    assert isinstance(choose_display(plain=True, json=False), PlainDisplay)
    with pytest.raises(RtdenoiseError, match=r"--plain and --json .* give one of them"):
        choose_display(plain=True, json=True)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_choice_by_terminal(monkeypatch):
    user, program = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch, open(program, "w") as terminal:
        patch.setattr(sys, "stdout", terminal)
        assert isinstance(choose_display(plain=False, json=False), PictureDisplay)
        assert isinstance(choose_display(plain=True, json=False), PlainDisplay)
        assert isinstance(choose_display(plain=False, json=True), JsonDisplay)
        patch.setenv("TERM", "dumb")
        assert isinstance(choose_display(plain=False, json=False), PlainDisplay)
    os.close(user)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(choose_display(plain=False, json=False), PlainDisplay)


@pytest.mark.parametrize("seed", SEEDS)
def test_summary_has_what_matters(seed):
    s = snapshot(seed)
    lines = summary(s).splitlines()
    assert len(lines) == 4
    shown = words(summary(s))
    d = s.delay
    for number in (f"{s.elapsed_s:.1f}", s.model, f"{d.total_ms:.1f}", *faults(s)):
        assert number in shown
    assert f"p50 {s.compute_p50_ms:.2f} p99 {s.compute_p99_ms:.2f} ms" in summary(s)
