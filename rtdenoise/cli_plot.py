"""The command ``rtdenoise plot``: a picture of what a model does, or of versions of a file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdenoise.paths import FileError
from rtdenoise.terminal import complain, silent_libraries

if TYPE_CHECKING:
    from rtdenoise.stft import FloatArray

SUFFIXES = (".png", ".svg", ".pdf")
"""Of pictures; refused here before any work, and no input is replaced by mistake."""


def plot(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="The noisy recording, then versions of it."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Picture. Default: NAME.png next to the first file."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model that denoises a single file: NAME, NAME@N or folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing picture.")] = False,
) -> None:
    """Draw spectrograms of versions of a recording, with their gains and levels.

    The first file is the noisy one; the gains are relative to it. A single file is
    denoised, and the two are compared. Channels are mixed down.
    """
    target = _target(files[0], out, force)
    if model is not None and len(files) > 1:
        raise FileError("--model denoises a single file; leave it out, or give one file")

    from rtdenoise.plot import draw_comparison

    with silent_libraries():
        versions, rate = _read_all(files)
        if len(files) == 1:
            versions |= _denoised(files[0], versions, rate, model)
    draw_comparison(versions, rate, target)
    print(f"{', '.join(map(str, files))} -> {target}", flush=True)


def _target(first: Path, out: Path | None, force: bool) -> Path:
    """Return where the picture goes, if it may go there."""
    if first.is_dir():
        raise FileError(f"{first} is a folder; give audio files")
    target = first.with_suffix(".png") if out is None else out
    if target.is_dir():
        raise FileError(f"{target} is a folder; choose another output with -o")
    if target.suffix.lower() not in SUFFIXES:
        raise FileError(f"{target}: a picture ends in one of {', '.join(SUFFIXES)}")
    if os.path.lexists(target) and not force:
        raise FileError(f"{target} exists; use --force to replace it")
    return target


def _read_all(files: list[Path]) -> tuple[dict[str, "FloatArray"], int]:
    """Return each file's audio by its title, all of one length, and their rate in Hz."""
    titles = [path.name for path in files]
    if len(set(titles)) < len(titles):
        titles = [str(path) for path in files]
    # A name need not be text in any encoding, but what is drawn must be.
    titles = [os.fsencode(title).decode("utf-8", "replace") for title in titles]
    audio, rates = zip(*map(_read, files), strict=True)
    for path, rate in zip(files, rates, strict=True):
        if rate != rates[0]:
            raise FileError(
                f"{path}: has {rate} Hz, but {files[0]} has {rates[0]} Hz; convert one of them"
            )
    samples = min(one.size for one in audio)
    if any(one.size != samples for one in audio):
        complain(f"lengths differ: all are cut to the shortest, {samples / rates[0]:.2f} s")
    return {title: one[:samples] for title, one in zip(titles, audio, strict=True)}, rates[0]


def _read(path: Path) -> tuple["FloatArray", int]:
    """Return a file's audio as float32 ``[samples]``, and its rate in Hz."""
    import numpy as np

    from rtdenoise.audiofile import blocks, reading

    with reading(path) as audio:
        mixed = [np.nan_to_num(block, posinf=0, neginf=0).mean(0) for block in blocks(audio, path)]
        if not mixed:
            raise FileError(f"{path}: holds no samples; there is nothing to draw")
        return np.concatenate(mixed), audio.samplerate


def _denoised(
    path: Path, versions: dict[str, "FloatArray"], rate: int, name: str | None
) -> dict[str, "FloatArray"]:
    """Return the only version denoised, by its title."""
    from rtdenoise.denoiser import AudioError, denoise
    from rtdenoise.model import DEFAULT_MODEL, load_model

    model = load_model(name or DEFAULT_MODEL)
    (noisy,) = versions.values()
    try:
        return {f"denoised by {model.card.name}": denoise(noisy, rate, model)}
    except AudioError as error:
        raise FileError(f"{path}: {error}; convert it first") from error
