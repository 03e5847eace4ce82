"""`rtdenoise live` between real devices of a real sound server, started as a user starts it."""

import json
import os
import pty
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

import rtdenoise

NOISY = Path(__file__).parent.parent / "examples/demo/noisy.flac"
RATE = 48_000
COMMAND = [sys.executable, "-m", "rtdenoise", "live"]

STALL = """
import sys, time
from rtdenoise import classical, cli
step, hops = classical.WienerFilter.step, []
def stalling(self, spectrum, state):
    hops.append(1)
    if len(hops) == 330:
        time.sleep(2)
    return step(self, spectrum, state)
classical.WienerFilter.step = stalling
sys.argv[0] = "rtdenoise"
cli.main()
"""

in_real_time = pytest.mark.flaky(reruns=2)
"""Marks what a machine that is kept from its work for a second or two may spoil, though nothing
is wrong: such a test has two more tries. What is wrong fails in all of them."""


class Live:
    """A live run in a process of its own, whose JSON lines are read as they come."""

    def __init__(self, pulse, *options, command=None):
        self._process = subprocess.Popen(
            [*(command or COMMAND), "--in", "feed", "--json", *map(str, options)],
            env=pulse.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines, self._queue = [], queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stderr.close()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self._queue.put(json.loads(line))

    def wait_for(self, wanted, timeout_s=60):
        """Return the first line of which ``wanted`` is true."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                self.lines.append(self._queue.get(timeout=max(0, end - time.monotonic())))
            except queue.Empty:
                self._process.kill()
                raise AssertionError((self.lines, self._process.stderr.read())) from None
            if wanted(self.lines[-1]):
                return self.lines[-1]

    def signal(self, number):
        self._process.send_signal(number)

    def end(self, timeout_s=60):
        """Return exit code, last snapshot and errors, when the run is over."""
        code = self._process.wait(timeout_s)
        self._reader.join()
        errors = self._process.stderr.read()
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        snapshots = [line for line in self.lines if "elapsed_s" in line]
        return code, snapshots[-1] if snapshots else None, errors


def is_running(line):
    """Whether the streams have had time to find their pace."""
    return line.get("elapsed_s", 0) > 3


def told(text):
    return lambda line: text in line.get("note", "")


def noisy():
    """5 s of noisy speech at the rate of the server, for which it need not resample."""
    samples, rate = soundfile.read(NOISY, dtype="float32")
    return scipy.signal.resample_poly(samples[: 5 * rate], RATE, rate).astype(np.float32)


def recorded(pulse, folder, **options):
    """Record the loudspeakers while noisy speech is played; return ``[samples, channels]``."""
    soundfile.write(folder / "noisy.wav", noisy(), RATE, subtype="FLOAT")
    recording = pulse.record(folder / "played.wav", rate_hz=RATE, **options)
    time.sleep(0.5)
    assert pulse.play(folder / "noisy.wav").wait(30) == 0
    time.sleep(0.5)
    recording.terminate()
    recording.wait()
    return soundfile.read(folder / "played.wav", dtype="float32", always_2d=True)[0]


def offline(path, model, out_rate=RATE):
    """What the live run heard, denoised at once; ``[samples]`` of the first channel."""
    heard, rate = soundfile.read(path, dtype="float32", always_2d=True)
    denoiser = rtdenoise.Denoiser(rate, model, out_rate=out_rate)
    return np.concatenate((denoiser.process(heard[:, 0]), denoiser.flush()))


def likeness_db(played, wanted):
    """SI-SDR of what was played against what should have been: the median of quarter seconds.

    Each is aligned by itself: in a busy moment the live path may shift what follows.
    """
    scores = []
    for start in range(0, len(wanted) - RATE, RATE // 4):
        part = wanted[start : start + RATE // 4]
        if np.abs(part).max() < 0.01:
            continue
        match = scipy.signal.correlate(played, part, "valid", method="fft")
        place = int(np.abs(match).argmax())
        heard = played[place : place + part.size]
        target = part * (heard @ part) / (part @ part)
        power = target @ target
        rest = max(np.sum((heard - target) ** 2), 1e-12 * power)  # which may be nothing at all
        scores.append(10 * np.log10(power / rest))
    assert len(scores) >= 3
    return float(np.median(scores))


@in_real_time
@pytest.mark.parametrize(
    ("model", "in_rate", "options"),
    [
        ("dualpath", RATE, []),
        ("wiener", RATE, ["--latency", "high", "--channels", 2]),
        ("wiener", 16_000, []),
    ],
)
def test_what_is_played_is_the_offline_result(
    pulse, tmp_path: Path, model, in_rate, options
) -> None:
    raw, clean = tmp_path / "raw.wav", tmp_path / "clean.wav"
    rates = f"{in_rate}:{RATE}"
    with Live(pulse, "--model", model, "--rate", rates, *options, "--record", raw, clean) as live:
        live.wait_for(is_running)
        played = recorded(pulse, tmp_path)
        live.signal(signal.SIGINT)
        code, last, errors = live.end()
        assert (code, errors) == (0, "")
        np.testing.assert_allclose(played[:, 0], played[:, 1], atol=1e-6)
        wanted = offline(raw, model)
        assert likeness_db(played[:, 0], wanted) > 20, last
        # The other recording is what the model made of what was heard, sample by sample.
        made = soundfile.read(clean, dtype="float32", always_2d=True)[0]
        np.testing.assert_allclose(made[:, 0], wanted, atol=1e-3)
        np.testing.assert_array_equal(made[:, 0], made[:, -1])
        # And what was heard is what was said.
        if in_rate == RATE:
            heard = soundfile.read(raw, dtype="float32", always_2d=True)[0]
            assert likeness_db(heard[:, 0], noisy()) > 20
        assert last["delay"]["algorithm_ms"] == pytest.approx(20, abs=5)
        assert last["output_db"] < 0


@in_real_time
def test_devices_of_their_own_rates_and_no_model_change_nothing(pulse, tmp_path: Path) -> None:
    with Live(pulse, "--model", "wiener", "--mix", 0) as live:
        live.wait_for(is_running)
        played = recorded(pulse, tmp_path)
        live.signal(signal.SIGTERM)
        assert live.end()[0] == 0
        assert likeness_db(played[:, 0], noisy()) > 20


@in_real_time
def test_a_stalled_worker_recovers_within_five_seconds(pulse) -> None:
    command = [sys.executable, "-c", STALL, "live"]
    with Live(pulse, "--model", "wiener", "--rate", RATE, command=command) as live:
        live.wait_for(lambda line: line.get("elapsed_s", 0) > 2)
        before = live.lines[-1]["delay"]
        stalled = live.wait_for(lambda line: line.get("stalls", 0) > 0)
        live.wait_for(lambda line: line.get("elapsed_s", 0) > stalled["elapsed_s"] + 5)
        after = live.lines[-1]
        assert after["dropped_ms"] > 1500
        hop_ms = after["hop_ms"]
        held_ms = [d["algorithm_ms"] + d["buffer_ms"] for d in (before, after["delay"])]
        assert held_ms[1] == pytest.approx(held_ms[0], abs=1.5 * hop_ms)
        live.signal(signal.SIGINT)
        code, last, errors = live.end()
        assert (code, errors) == (0, "")
        assert last["stalls"] >= 1


@in_real_time
def test_a_server_that_dies_is_waited_for(pulse, tmp_path: Path) -> None:
    record = [tmp_path / "raw.wav", tmp_path / "clean.wav"]
    with Live(pulse, "--model", "wiener", "--rate", RATE, "--record", *record) as live:
        live.wait_for(is_running)
        pulse.kill()
        live.wait_for(told("gone"))
        assert live.wait_for(lambda line: line.get("waiting_for"))
        pulse.start()
        live.wait_for(told("back"))
        back_s = live.wait_for(is_running)["elapsed_s"]
        live.wait_for(lambda line: line.get("elapsed_s", 0) > back_s + 3)
        played = recorded(pulse, tmp_path)
        live.signal(signal.SIGINT)
        code, last, errors = live.end()
        assert (code, errors, last["waiting_for"]) == (0, "", "")
        assert likeness_db(played[:, 0], offline(record[0], "wiener")) > 20


@in_real_time
def test_other_programs_hear_the_virtual_microphone(pulse, tmp_path: Path) -> None:
    record = [tmp_path / "raw.wav", tmp_path / "clean.wav"]
    with Live(
        pulse, "--model", "wiener", "--rate", RATE, "--virtual-mic", "--record", *record
    ) as live:
        live.wait_for(is_running)
        assert "rtdenoise_mic" in pulse.pactl("list", "short", "sources")
        played = recorded(pulse, tmp_path, device="rtdenoise_mic", channels=1)
        live.signal(signal.SIGINT)
        code, _, errors = live.end()
        assert (code, errors) == (0, "")
        assert likeness_db(played[:, 0], offline(record[0], "wiener")) > 20
        assert "rtdenoise" not in pulse.pactl("list", "short", "sources")


def test_the_picture_listens_to_keys(pulse) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--in", "feed", "--model", "wiener"],
        env=pulse.env | {"TERM": "xterm", "COLUMNS": "80", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    seen, end, pressed = "", time.monotonic() + 60, 0
    try:
        while time.monotonic() < end:
            try:
                seen += os.read(ours, 65536).decode(errors="replace")
            except OSError:  # the terminal's other end is closed
                break
            if pressed == 0 and "bypass off" in seen:
                os.write(ours, b"b")
                pressed = 1
            if pressed == 1 and "bypass on" in seen:
                os.write(ours, b"q")
                pressed = 2
    finally:
        os.close(ours)
    assert process.wait(20) == 0
    assert pressed == 2
    assert "with wiener" in seen.rpartition("ran")[2]
    with process.stderr as stderr:
        assert stderr.read() == b""


def test_who_stops_reading_ends_the_run_quietly(pulse) -> None:
    with subprocess.Popen(
        [*COMMAND, "--in", "feed", "--model", "wiener", "--json"],
        env=pulse.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(60) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--in", "no such thing"], "no input device 'no such thing'"),
        (["--in", "feed", "--out", "e"], "could be any of"),
        (["--rate", "fast"], "--rate 'fast': give a rate in Hz"),
        (["--rate", "4000"], "sample rate 4000 Hz is outside"),
        (["--rate", "22050:48000"], "use one rate for both"),
        (["--blocksize", "1"], "--blocksize 1 must be"),
        (["--plain", "--json"], "exclude each other"),
        (["--virtual-mic", "--out", "feed"], "leave out --out"),
        (["--mix", "2"], "mix 2.0 must be between"),
        (["--model", "none such"], "model 'none such' is unknown"),
        (["--record", "here.wav", "here.wav"], "two files"),
        (["--record", "kept.wav", "b.wav"], "exists; use --force"),
    ],
)
def test_bad_input_is_one_line(pulse, tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "kept.wav").write_text("kept")
    done = subprocess.run(
        [*COMMAND, *options],
        env=pulse.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "kept.wav").read_text() == "kept"


def test_devices_lists_them(pulse) -> None:
    command = [*COMMAND[:-1], "devices"]
    done = subprocess.run(command, env=pulse.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in ("feed", "speakers", "default in", "ALSA"))


@in_real_time
def test_the_round_trip_is_the_devices_and_the_live_path(pulse) -> None:
    options = ["bench", "latency", "--loopback", "loop", "loop", "--model", "wiener"]
    command = [*COMMAND[:-1], *options, "--seconds", "4"]
    done = subprocess.run(command, env=pulse.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|")]
    devices_ms, total_ms, added_ms, algorithm_ms = map(float, cells[2:6])
    assert 0 < devices_ms < 500
    assert added_ms == pytest.approx(total_ms - devices_ms, abs=0.11)
    # A busy machine may make it more; less than the algorithm it cannot be.
    assert algorithm_ms == 20.0
    assert 19.9 < added_ms < 100


def test_a_chirp_that_does_not_come_back_is_told(pulse) -> None:
    options = ["bench", "latency", "--loopback", "feed", "speakers", "--model", "wiener"]
    command = [*COMMAND[:-1], *options, "--seconds", "2"]
    done = subprocess.run(command, env=pulse.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is not heard on the input" in done.stderr
    assert done.stderr.count("\n") == 1
