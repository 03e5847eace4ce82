"""A microphone that other programs can choose, fed by what this program plays.

On Linux it is made of a sink that plays into nothing and a source that records from it,
both modules of PulseAudio or of PipeWire's PulseAudio server, loaded through ``pactl``.
Elsewhere a virtual cable has to be installed.
"""

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rtdenoise.errors import RtdenoiseError

SINK = "rtdenoise_sink"
SOURCE = "rtdenoise_mic"
DESCRIPTION = "rtdenoise microphone"
"""What other programs show in their lists of microphones."""

TIMEOUT_S = 5.0
"""A sound server that takes longer is not well."""

ADVICE = {
    "darwin": "install BlackHole and use `--out BlackHole`",
    "win32": 'install VB-Cable and use `--out "CABLE Input"`',
}

OURS = re.compile(rf"(sink_name={SINK}|source_name={SOURCE})(?!\S)")
OWNER = re.compile(r"rtdenoise\.pid=(\d+) rtdenoise\.started=(\d+)")


class VirtualMicError(RtdenoiseError):
    """A virtual microphone cannot be made here, or is there already."""


@dataclass(frozen=True)
class Owner:
    """A process. Numbers of processes are used again, so the time of its start belongs to it.

    Attributes:
        pid: number of the process.
        started: clock ticks from the system's start to its own.
    """

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self == _process(self.pid)


@dataclass(frozen=True)
class Module:
    """A part of a virtual microphone, of this process or another."""

    index: int
    owner: Owner | None

    @property
    def is_taken(self) -> bool:
        """Whether another process uses it."""
        owner = self.owner
        return owner is not None and owner.pid != os.getpid() and owner.is_alive


class VirtualMic:
    """Context manager: the microphone is there while the context is entered.

    What this process, and each that it starts, then plays to PulseAudio's default output
    goes into the microphone. What it records comes from the microphone that was the default
    before, even if the virtual one becomes the default: it would hear itself otherwise.
    This holds for streams that are opened within the context.

    Args:
        rate_hz: sample rate of the sink.
        channels: of the sink; 1 or 2.

    Attributes:
        output_device: what to give to :func:`rtdenoise.devices.find_device`.
        source_name: PulseAudio's name of the microphone.
    """

    output_device = "pulse"
    source_name = SOURCE

    def __init__(self, rate_hz: int = 48_000, channels: int = 1) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        """Make the microphone.

        Raises:
            VirtualMicError: this is not Linux, no server answers, or another process has it.
        """
        if sys.platform != "linux":
            advice = ADVICE.get(
                sys.platform, "install a virtual cable and give its name to `--out`"
            )
            raise VirtualMicError(f"virtual microphones are made on Linux only; {advice}")
        try:
            self.ensure()
        except BaseException:
            self._undo()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the microphone."""
        self._undo()

    def ensure(self) -> None:
        """Make the microphone again if it went away, as when the server was restarted.

        Raises:
            VirtualMicError: no server answers, or another process has the microphone.
        """
        _server_info()
        modules = _modules()
        _refuse(modules)
        us = _us()
        if len(modules) == 2 and {module.owner for module in modules} == {us}:
            return
        for module in modules:  # left by a crash
            _unload(module)
        sink, source = _defaults()
        mark = f"rtdenoise.pid={us.pid} rtdenoise.started={us.started}"
        index = _load(
            "module-null-sink",
            f"sink_name={SINK}",
            f"rate={self._rate_hz}",
            f"channels={self._channels}",
            f"sink_properties=\"device.description='rtdenoise output' {mark}\"",
        )
        # Another process may have done the same at the same time: the first one has it.
        _refuse([module for module in _modules() if module.index < index])
        _load(
            "module-remap-source",
            f"source_name={SOURCE}",
            f"master={SINK}.monitor",
            f"source_properties=\"device.description='{DESCRIPTION}' {mark}\"",
        )
        if sink and _defaults()[0] == SINK:  # all programs would be heard in it
            _pactl("set-default-sink", sink)
        self._set("PULSE_SINK", SINK)
        is_ours = source in (SOURCE, f"{SINK}.monitor")  # PipeWire may be slow to forget it
        chosen = "PULSE_SOURCE" in os.environ and "PULSE_SOURCE" not in self._before
        if source and not is_ours and not chosen:
            self._set("PULSE_SOURCE", source)

    def _set(self, name: str, value: str) -> None:
        """Set a variable that libpulse reads each time a stream is opened."""
        self._before.setdefault(name, os.environ.get(name))
        os.environ[name] = value

    def _undo(self) -> None:
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before.clear()
        with suppress(VirtualMicError):  # the server may be gone, and the microphone with it
            # Looked up once more: a server that was restarted has given the numbers to others.
            for module in _modules():
                if module.owner == _us():
                    _unload(module)


def _refuse(modules: list[Module]) -> None:
    for module in modules:
        if module.is_taken and module.owner is not None:
            raise VirtualMicError(
                f"process {module.owner.pid} has the virtual microphone; stop it first"
            )


def _modules() -> list[Module]:
    """Return the parts of virtual microphones, in the order in which they depend on others."""
    modules = []
    for line in _pactl("list", "short", "modules").splitlines():
        index, _, rest = line.partition("\t")
        if index.isdecimal() and OURS.search(rest):
            owner = OWNER.search(rest)
            modules.append(
                Module(int(index), Owner(int(owner[1]), int(owner[2])) if owner else None)
            )
    return sorted(modules, key=lambda module: -module.index)


def _load(*arguments: str) -> int:
    """Load a module and return its index."""
    answer = _pactl("load-module", *arguments).strip()
    if not answer.isdecimal():
        raise VirtualMicError(f"pactl load-module: {answer or 'no answer'}; restart the server")
    return int(answer)


def _unload(module: Module) -> None:
    with suppress(VirtualMicError):  # it may have gone with the one that it depends on
        _pactl("unload-module", str(module.index))


def _server_info() -> dict[str, str]:
    try:
        lines = _pactl("info").splitlines()
    except _PactlError as error:
        raise VirtualMicError(
            f"no sound server answers ({error.reason}); start PulseAudio, or PipeWire with "
            "pipewire-pulse"
        ) from error
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _defaults() -> tuple[str, str]:
    """Return the names of the default sink and source; empty where there is none."""
    info = _server_info()
    return info.get("Default Sink", ""), info.get("Default Source", "")


class _PactlError(VirtualMicError):
    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"pactl {command}: {reason}; restart the sound server")
        self.reason = reason


def _pactl(*arguments: str) -> str:
    """Run pactl and return what it prints."""
    try:
        done = subprocess.run(
            ["pactl", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"},  # its words are read
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise VirtualMicError("pactl is missing; install pulseaudio-utils") from error
    except subprocess.TimeoutExpired as error:
        raise _PactlError(arguments[0], f"no answer within {TIMEOUT_S:.0f} s") from error
    if done.returncode:
        lines = done.stderr.split("\n")
        raise _PactlError(arguments[0], lines[0].strip() or f"exit code {done.returncode}")
    return done.stdout


def _us() -> Owner:
    us = _process(os.getpid())
    assert us is not None
    return us


def _process(pid: int) -> Owner | None:
    """Return a process that runs, or None."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the state and the numbers come after it.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Owner(pid, int(fields[19]))
