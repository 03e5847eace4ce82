"""The virtual microphone: there while it is used, heard by others, and gone afterwards."""

import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from rtdenoise import virtual_mic
from rtdenoise.virtual_mic import VirtualMic, VirtualMicError

RATE_HZ = 48_000

HOLD = """
import sys
from rtdenoise.virtual_mic import VirtualMic

with VirtualMic():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(pulse, monkeypatch):
    """The server as this process's own, with nothing of ours in it before and afterwards."""
    for name in ("PULSE_SINK", "PULSE_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in pulse.env.items():
        monkeypatch.setenv(name, value)
    assert state(pulse) == ([], [], 3)
    yield pulse
    assert "PULSE_SINK" not in os.environ
    assert "PULSE_SOURCE" not in os.environ
    assert state(pulse) == ([], [], 3)


def state(server):
    """Return our sinks and sources, and the number of modules of all kinds."""
    lines = [server.pactl("list", "short", kind).splitlines() for kind in ("sinks", "sources")]
    sinks, sources = ([line.split("\t")[1] for line in some] for some in lines)
    modules = server.pactl("list", "short", "modules").splitlines()
    ours = [[name for name in names if "rtdenoise" in name] for names in (sinks, sources)]
    return *ours, len(modules)


def defaults(server):
    return [server.pactl(f"get-default-{kind}").strip() for kind in ("sink", "source")]


def refusal():
    with pytest.raises(VirtualMicError) as caught, VirtualMic():
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


MADE = (["rtdenoise_sink"], ["rtdenoise_sink.monitor", "rtdenoise_mic"], 5)


@pytest.mark.parametrize(("rate_hz", "channels"), [(48_000, 1), (44_100, 2)])
def test_it_is_there_while_it_is_used(server, rate_hz, channels):
    before = defaults(server)
    with VirtualMic(rate_hz, channels) as mic:
        assert state(server) == MADE
        (line,) = (
            line
            for line in server.pactl("list", "short", "sources").splitlines()
            if f"\t{mic.source_name}\t" in line
        )
        assert f"{channels}ch {rate_hz}Hz" in line
        assert "Description: rtdenoise microphone" in server.pactl("list", "sources")
        assert defaults(server) == before
        assert os.environ["PULSE_SINK"] == "rtdenoise_sink"
        assert os.environ["PULSE_SOURCE"] == "feed.monitor"


def test_an_exception_removes_it(server):
    seen = []

    def fail():
        with VirtualMic():
            seen.append(state(server))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert seen == [MADE]


def test_the_environment_is_put_back(server):
    os.environ["PULSE_SINK"], os.environ["PULSE_SOURCE"] = "speakers", "speakers.monitor"
    with VirtualMic():
        assert os.environ["PULSE_SINK"] == "rtdenoise_sink"
        assert os.environ["PULSE_SOURCE"] == "speakers.monitor"  # the user's choice
    assert os.environ.pop("PULSE_SINK") == "speakers"
    assert os.environ.pop("PULSE_SOURCE") == "speakers.monitor"


def test_it_does_not_hear_itself_when_it_is_the_default(server):
    try:
        with VirtualMic() as mic:
            server.pactl("set-default-source", mic.source_name)  # as a user would, for all programs
        with VirtualMic():
            assert defaults(server)[1] == "rtdenoise_mic"  # which the server has kept in mind
            assert os.environ["PULSE_SOURCE"] in ("feed.monitor", "speakers.monitor")
    finally:
        server.pactl("set-default-source", "feed.monitor")


def test_it_never_is_the_default_sink(server):
    try:
        with VirtualMic():
            server.pactl("set-default-sink", "rtdenoise_sink")
        with VirtualMic():
            assert defaults(server)[0] in ("feed", "speakers")
    finally:
        server.pactl("set-default-sink", "speakers")


@pytest.fixture
def holder(server):
    """Another process that has the microphone."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=server.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_another_process_keeps_it(server, holder):
    assert f"process {holder.pid} " in refusal()
    assert state(server) == MADE
    holder.stdin.close()
    assert holder.wait(10) == 0


@pytest.mark.parametrize("lost", [None, "module-remap-source", "module-null-sink"])
def test_what_a_crash_leaves_is_replaced(server, holder, lost):
    holder.kill()
    if lost != "module-null-sink":
        holder.wait(10)  # else it is dead, but its number is still in use
    for line in server.pactl("list", "short", "modules").splitlines():
        if lost == line.split("\t")[1] and "rtdenoise" in line:
            server.pactl("unload-module", line.split("\t")[0])
    time.sleep(0.2)
    assert state(server) != ([], [], 3) or lost == "module-null-sink"
    with VirtualMic():
        assert state(server) == MADE
        modules = server.pactl("list", "short", "modules")
        assert modules.count(f"rtdenoise.pid={os.getpid()} ") == 2
        assert f"rtdenoise.pid={holder.pid} " not in modules


def test_a_number_that_is_used_again_is_no_owner(server, holder, monkeypatch):
    real = virtual_mic._process(holder.pid)
    assert real is not None
    later = virtual_mic.Owner(holder.pid, real.started + 1)
    ours = virtual_mic._us()
    monkeypatch.setattr(
        virtual_mic, "_process", lambda pid: {os.getpid(): ours, holder.pid: later}[pid]
    )
    with VirtualMic():
        assert state(server) == MADE
    holder.kill()


def test_of_two_at_the_same_time_one_has_it(server):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env=server.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.stdout.readline() for process in processes]
    assert said.count("ready\n") == 1
    assert state(server) == MADE
    for process, word in zip(processes, said, strict=True):
        _, errors = process.communicate(timeout=10)
        assert (process.returncode == 0) == bool(word)
        assert word or "has the virtual microphone" in errors


def test_it_is_made_again_after_the_server_was_restarted(server):
    with VirtualMic() as mic:
        mic.ensure()
        assert state(server) == MADE
        server.kill()
        with pytest.raises(VirtualMicError, match="no sound server answers"):
            mic.ensure()
        server.start()
        others = [server.pactl("load-module", "module-null-sink").strip() for _ in range(2)]
        assert state(server)[:2] == ([], [])
        mic.ensure()
        assert state(server)[:2] == MADE[:2]
    for module in others:  # whose numbers were ours before
        server.pactl("unload-module", module)


def test_a_server_that_goes_away_is_no_trouble(server):
    with VirtualMic():
        server.kill()
    assert "no sound server answers" in refusal()
    server.start()


def test_a_server_that_does_not_answer(server, monkeypatch):
    monkeypatch.setattr(virtual_mic, "TIMEOUT_S", 0.5)
    server._server.send_signal(signal.SIGSTOP)
    try:
        assert "no answer within" in refusal()
    finally:
        server._server.send_signal(signal.SIGCONT)
        time.sleep(0.5)  # until it has noticed that they gave up


def test_without_pactl(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install pulseaudio-utils" in refusal()


@pytest.mark.parametrize(
    ("platform", "advice"),
    [("darwin", "--out BlackHole"), ("win32", '--out "CABLE Input"'), ("freebsd14", "cable")],
)
def test_elsewhere_a_cable_is_needed(monkeypatch, platform, advice):
    monkeypatch.setattr(sys, "platform", platform)
    assert advice in refusal()


SOUND = """
import sys
import numpy as np
import sounddevice
from rtdenoise.devices import find_device
from rtdenoise.virtual_mic import VirtualMic

rate_hz, tone_hz, seconds = 48_000, 1_000, 2
with VirtualMic() as mic:
    print("ready", flush=True)
    sys.stdin.readline()
    tone = 0.25 * np.sin(2 * np.pi * tone_hz * np.arange(seconds * rate_hz) / rate_hz)
    device = find_device(mic.output_device, "output").index
    tone = tone.astype(np.float32)
    # Two streams: one for both directions stalls now and then with ALSA's PulseAudio device.
    peaks = []
    hear = lambda heard, *_: peaks.append(abs(heard).max())
    with sounddevice.InputStream(rate_hz, device=device, channels=1, callback=hear):
        sounddevice.play(tone, rate_hz, device=device, blocking=True)
    print(max(peaks), flush=True)
    sys.stdin.readline()
"""


def test_others_hear_what_is_played(server, tmp_path):
    paths = [tmp_path / name for name in ("mic.wav", "speakers.wav")]
    with subprocess.Popen(
        [sys.executable, "-c", SOUND],
        env=server.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as player:
        assert player.stdout.readline() == "ready\n"
        recorders = [
            server.record(path, device, RATE_HZ, 1)
            for path, device in zip(paths, ("rtdenoise_mic", "speakers.monitor"), strict=True)
        ]
        time.sleep(0.5)
        print(file=player.stdin, flush=True)
        assert select.select([player.stdout], [], [], 30)[0], player.kill()
        recorded = float(player.stdout.readline())
        for recorder in recorders:
            recorder.terminate()
            recorder.wait(10)
        player.communicate("\n", timeout=20)
    assert player.returncode == 0
    assert recorded == 0  # the default microphone, where it is quiet, and not itself
    mic, speakers = (soundfile.read(path, dtype="float64")[0] for path in paths)
    assert np.abs(speakers).max() == 0
    loud = np.flatnonzero(np.abs(mic) > 0.2)
    assert loud.size
    middle = mic[loud[0] :][RATE_HZ // 4 : RATE_HZ // 4 + RATE_HZ]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
    # A sound server that is late for a moment breaks the tone, which then has no sharp line.
    assert spectrum.argmax() == pytest.approx(1_000, abs=3)
    assert np.abs(middle).max() == pytest.approx(0.25, rel=0.02)
