"""Debian packages as sources of recordings: fetched, opened one by one, not installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.errors import RtdenoiseError
from rtdenoise.pairs import read_audio, resampled

RATE_HZ = 16_000
"""Rate at which recordings are kept."""

FILE_S = 100.0
"""Longest file that is written."""


class PackagesError(RtdenoiseError):
    """The packages cannot be fetched, or the folder cannot be used."""


def unpacked(
    packages: Collection[str], out: Path, folder: Path | None = None
) -> Iterator[tuple[str, Path]]:
    """Yield name and files of each package; its licence is kept in ``out/licences``.

    Args:
        packages: their names.
        out: new folder for what is made of them.
        folder: of ``.deb`` files that are downloaded already.

    Raises:
        PackagesError: ``out`` is in use, or a package cannot be had. Nothing is written
            unless there are all of them.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PackagesError(f"{out} is not empty; give a new folder")
    with tempfile.TemporaryDirectory() as scratch:
        found = folder or download(packages, Path(scratch))
        for package, deb in {p: find_deb(p, found) for p in packages}.items():
            tree = unpack(deb, Path(scratch) / package)
            yield package, tree
            (licence,) = tree.glob("usr/share/doc/*/copyright")
            (out / "licences").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(licence, out / "licences" / f"{package}.txt")
            shutil.rmtree(tree)


def download(packages: Iterable[str], folder: Path) -> Path:
    """Fetch packages with apt and return the folder that they are in.

    Raises:
        PackagesError: there is no apt, or it cannot fetch one of them.
    """
    if shutil.which("apt-get") is None:
        raise PackagesError("apt-get is missing; this needs Debian or Ubuntu, or --packages DIR")
    debs = folder / "packages"
    debs.mkdir()
    done = subprocess.run(
        ["apt-get", "download", *packages], cwd=debs, capture_output=True, text=True
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        why = said[0].removeprefix("E:").strip() if said else f"exit code {done.returncode}"
        hint = "is there a network, and has apt-get update been run?"
        raise PackagesError(f"apt-get cannot download: {why}; {hint}")
    return debs


def find_deb(package: str, folder: Path) -> Path:
    """Return the newest file of ``package`` in a folder.

    Raises:
        PackagesError: there is none.
    """
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        raise PackagesError(f"{folder}: no {package}_*.deb; download it with apt-get download")
    return found[-1]


def unpack(deb: Path, tree: Path) -> Path:
    """Extract a package into a new folder and return that.

    Raises:
        PackagesError: it is damaged, or there is no dpkg-deb.
    """
    if shutil.which("dpkg-deb") is None:
        raise PackagesError("dpkg-deb is missing; install dpkg, which opens Debian's packages")
    if subprocess.run(["dpkg-deb", "-x", deb, tree], capture_output=True).returncode:
        raise PackagesError(f"{deb}: dpkg-deb cannot read it; download it again")
    return tree


def recording(path: Path, least_rate_hz: int) -> np.ndarray | None:
    """Return what a file holds, or None where it is no audio, narrow or empty.

    Args:
        path: of the file.
        least_rate_hz: lower rates count as narrow.

    Shape:
        float32 ``[samples]`` at 16 kHz.
    """
    try:
        channels, rate = read_audio(path)
    except RtdenoiseError:
        return None
    if rate < least_rate_hz or not channels.size:
        return None
    return resampled(channels.mean(1), rate, RATE_HZ)


def shuffled(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Return parts that come sorted by name in an order where neighbours are not alike."""
    order = np.random.default_rng(len(parts)).permutation(len(parts))
    return [parts[k] for k in order]


def write_pieces(samples: np.ndarray, folder: Path) -> float:
    """Write a signal into a new folder as files of up to 100 s, and return its seconds."""
    folder.mkdir(parents=True)
    longest = round(FILE_S * RATE_HZ)
    for k, start in enumerate(range(0, samples.size, longest)):
        soundfile.write(folder / f"{k:02d}.flac", samples[start : start + longest], RATE_HZ)
    return samples.size / RATE_HZ
