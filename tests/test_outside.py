"""Other denoisers, run as commands on a file."""

import shlex
import sys
import time

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import RtdenoiseError
from rtdenoise.outside import OutsideSystem, denoise_outside, parse_outside

HALVE = """
import sys, soundfile
audio, rate = soundfile.read(sys.argv[1])
soundfile.write(sys.argv[2], audio / 2, rate, subtype="FLOAT")
"""


def system(code, *arguments):
    """A tool made of Python code."""
    return OutsideSystem("toy", (sys.executable, "-c", code, *(arguments or ("{in}", "{out}"))))


@pytest.fixture
def noisy(tmp_path):
    """A stereo recording, its path and its samples."""
    samples = 0.1 * np.random.default_rng(1).normal(size=(800, 2)).astype(np.float32)
    soundfile.write(tmp_path / "it's noisy.wav", samples, 44_100, subtype="FLOAT")
    return tmp_path / "it's noisy.wav", samples


def test_description_is_taken_apart():
    made = parse_outside(" mine = tool '--a b' -i {in} --out={out} --keep={}")
    assert made == OutsideSystem(
        "mine", ("tool", "--a b", "-i", "{in}", "--out={out}", "--keep={}")
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names no denoiser"),
        ("mine", "names no denoiser"),
        ("mine=", "names no denoiser"),
        ("=tool {in} {out}", "names no denoiser"),
        ("mine=tool {in}", r"lacks \{out\}"),
        ("mine=tool {out}", r"lacks \{in\}"),
        ("mine={in} {out}", r"lacks \{in\}"),
        ("mine=tool '{in} {out}", "No closing quotation"),
    ],
)
def test_wrong_descriptions_are_refused(text, fault):
    with pytest.raises(RtdenoiseError, match=fault) as error:
        parse_outside(text)
    assert "\n" not in str(error.value)
    assert "NAME=COMMAND {in} {out}" in str(error.value)


def test_output_is_mixed_down(noisy):
    path, samples = noisy
    out, rate = denoise_outside(system(HALVE), path)
    assert rate == 44_100
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, samples.mean(axis=1) / 2, atol=1e-7)


def test_described_tool_runs(noisy):
    path, samples = noisy
    described = parse_outside(
        f"toy={shlex.quote(sys.executable)} -c {shlex.quote(HALVE)} {{in}} {{out}}"
    )
    out, _ = denoise_outside(described, path)
    np.testing.assert_allclose(out, samples.mean(axis=1) / 2, atol=1e-7)


def test_no_shell_reads_the_command(noisy, tmp_path):
    path, _ = noisy
    mark = tmp_path / "mark"
    denoise_outside(
        system(HALVE, "{in}", "{out}", f"; touch {shlex.quote(str(mark))}", "$HOME"), path
    )
    assert not mark.exists()


def test_other_formats_come_as_wav(tmp_path):
    samples = 0.1 * np.random.default_rng(2).normal(size=800).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", samples, 16_000)
    out, rate = denoise_outside(
        system("import wave, sys; wave.open(sys.argv[1])\n" + HALVE), tmp_path / "a.flac"
    )
    assert rate == 16_000
    np.testing.assert_allclose(out, samples / 2, atol=1e-4)


def test_recording_is_safe_from_the_tool(noisy):
    path, samples = noisy
    denoise_outside(system(HALVE + "open(sys.argv[1], 'wb').close()"), path)
    np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0], samples)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (
            "import sys; print('one\\n\\x1b[31mtwo\\n', file=sys.stderr); sys.exit(3)",
            "exit code 3: .*two$",
        ),
        ("import sys; sys.exit(4)", "exit code 4$"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9$"),
        ("pass", r"wrote no \{out\}"),
        ("import sys; print('no weights', file=sys.stderr)", "no weights$"),
        ("import sys; open(sys.argv[2], 'w').write('not audio')", "no readable audio"),
        ("import sys, soundfile; soundfile.write(sys.argv[2], [], 8000)", "no samples"),
        (HALVE.replace("audio / 2", "audio * float('nan')"), "not numbers"),
    ],
)
def test_failures_are_one_clear_line(noisy, code, fault):
    with pytest.raises(RtdenoiseError, match=fault) as error:
        denoise_outside(system(code), noisy[0])
    message = str(error.value)
    assert message.startswith("toy (")
    assert message.isprintable()


def test_long_last_words_are_cut(noisy):
    code = "import sys; print('x' * 5000, file=sys.stderr); sys.exit(1)"
    with pytest.raises(RtdenoiseError, match=r"x{200}\.\.\.$"):
        denoise_outside(system(code), noisy[0])


def test_missing_tool_is_named(noisy):
    with pytest.raises(RtdenoiseError, match=r"^mine \(no-such-tool .*cannot be run"):
        denoise_outside(parse_outside("mine=no-such-tool {in} {out}"), noisy[0])


@pytest.mark.parametrize("content", [None, b"no audio"])
def test_unreadable_recording_is_named(tmp_path, content):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RtdenoiseError, match=r"a\.wav: cannot be read"):
        denoise_outside(system(HALVE), path)


def test_hanging_tool_ends_with_what_it_started(noisy, tmp_path):
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(2); open({str(alive)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    start = time.monotonic()
    with pytest.raises(RtdenoiseError, match=r"took more than 0\.5 s"):
        denoise_outside(system(code), noisy[0], timeout_s=0.5)
    assert time.monotonic() - start < 2
    time.sleep(2.5)
    assert not alive.exists()
