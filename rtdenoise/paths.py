"""Which audio files to denoise, and where each result goes.

Everything that can be refused is refused here, before any work starts. No audio is
read, so the command line can say what is wrong without waiting for NumPy.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rtdenoise.errors import RtdenoiseError

CONTAINERS: dict[str, tuple[str, str | None]] = {
    ".8svx": ("SVX", None),
    ".aif": ("AIFF", None),
    ".aifc": ("AIFF", None),
    ".aiff": ("AIFF", None),
    ".au": ("AU", None),
    ".caf": ("CAF", None),
    ".flac": ("FLAC", None),
    ".mp1": ("MP3", "MPEG_LAYER_I"),
    ".mp2": ("MP3", "MPEG_LAYER_II"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".nist": ("NIST", None),
    ".oga": ("OGG", None),
    ".ogg": ("OGG", None),
    ".opus": ("OGG", "OPUS"),
    ".rf64": ("RF64", None),
    ".snd": ("AU", None),
    ".sph": ("NIST", None),
    ".voc": ("VOC", None),
    ".w64": ("W64", None),
    ".wav": ("WAV", None),
    ".wave": ("WAV", None),
}
"""Suffixes of audio files, each with libsndfile's name of the container and, where the
suffix stands for one encoding only, of that encoding (its subtype)."""

MARK = ".denoised"
"""Stands before the suffix of a result that lies next to its input."""


class FileError(RtdenoiseError):
    """A file cannot be found, read or written as asked."""


@dataclass(frozen=True)
class Job:
    """One file to denoise, and where the result goes."""

    source: Path
    target: Path


def default_target(source: Path) -> Path:
    """Return ``NAME.denoised.EXT`` next to the source."""
    return source.with_name(source.stem + MARK + source.suffix)


def container_for(source: Path, target: Path) -> tuple[str, str | None] | None:
    """Return the container and encoding that the target's suffix asks for.

    Returns:
        libsndfile's names of the two, or None for those of the source.

    Raises:
        FileError: the suffix stands for nothing that can be written.
    """
    suffix = target.suffix.lower()
    if suffix in ("", MARK, source.suffix.lower()):
        return None
    if suffix not in CONTAINERS:
        raise FileError(
            f"{target}: no audio format has the suffix {suffix!r}; "
            f"use another, such as -o {target.with_suffix('.wav')}"
        )
    return CONTAINERS[suffix]


def check_target(source: Path, target: Path, force: bool) -> None:
    """Refuse a target that is the source, is a folder, or exists and is not to be replaced.

    Raises:
        FileError: it is one of these, its suffix is unknown, or its place is no folder.
    """
    with _plain_errors():
        _check_target(source, target, force)


def _check_target(source: Path, target: Path, force: bool) -> None:
    container_for(source, target)
    if target.is_dir():
        raise FileError(f"{target} is a folder; choose another output with -o")
    parent = next((parent for parent in target.parents if parent.exists()), target.parent)
    if not parent.is_dir():
        raise FileError(f"{target}: {parent} is not a folder; choose another output with -o")
    if target.exists() and target.samefile(source):
        raise FileError(f"{target}: the output would replace an input; choose another with -o")
    if os.path.lexists(target) and not force:
        raise FileError(f"{target} exists; use --force to replace it")


def plan(inputs: Sequence[Path], out: str | Path | None, force: bool = False) -> list[Job]:
    """Return what is to be denoised, and where to.

    Folders are searched for audio files, in their subfolders too. Without ``out`` each
    result lies next to its input (see :func:`default_target`). With one input file,
    ``out`` is a file, unless it is an existing folder or ends with a slash. Otherwise it
    is a folder: results keep their names and their place below an input folder.

    Args:
        inputs: files and folders.
        out: where results go.
        force: whether existing files may be replaced; never an input.

    Raises:
        FileError: an input does not exist or holds no audio, or an output is an input,
            exists, or belongs to two inputs.
    """
    with _plain_errors():
        jobs = list(_jobs(inputs, out))
        # Links of either kind lead to the same file, which its number knows.
        numbers = {_number(job.source) for job in jobs}
        taken: dict[str, Path] = {}
        for job in jobs:
            check_target(job.source, job.target, force)
            if job.target.exists() and _number(job.target) in numbers:
                raise FileError(
                    f"{job.target}: the output would replace an input; choose another with -o"
                )
            place = os.path.realpath(job.target.parent) + os.sep + job.target.name
            other = taken.setdefault(os.path.normcase(place), job.source)
            if other is not job.source:
                raise FileError(
                    f"{job.target} would be the output of both {other} and {job.source}; "
                    "denoise them one at a time"
                )
    return jobs


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from error


def _jobs(inputs: Sequence[Path], out: str | Path | None) -> Iterator[Job]:
    """Yield the jobs, targets unchecked."""
    folder = None if out is None else Path(out)
    if folder is not None and len(inputs) == 1 and not inputs[0].is_dir():
        separators = (os.sep, os.altsep or os.sep)
        if not folder.is_dir() and not os.fspath(out or "").endswith(separators):
            yield Job(_file(inputs[0]), folder)
            return
    for path in inputs:
        if not path.is_dir():
            source = _file(path)
            yield Job(source, default_target(source) if folder is None else folder / source.name)
            continue
        found = False
        for source in _walk(path, folder):
            found = True
            relative = source.relative_to(path)
            yield Job(source, default_target(source) if folder is None else folder / relative)
        if not found:
            raise FileError(f"{path}: no audio files in this folder")


def _file(path: Path) -> Path:
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder")
    if not path.is_file():
        raise FileError(f"{path} is not an ordinary file")
    return path


def _walk(folder: Path, out: Path | None) -> Iterator[Path]:
    """Yield the audio files below a folder, in order, leaving out earlier results."""
    results = None if out is None else os.path.realpath(out)
    if results == os.path.realpath(folder):
        results = None  # then outputs are inputs, which is an error that check_target reports

    def stop(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=stop):
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(here, name)) != results
        )
        for name in sorted(names):
            path = Path(here, name)
            # Names that begin with a dot are other programs' notes, such as macOS's "._x.wav".
            is_audio = path.suffix.lower() in CONTAINERS and not name.startswith(".")
            if is_audio and Path(path.stem).suffix != MARK and path.is_file():
                yield path


def _number(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
