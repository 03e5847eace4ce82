"""The commands of ``rtdenoise bench``: what models cost, and how they keep time."""

from typing import TYPE_CHECKING, Annotated

import typer

from rtdenoise.cli_options import DeviceOption

if TYPE_CHECKING:
    from rtdenoise.model import Model

bench_app = typer.Typer(
    help="Measure what models cost, and how they keep time.", no_args_is_help=True
)

Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="Model to measure, or NAME@N; repeatable. Default: all."),
]
Rate = Annotated[int, typer.Option(help="Sample rate in Hz.")]


@bench_app.command()
def throughput(
    model: Models = None,
    rate: Rate = 48_000,
    seconds: Annotated[float, typer.Option(help="Seconds of audio a pass.", min=0.1)] = 8.0,
) -> None:
    """Measure real-time factor, and how many streams one core carries.

    Hops are worked on back to back, as a busy server or a long file has them.
    """
    from rtdenoise.bench import measure
    from rtdenoise.capacity import streams_per_core
    from rtdenoise.tables import markdown, throughput_row

    rows = [
        throughput_row(measure(loaded, rate, seconds), streams_per_core(loaded, rate))
        for loaded in _load(model)
    ]
    print(markdown(rows))


@bench_app.command()
def latency(
    model: Models = None,
    rate: Rate = 48_000,
    seconds: Annotated[float, typer.Option(help="Seconds that each model runs.", min=0.1)] = 10.0,
    loopback: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="IN OUT",
            help="Measure the round trip by playing a chirp on OUT that is heard on IN.",
        ),
    ] = None,
) -> None:
    """Measure latency, and the time of hops that come when a sound card would bring them.

    Such a hop takes longer than one of a row back to back: between hops the
    program sleeps, caches go cold and the processor's clock goes down.
    A hop is missed if it is not done when the next one is due.

    With --loopback, the round trip through devices is measured instead, without and with
    each model; OUT must lead to IN, by a cable or as the monitor of a null sink.
    """
    if loopback is not None:
        _round_trips(model, rate, seconds, *loopback)
        return
    from rtdenoise.pacing import measure_paced
    from rtdenoise.tables import markdown, pacing_row

    print(markdown([pacing_row(measure_paced(loaded, rate, seconds)) for loaded in _load(model)]))


@bench_app.command()
def streams(
    model: Models = None,
    rate: Rate = 16_000,
    count: Annotated[
        list[int] | None,
        typer.Option(
            "--streams", help="Live streams to measure; repeatable. Default: 1, 16, 64, 256.", min=1
        ),
    ] = None,
    device: DeviceOption = "cpu",
    threads: Annotated[
        int, typer.Option(help="Threads that share the batches, or the work around one.", min=1)
    ] = 1,
    seconds: Annotated[float, typer.Option(help="Seconds of each measurement.", min=0.01)] = 3.0,
    most: Annotated[
        int, typer.Option(help="Search for the largest number up to this; 0 for no search.", min=0)
    ] = 10_000,
) -> None:
    """Measure a hop's work for many live streams, and find how many a device carries.

    Streams are carried if their work takes no longer than a hop in 99 of 100 hops.
    Streams of a model whose work comes in bursts have theirs at different hops, as callers have.
    """
    from rtdenoise.capacity import measure_streams, most_streams
    from rtdenoise.tables import markdown, most_row, streams_row

    loaded = _load(model, device)
    numbers = count or [1, 16, 64, 256]
    rows = [
        streams_row(measure_streams(one, rate, number, threads=threads, seconds=seconds))
        for one in loaded
        for number in numbers
    ]
    print(markdown(rows))
    if most:
        found = [most_streams(one, rate, most, threads=threads, precision=0.02) for one in loaded]
        rows = [most_row(*pair, rate, most) for pair in zip(loaded, found, strict=True)]
        print("\n" + markdown(rows))


def _round_trips(
    names: list[str] | None, rate: int, seconds: float, source: str, sink: str
) -> None:
    from rtdenoise.loopback import measure_loopback
    from rtdenoise.tables import loopback_row, markdown
    from rtdenoise.terminal import silent_libraries

    models = _load(names)
    with silent_libraries():
        measured = [measure_loopback(loaded, source, sink, rate, seconds) for loaded in models]
    print(markdown([loopback_row(one) for one in measured]))


def _load(names: list[str] | None, device: str = "cpu") -> "list[Model]":
    """Load all models first, so that a misspelt name is told before minutes have passed."""
    from rtdenoise.model import list_models, load_model

    return [load_model(name, device) for name in names or list_models()]
