"""The commands `live` and `devices`."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rtdenoise.cli_options import DeviceOption, ModelOption
from rtdenoise.errors import RtdenoiseError


class Latency(StrEnum):
    """How much a live run and the drivers hold in reserve."""

    LOW = "low"
    HIGH = "high"


def live(
    source: Annotated[
        str, typer.Option("--in", help="Device that hears: index, (part of a) name, or mic.")
    ] = "mic",
    sink: Annotated[
        str, typer.Option("--out", help="Device that plays: index, (part of a) name, or speakers.")
    ] = "speakers",
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    limit_db: Annotated[
        float | None,
        typer.Option(
            help="Most that anything is attenuated, in dB (inf: no limit). Default: the model's."
        ),
    ] = None,
    mix: Annotated[float, typer.Option(help="1 is the denoised signal, 0 the input.")] = 1.0,
    channels: Annotated[
        int, typer.Option(help="2 denoises left and right each on its own.", min=1, max=2)
    ] = 1,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="HZ|IN:OUT", help="Sample rate, or one for each device. Default: their own."
        ),
    ] = None,
    blocksize: Annotated[
        int | None, typer.Option(help="Samples of a callback. Default: half a hop.")
    ] = None,
    latency: Annotated[
        Latency, typer.Option(help="high holds more in reserve, for sound that stutters.")
    ] = Latency.LOW,
    duration: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0.1)
    ] = None,
    record: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="RAW.wav CLEAN.wav", help="Record input and output, in step."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing recordings.")] = False,
    virtual_mic: Annotated[
        bool,
        typer.Option("--virtual-mic", help="Be a microphone for other programs (Linux)."),
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print a line a second.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print an object a second, for machines.")
    ] = False,
) -> None:
    """Talk through it: denoise a microphone live. Keys: b, +, -, [, ] and q; see the screen."""
    from rtdenoise.display import choose_display, summary

    display = choose_display(plain, json)
    if virtual_mic and sink != "speakers":
        raise RtdenoiseError("--virtual-mic plays into a microphone; leave out --out")
    in_rate, out_rate = _rates(rate)
    from rtdenoise.live import LiveOptions, LiveRun
    from rtdenoise.model import DEFAULT_MODEL, load_model
    from rtdenoise.terminal import silent_libraries

    options = LiveOptions(
        input=source,
        output=sink,
        in_rate=in_rate,
        out_rate=out_rate,
        channels=channels,
        block_samples=blocksize,
        latency=latency.value,
        limit_db=limit_db,
        mix=mix,
        duration_s=duration,
        record=record,
        force=force,
        virtual_mic=virtual_mic,
    )
    with silent_libraries():
        last = LiveRun(load_model(model or DEFAULT_MODEL, device), options, display).run()
    if not json:
        print(summary(last))


def devices() -> None:
    """List the audio devices: inputs, outputs, defaults, virtual cables."""
    from rtdenoise.devices import device_table, list_devices

    print(device_table(list_devices()))


def _rates(text: str | None) -> tuple[int | None, int | None]:
    """Return the rates of input and output that an option gives."""
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not found:
        raise RtdenoiseError(f"--rate {text!r}: give a rate in Hz, or two as in 16000:48000")
    return int(found[1]), int(found[2] or found[1])
