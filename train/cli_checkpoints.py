"""`rtdenoise export` and `rtdenoise average`: what is done with checkpoints."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from rtdenoise.train.average import average as mean
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError

export_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
average_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@export_app.command(no_args_is_help=True)
def export(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt of a run.")],
    folder: Annotated[Path, typer.Argument(help="Folder for model.onnx and card.json.")],
    description: Annotated[str, typer.Option(help="One line for the card.")] = "",
    data: Annotated[str, typer.Option(help="What it was trained on, with licences.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "MIT",
    limit_db: Annotated[
        float | None, typer.Option(help="Attenuation limit that suits it, in dB.", min=0)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing model.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="How to store them: float32, or int8 with scales (as of resunet)."),
    ] = None,
) -> None:
    """Export a checkpoint as a model for the runtime, proven to stream as it was trained."""
    from rtdenoise.train.export import export as write  # the ONNX exporter takes long to import

    if folder.is_file():
        raise DataError(f"{folder} is a file; name a folder to write to")
    if (folder / "model.onnx").exists() and not force:
        raise DataError(f"{folder} holds a model already; use --force to replace it")
    trained = Checkpoint.load(checkpoint)
    told = description or trained.network
    error = write(trained, folder, told, data, licence, limit_db, weights)
    print(f"{folder}: streaming and offline gains differ by {error:.1e} at most")


@average_app.command(no_args_is_help=True)
def average(
    checkpoints: Annotated[
        list[str], typer.Argument(help="PATH or PATH:SHARE, 1 by default; two or more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Average the weights of checkpoints of one network: before and after a part of training."""
    if out.is_dir():
        raise DataError(f"{out} is a folder; name a file to write")
    if out.exists() and not force:
        raise DataError(f"{out} exists already; use --force to replace it")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent}: no such folder")
    paths, shares = zip(*map(_with_share, checkpoints), strict=True)
    mean(list(paths), list(shares)).save(out)
    print(f"{out}: average of {len(paths)} checkpoints")


def _with_share(text: str) -> tuple[Path, float]:
    """Return the path and the share that PATH or PATH:SHARE stands for."""
    path, _, share = text.rpartition(":")
    if path and not Path(text).exists():
        with contextlib.suppress(ValueError):  # then the colon belongs to the name
            return Path(path), float(share)
    return Path(text), 1.0
