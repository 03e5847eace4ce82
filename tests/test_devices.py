"""Devices: whatever a user calls one, it is found, or one line says what to do."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rtdenoise import devices
from rtdenoise.devices import NO_DEVICES, Device, DeviceError, device_table, find_device


def device(index, name, host_api="ALSA", inputs=1, outputs=2, **more):
    return Device(index, name, host_api, inputs, outputs, 48e3, (5.0, 20.0), (6.0, 30.0), **more)


WINDOWS = [
    device(0, "Microphone (Yeti Stereo Microph", "MME", outputs=0, default_input=True),
    device(1, "Speakers (Realtek(R) Audio)", "MME", inputs=0, default_output=True),
    device(2, "Microphone (Yeti Stereo Microphone)", "Windows WASAPI", outputs=0),
    device(3, "Speakers (Realtek(R) Audio)", "Windows WASAPI", inputs=0),
    device(4, "CABLE Output (VB-Audio Virtual Cable)", "Windows WASAPI", outputs=0),
    device(5, "Speakers (Realtek(R) Audio)", "Windows DirectSound", inputs=0),
]

LINUX = [
    device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
    device(1, "USB Audio: - (hw:1,0)", outputs=0),
    device(2, "HDMI", inputs=0),
    device(3, "HDMI 1", inputs=0),
    device(4, "default", default_input=True, default_output=True),
    device(5, "default", "JACK Audio Connection Kit"),
]


@pytest.fixture
def use(monkeypatch):
    return lambda found: monkeypatch.setattr(devices, "list_devices", lambda: list(found))


def refusal(spec, kind):
    with pytest.raises(DeviceError) as caught:
        find_device(spec, kind)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("found", "spec", "kind", "index"),
    [
        (WINDOWS, "mic", "input", 0),
        (WINDOWS, "speakers", "output", 1),
        (WINDOWS, " Default ", "output", 1),
        (WINDOWS, "3", "output", 3),
        (WINDOWS, "Speakers (Realtek(R) Audio)", "output", 1),
        (WINDOWS, "realtek", "output", 1),
        (WINDOWS, "realtek, windows directsound", "output", 5),
        (WINDOWS, "yeti", "input", 0),  # MME cuts the name off
        (WINDOWS, "yeti, Windows WASAPI", "input", 2),
        (WINDOWS, "cable output", "input", 4),
        (LINUX, "HDMI", "output", 2),
        (LINUX, "hdmi 1", "output", 3),
        (LINUX, "hw:0,0", "input", 0),
        (LINUX, "default", "input", 4),
        (LINUX, "default, jack audio connection kit", "input", 5),
    ],
)
def test_devices_are_found_by_what_they_are_called(use, found, spec, kind, index):
    use(found)
    assert find_device(spec, kind).index == index


@pytest.mark.parametrize("seed", range(20))
def test_each_device_has_a_spec_that_finds_it(use, seed):
    rng = np.random.default_rng(seed)
    words = ["USB", "Mike", "Audio", "HDMI", "(hw:0,0)", "Line, In", "7"]
    names = {" ".join(rng.choice(words, rng.integers(1, 4))) for _ in range(rng.integers(1, 9))}
    places = [(name, api) for name in sorted(names) for api in ("ALSA", "OSS", "JACK")]
    rng.shuffle(places)
    kept = places[: rng.integers(1, len(places) + 1)]
    some = [
        device(i, name, api, int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        for i, (name, api) in enumerate(kept)
    ]
    use(some)
    for each in some:
        for kind in ("input", "output"):
            specs = [str(each.index), f"{each.name}, {each.host_api}", f"{each.name}, alsa".upper()]
            for spec in specs[:2] + specs[2:] * (each.host_api == "ALSA"):
                if each.channels(kind):
                    assert find_device(spec, kind) is each
                elif spec.isdecimal():
                    assert f"no {kind}" in refusal(spec, kind)
            spec = each.name
            same = [d for d in some if d.name == spec and d.channels(kind)]
            if len(same) > 1 and not spec.isdecimal():
                message = refusal(spec, kind)
                assert "host API" in message
                for other in same:
                    assert f"{other.index} {other.name!r}" in message


def test_the_same_name_is_ambiguous_only_without_a_default_host_api(use):
    use([replace(d, default_input=False, default_output=False) for d in WINDOWS])
    message = refusal("realtek", "output")
    for index in (1, 3, 5):
        assert f"{index} 'Speakers" in message
    assert "rtdenoise devices" in message


def test_a_part_of_different_names_is_ambiguous(use):
    use(LINUX)
    message = refusal("hdm", "output")
    assert "2 'HDMI'" in message
    assert "3 'HDMI 1'" in message


@pytest.mark.parametrize("spec", ["nothing", "99", "", "-1", "²", "line\nbreak"])
def test_a_missing_device_is_refused_with_what_there_is(use, spec):
    use(LINUX)
    message = refusal(spec, "output")
    assert "2 'HDMI' (ALSA)" in message
    assert "1 'USB Audio" not in message
    assert "rtdenoise devices" in message


@pytest.mark.parametrize("spec", ["2", "HDMI 1"])
def test_a_device_that_cannot_is_named(use, spec):
    use(LINUX)
    assert "'HDMI" in refusal(spec, "input")
    assert "no input channels" in refusal(spec, "input")


def test_no_devices_at_all(use):
    use([])
    assert refusal("mic", "input") == NO_DEVICES
    assert device_table([]) == NO_DEVICES
    use([device(0, "HDMI", inputs=0)])
    assert "no input devices" in refusal("mic", "input")
    assert "no default output" in refusal("speakers", "output")


def test_a_missing_plugin_is_named(use, monkeypatch):
    use(LINUX)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "libasound2-plugins" in refusal("pulse", "output")


def test_the_table_has_every_device():
    lines = device_table([*WINDOWS, replace(LINUX[4], index=12, virtual=True)]).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 2 + 7
    assert "12 default" in lines[-1]
    assert "5.0-20.0" in lines[-1]
    assert "6.0-30.0" in lines[-1]
    assert "default in, default out, virtual cable" in lines[-1]
    assert "virtual" not in "".join(lines[:-1])


@pytest.mark.parametrize(
    ("name", "virtual"),
    [
        ("BlackHole 2ch", True),
        ("CABLE Output (VB-Audio Virtual Cable)", True),
        ("CABLE-A Input (VB-Audio Cable A)", True),
        ("VB-Cable", True),
        ("VoiceMeeter Aux Input", True),
        ("Soundflower (2ch)", True),
        ("Loopback Audio", True),
        ("rtdenoise microphone", True),
        ("Null Output", True),
        ("Monitor of Null Output", True),
        ("feed.monitor", True),
        ("LG Monitor", False),
        ("Cable headset", False),
        ("Microphone (Yeti Stereo Microphone)", False),
    ],
)
def test_virtual_cables_are_known_by_name(name, virtual):
    assert bool(devices.VIRTUAL.search(name)) == virtual


REAL = """
import json, sys
from dataclasses import asdict
from rtdenoise.devices import device_table, find_device, list_devices, refresh

before = list_devices()
refresh()
assert list_devices() == before
found = {s: asdict(find_device(s, "input")) for s in ("mic", "feed", "SPEAK", "default, alsa")}
print(json.dumps([found, device_table(before)]))
"""


def test_real_devices(pulse):
    done = subprocess.run(
        [sys.executable, "-c", REAL], env=pulse.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found, table = json.loads(done.stdout)
    assert found["mic"] == found["default, alsa"]
    assert found["mic"]["default_input"]
    for name in ("feed", "speakers"):
        assert re.search(rf"\d {name} ", table)
    assert found["feed"]["name"] == "feed"
    assert found["SPEAK"]["name"] == "speakers"
    low_ms, high_ms = found["feed"]["input_latency_ms"]
    assert 1 < low_ms < high_ms < 1000


NEW_DEVICE = """
import os, sys
from pathlib import Path
from rtdenoise.devices import list_devices, refresh

assert "late" not in [d.name for d in list_devices()]
path = Path(os.environ["ALSA_CONFIG_PATH"])
path.write_text(path.read_text() + 'pcm.late { type pulse device "speakers" }')
refresh()
assert "late" in [d.name for d in list_devices()]
"""


def test_refresh_finds_what_was_plugged_in(pulse, tmp_path):
    config = tmp_path / "alsa.conf"
    config.write_text((pulse.folder / "alsa.conf").read_text())
    env = pulse.env | {"ALSA_CONFIG_PATH": str(config)}
    done = subprocess.run(
        [sys.executable, "-c", NEW_DEVICE], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_library_is_named(monkeypatch):
    class NoLibrary:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    for call in (devices.list_devices, devices.refresh):
        with pytest.raises(DeviceError, match="install libportaudio2"):
            call()
