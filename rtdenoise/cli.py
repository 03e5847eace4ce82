"""The command line.

Whatever takes long to import is imported by the command that needs it, so that
``--help`` answers at once.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdenoise.cli_bench import bench_app
from rtdenoise.cli_eval import evaluate
from rtdenoise.cli_live import devices, live
from rtdenoise.cli_options import DeviceOption, ModelOption
from rtdenoise.cli_plot import plot
from rtdenoise.errors import RtdenoiseError
from rtdenoise.terminal import complain, progress_bar, silent_libraries, stoppable

if TYPE_CHECKING:
    from rtdenoise.files import FileReport
    from rtdenoise.paths import Job

app = typer.Typer(
    name="rtdenoise",
    help="Streaming speech denoiser: noisy speech in, clean speech out.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(bench_app, name="bench")
app.command("eval")(evaluate)
app.command()(live)
app.command()(devices)
app.command()(plot)

FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that hands its arguments to another command line."""


def main() -> None:
    """Run the command line ``rtdenoise``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name need not be text in any encoding
            stream.reconfigure(errors="backslashreplace")
    run(app)


def run(app: typer.Typer) -> None:
    """Run a command line; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except RtdenoiseError as error:
        complain(error)
        sys.exit(2)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"rtdenoise {version('rtdenoise')}")
        raise typer.Exit()


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
def file(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Audio files or folders.")],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="File for one input; folder for several, for a folder, or with a final slash. "
            "Without it, NAME.denoised.EXT next to each input.",
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    limit_db: Annotated[
        float | None,
        typer.Option(
            help="Most that anything is attenuated, in dB (inf: no limit). Default: the model's."
        ),
    ] = None,
    mix: Annotated[float, typer.Option(help="1 is the denoised signal, 0 the input.")] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Replace existing outputs.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print problems only.")] = False,
) -> None:
    """Denoise audio files: format, rate, channels and length stay as they are."""
    with stoppable():
        from rtdenoise.paths import plan

        jobs = plan(inputs, out, force)

        from rtdenoise.denoiser import Denoiser
        from rtdenoise.files import denoise_file
        from rtdenoise.model import DEFAULT_MODEL, REFERENCE_RATE_HZ, load_model

        loaded = load_model(model or DEFAULT_MODEL, device)
        # Refuses bad options once, not once for each file.
        Denoiser(REFERENCE_RATE_HZ, loaded, limit_db=limit_db, mix=mix)
        failures = 0
        with silent_libraries():
            for job in jobs:
                try:
                    with progress_bar(job.source.name, quiet) as progress:
                        report = denoise_file(
                            job.source,
                            job.target,
                            loaded,
                            limit_db=limit_db,
                            mix=mix,
                            force=force,
                            progress=progress,
                        )
                except RtdenoiseError as error:
                    failures += 1
                    complain(error)
                else:
                    _show_report(job, report, quiet)
    if failures:
        raise typer.Exit(2)


def _show_report(job: "Job", report: "FileReport", quiet: bool) -> None:
    if report.replaced_samples:
        complain(f"{job.source}: {report.replaced_samples} NaN or infinite sample(s) taken for 0")
    if not quiet:
        print(
            f"{job.source} -> {job.target}  {report.audio_s:.1f} s of audio in "
            f"{report.elapsed_s:.1f} s ({report.audio_s / report.elapsed_s:.0f}x real time)",
            flush=True,
        )


@app.command()
def models() -> None:
    """List the models by name."""
    from rtdenoise.model import list_models, read_card

    names = list_models()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {read_card(name).description}")


@app.command()
def doctor() -> None:
    """Print what a bug report needs, and test every model; exit code 1 if one fails."""
    from rtdenoise.doctor import report, self_tests

    tests = self_tests()
    print(report(tests))
    raise typer.Exit(any(test.problem for test in tests))


@app.command(context_settings=FORWARD, add_help_option=False)
def train(context: typer.Context) -> None:
    """Train a model; see rtdenoise train --help."""
    _forward(context, "cli", "app")


@app.command(context_settings=FORWARD, add_help_option=False)
def export(context: typer.Context) -> None:
    """Export a trained model; see rtdenoise export --help."""
    _forward(context, "cli_checkpoints", "export_app")


@app.command(context_settings=FORWARD, add_help_option=False)
def average(context: typer.Context) -> None:
    """Average the weights of checkpoints; see rtdenoise average --help."""
    _forward(context, "cli_checkpoints", "average_app")


def _forward(context: typer.Context, module: str, name: str) -> None:
    """Hand all arguments to a command line of the trainer, which needs torch."""
    try:
        trainer = import_module(f"rtdenoise.train.{module}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rtdenoise"):
            raise
        raise RtdenoiseError(
            f"{context.info_name} needs the package {error.name}: pip install 'rtdenoise[train]'"
        ) from error
    getattr(trainer, name)(args=context.args, prog_name=f"rtdenoise {context.info_name}")
