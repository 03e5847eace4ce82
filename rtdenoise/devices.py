"""Audio devices: which there are, and which one a user means."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rtdenoise.errors import RtdenoiseError
from rtdenoise.terminal import silent_libraries

Kind = Literal["input", "output"]

DEFAULT_WORDS: dict[Kind, tuple[str, ...]] = {
    "input": ("default", "mic"),
    "output": ("default", "speakers"),
}
"""What stands for the system's default device."""

VIRTUAL = re.compile(
    r"blackhole|soundflower|voicemeeter|loopback|rtdenoise|vb-?(audio|cable)|virtual audio cable"
    r"|cable(-[a-d])? (in|out)put|null (out|in)put|monitor of |\.monitor$",
    re.IGNORECASE,
)
"""Names of devices which pass sound from one program to another."""

MME_NAME_LENGTH = 31
"""Windows' oldest host API cuts names off after so many characters."""

NO_DEVICES = "no audio devices; plug one in, or start the sound server, and see `rtdenoise devices`"


class DeviceError(RtdenoiseError):
    """There is no such audio device, or more than one."""


@dataclass(frozen=True)
class Device:
    """An audio device, as one host API offers it.

    Attributes:
        index: PortAudio's number; holds until the next :func:`refresh`.
        name: on one line.
        host_api: what PortAudio reaches it through, such as ``ALSA`` or ``Windows WASAPI``.
        inputs: most channels that can be recorded; 0 if none.
        outputs: most channels that can be played; 0 if none.
        rate_hz: default sample rate.
        input_latency_ms: least and most that PortAudio proposes.
        output_latency_ms: the same for output.
        default_input: whether this is the system's default microphone.
        default_output: whether these are the system's default speakers.
        virtual: whether the name is that of a cable between programs.
    """

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    rate_hz: float
    input_latency_ms: tuple[float, float]
    output_latency_ms: tuple[float, float]
    default_input: bool = False
    default_output: bool = False
    virtual: bool = False

    def channels(self, kind: Kind) -> int:
        """Return the most channels of a kind."""
        return self.inputs if kind == "input" else self.outputs

    def is_default(self, kind: Kind) -> bool:
        """Return whether this is the system's default of a kind."""
        return self.default_input if kind == "input" else self.default_output


def list_devices() -> list[Device]:
    """Return the devices that PortAudio saw when it started or was last refreshed.

    Raises:
        DeviceError: PortAudio is not installed.
    """
    with _quiet():
        library = portaudio()
        found = library.query_devices()
        host_apis = library.query_hostapis()
        default = host_apis[library.default.hostapi] if host_apis else {}
    return [
        Device(
            index=device["index"],
            # Some Windows drivers have line ends in their names.
            name=" ".join(device["name"].split()),
            host_api=host_apis[device["hostapi"]]["name"],
            inputs=device["max_input_channels"],
            outputs=device["max_output_channels"],
            rate_hz=device["default_samplerate"],
            input_latency_ms=_latency_ms(device, "input"),
            output_latency_ms=_latency_ms(device, "output"),
            default_input=device["index"] == default.get("default_input_device"),
            default_output=device["index"] == default.get("default_output_device"),
            virtual=VIRTUAL.search(device["name"]) is not None,
        )
        for device in found
    ]


def refresh() -> None:
    """Make PortAudio look for devices again. Indices may change. No stream may be open.

    Raises:
        DeviceError: PortAudio is not installed, or does not start again.
    """
    with _quiet():
        library = portaudio()
        # PortAudio looks only when it starts; sounddevice has no public call for that.
        try:
            library._terminate()
            library._initialize()
        except library.PortAudioError as error:
            reason = " ".join(str(error).split())
            raise DeviceError(f"PortAudio: {reason}; check that sound works elsewhere") from error


def find_device(spec: str, kind: Kind) -> Device:
    """Return the device that a user means.

    Args:
        spec: an index; a name, or a part of one, in any case; either with the host API
            after it, as in ``NAME, ALSA``; ``default``, ``mic`` for an input or
            ``speakers`` for an output: the system's default.
        kind: ``input`` or ``output``.

    Raises:
        DeviceError: no device of this kind is meant, or more than one.
    """
    devices = list_devices()
    if not devices:
        raise DeviceError(NO_DEVICES)
    able = [device for device in devices if device.channels(kind)]
    if not able:
        raise DeviceError(f"no {kind} devices among {_names(devices)}; see `rtdenoise devices`")
    wanted = " ".join(spec.split()).casefold()
    if wanted in DEFAULT_WORDS[kind]:
        for device in able:
            if device.is_default(kind):
                return device
        raise DeviceError(f"the system has no default {kind}; choose one of {_names(able)}")
    host_apis = {d.host_api for d in devices if d.default_input or d.default_output}
    meant = _meant(wanted, able, host_apis)
    if len(meant) == 1:
        return meant[0]
    if meant:
        advice = "give the index or more of the name"
        if len({device.name.casefold() for device in meant}) == 1:
            advice = f'give the index, or the host API too, as in "{meant[0].name}, ..."'
        raise DeviceError(
            f"{spec!r} could be any of {_names(meant)}; {advice} (see `rtdenoise devices`)"
        )
    unable = _meant(wanted, devices, set())
    if unable:
        raise DeviceError(
            f"{_names(unable)}: no {kind} channels; choose one of {_names(able)} "
            "(see `rtdenoise devices`)"
        )
    if wanted == "pulse" and sys.platform == "linux":
        raise DeviceError("no device 'pulse'; install libasound2-plugins")
    raise DeviceError(
        f"no {kind} device {spec!r}; choose one of {_names(able)} (see `rtdenoise devices`)"
    )


def device_table(devices: Sequence[Device]) -> str:
    """Return devices as a table in Markdown, or a line that says that there are none."""
    if not devices:
        return NO_DEVICES
    from rtdenoise.tables import markdown  # which loads what measures models

    width = max(len(str(device.index)) for device in devices)
    return markdown(
        [
            {
                "device": f"{device.index:{width}} {device.name}",
                "host API": device.host_api,
                "in": str(device.inputs),
                "out": str(device.outputs),
                "rate Hz": f"{device.rate_hz:.0f}",
                "in ms": _range(device.input_latency_ms) if device.inputs else "",
                "out ms": _range(device.output_latency_ms) if device.outputs else "",
                "": ", ".join(_marks(device)),
            }
            for device in devices
        ]
    )


def _meant(wanted: str, devices: Sequence[Device], host_apis: set[str]) -> list[Device]:
    """Return what a specification in lower case means, of several readings the likeliest.

    Of one device in several host APIs, the one in ``host_apis`` is preferred.
    """
    if wanted.isdecimal():
        return [device for device in devices if device.index == int(wanted)]
    if not wanted:
        return []
    named = [(device.name.casefold(), device.host_api.casefold(), device) for device in devices]
    part, _, host_api = wanted.rpartition(", ")
    there = [(name, device) for name, api, device in named if api == host_api and part]
    for meant in (
        [device for name, _, device in named if name == wanted],
        [device for name, device in there if name == part],
        [device for name, _, device in named if wanted in name],
        [device for name, device in there if part in name],
    ):
        if meant:
            return _preferred(meant, host_apis)
    return []


def _preferred(devices: list[Device], host_apis: set[str]) -> list[Device]:
    short = min((device.name.casefold() for device in devices), key=len)
    for device in devices:
        name = device.name.casefold()
        if name != short and (len(short) < MME_NAME_LENGTH or not name.startswith(short)):
            return devices
    preferred = [device for device in devices if device.host_api in host_apis]
    return preferred if len(preferred) == 1 else devices


def _names(devices: Sequence[Device], most: int = 8) -> str:
    names = [f"{device.index} {device.name!r} ({device.host_api})" for device in devices[:most]]
    rest = len(devices) - most
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def _marks(device: Device) -> Iterator[str]:
    if device.default_input:
        yield "default in"
    if device.default_output:
        yield "default out"
    if device.virtual:
        yield "virtual cable"


def _range(latency_ms: tuple[float, float]) -> str:
    low_ms, high_ms = latency_ms
    return f"{low_ms:.1f}-{high_ms:.1f}"


def _latency_ms(device: dict[str, Any], kind: Kind) -> tuple[float, float]:
    low_s, high_s = (device[f"default_{end}_{kind}_latency"] for end in ("low", "high"))
    return 1e3 * low_s, 1e3 * high_s


def portaudio() -> Any:
    """Return sounddevice, which starts PortAudio when it is first imported.

    Raises:
        DeviceError: PortAudio is not installed.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "the PortAudio library is missing; install libportaudio2 (Debian, Ubuntu), "
            "portaudio (Fedora, Arch, Homebrew)"
        ) from error
    return sounddevice


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep standard error to ourselves: ALSA and JACK tell there what they do not find."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError):  # none, or not a file
        yield
        return
    with silent_libraries():
        yield
