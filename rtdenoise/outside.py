"""Runs any other denoiser on a recording, so that it can be scored beside the models here.

The other one is a command that reads a sound file and writes one. It gets a copy in a
folder of its own, so whatever it does there, the recording stays as it is.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray

TIMEOUT_S = 600.0
"""A tool that takes longer over one recording is taken to hang."""

LONGEST_LINE = 200
"""Characters of a tool's last words that an error repeats."""

FORM = "NAME=COMMAND {in} {out}"

_PLACEHOLDER = re.compile(r"\{(in|out)\}")


@dataclass(frozen=True)
class OutsideSystem:
    """Another denoiser.

    Attributes:
        name: what tables call it.
        command: program and arguments; ``{in}`` and ``{out}`` in them stand for the files.
    """

    name: str
    command: tuple[str, ...]


def parse_outside(text: str) -> OutsideSystem:
    """Return the system that ``NAME=COMMAND {in} {out}`` describes.

    The command is split as a shell would split it, but no shell runs it.

    Raises:
        RtdenoiseError: the text is not of that form.

    Example:
        >>> parse_outside("mine=my-tool --in {in} --out={out}").command
        ('my-tool', '--in', '{in}', '--out={out}')
    """
    name, _, line = text.partition("=")
    try:
        command = tuple(shlex.split(line))
    except ValueError as error:
        raise RtdenoiseError(f"{text!r}: {error}; give {FORM}") from error
    if not name.strip() or not command:
        raise RtdenoiseError(f"{text!r} names no denoiser; give {FORM}")
    used = {place for part in command[1:] for place in _PLACEHOLDER.findall(part)}
    for place in ("in", "out"):
        if place not in used:
            raise RtdenoiseError(f"{text!r} lacks {{{place}}}; give {FORM}")
    return OutsideSystem(name.strip(), command)


def denoise_outside(
    system: OutsideSystem, path: Path, timeout_s: float = TIMEOUT_S
) -> tuple[FloatArray, int]:
    """Return a recording as another denoiser gives it back.

    The tool gets a WAV file: a copy, or what the recording holds as 16-bit samples. What
    it writes is taken as it is; a delay or another length is not made good here.

    Args:
        system: what to run.
        path: the noisy recording.
        timeout_s: time after which the tool is stopped.

    Returns:
        float32 ``[samples]``, channels mixed down, and their rate in Hz.

    Raises:
        RtdenoiseError: the recording cannot be read; the tool is missing, fails, takes too
            long, or leaves no readable output.
    """
    with tempfile.TemporaryDirectory(prefix="rtdenoise-", ignore_cleanup_errors=True) as folder:
        files = {"in": Path(folder, "in.wav"), "out": Path(folder, "out.wav")}
        _hand_over(path, files["in"])
        command = [
            _PLACEHOLDER.sub(lambda place: str(files[place[1]]), part) for part in system.command
        ]
        with Path(folder, "stderr").open("w+b") as stderr:
            code = _run(system, command, stderr, timeout_s)
            last = _last_line(stderr)
        said = f": {last}" if last else ""
        if code != 0:
            ended = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise RtdenoiseError(f"{_shown(system)} failed with {ended}{said}")
        if not files["out"].is_file():
            raise RtdenoiseError(f"{_shown(system)} wrote no {{out}}{said}")
        return _read_output(system, files["out"])


def _hand_over(path: Path, target: Path) -> None:
    """Copy a WAV file; turn any other into one, since that is what every tool reads."""
    try:
        if soundfile.info(path).format == "WAV":
            shutil.copyfile(path, target)
        else:
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
            soundfile.write(target, audio, rate, subtype="PCM_16")
    except soundfile.SoundFileError as error:
        raise RtdenoiseError(f"{path}: cannot be read as audio ({error})") from error
    except OSError as error:
        raise RtdenoiseError(f"{path}: cannot be copied ({error.strerror})") from error


def _run(system: OutsideSystem, command: list[str], stderr: BinaryIO, timeout_s: float) -> int:
    """Run a command to its end and return its exit code."""
    try:
        # Its own session, so that what it started ends with it. Its standard error goes to
        # a file: a pipe would have to be emptied, and could be held open by a grandchild.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RtdenoiseError(f"{_shown(system)} cannot be run ({reason}); is it there?") from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        message = f"{_shown(system)} was stopped: it took more than {timeout_s:g} s"
        raise RtdenoiseError(message) from error
    finally:
        if process.poll() is None:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_output(system: OutsideSystem, path: Path) -> tuple[FloatArray, int]:
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise RtdenoiseError(f"{_shown(system)} wrote no readable audio to {{out}}") from error
    if not audio.size or not np.isfinite(audio).all():
        fault = "samples that are not numbers" if audio.size else "no samples"
        raise RtdenoiseError(f"{_shown(system)} wrote {fault} to {{out}}")
    return np.asarray(audio.mean(axis=1), np.float32), rate


def _shown(system: OutsideSystem) -> str:
    return _plain(f"{system.name} ({shlex.join(system.command)})")


def _last_line(stderr: BinaryIO) -> str:
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, stderr.tell() - 10_000))
    lines = [_plain(line) for line in stderr.read().decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return last if len(last) <= LONGEST_LINE else last[:LONGEST_LINE] + "..."


def _plain(text: str) -> str:
    """Return text on one line, without what would move a terminal's cursor or colour it."""
    return "".join(c if c.isprintable() else " " for c in text).strip()
