"""Collects freely licensed recordings of talkers from Debian packages, to train with.

    python scripts/debian_voices.py voices/
    rtdenoise train dualpath --preset base --speech voices/ --noise noise/ --run runs/mine

Talking toys, games and synthesis voices hold some hours of clean speech of dozens of
talkers in as many languages. The packages are downloaded with apt (1 GB, on Debian or
Ubuntu, as any user) and not installed. Of each talker up to 15 minutes are kept, in a
folder of FLAC files of up to 100 s; the packages' licences lie beside them.
"""

import re
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from debian_packages import RATE_HZ, recording, shuffled, unpacked, write_pieces
from scipy.signal import butter, sosfiltfilt

from rtdenoise.cli import run

FRAME_SAMPLES = 160

TALKERS = {
    "festvox-ru": r"msu_ru_(?P<talker>nsh)_clunits/wav/",
    "fillets-ng-data-nl": r"/nl/(?:[^/]*-(?P<talker>[mv])-)?[^/]*$",
    "gcin-voice": r"/ogg/[^/]+/(?P<talker>5)\.ogg",
    "hedgewars-data": r"/voices/(?P<talker>(?!Robot|Singer)[^/]+)/",
    "kajongg": r"/voices/(?P<talker>(?:de/)?(?:fe)?male\d)/",
    "klettres-data": r"/klettres/(?P<talker>[^/]+)/",
    "ktuberling-data": r"/ktuberling/sounds/(?P<talker>(?!sr@)[^/]+)/",
    "planetblupi-common": r"/sound/(?P<talker>fr|he|it|de)/",
    "tuxpaint-stamps-default": r"_desc_(?P<talker>[a-z]+(?:_[A-Z]+)?)\.ogg",
}
"""Which files of a package are speech, and whose. Where no talker is named, it is one more."""

SUFFIXES = (".ogg", ".wav")

SPEECH_BAND_HZ = (100.0, 7000.0)
"""Where levels are measured: neither rumble nor hiss beyond the voice counts as either."""

SPEECH_BAND = butter(4, SPEECH_BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")

LEAST_RANGE_DB = 38.0
"""An utterance whose pauses are not this far below its speech is too noisy a target."""

TALK_DBFS = -22.0
PEAK = 0.95

LEAST_S, TALKER_S = 8.0, 900.0
"""Least and most of a talker."""

GAP = np.zeros(RATE_HZ // 4, np.float32)


def main(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    without: Annotated[
        str, typer.Option(help="Languages to leave out, as en,fi: those of your test talkers.")
    ] = "",
    packages: Annotated[
        Path | None, typer.Option(help="Folder of .deb files that are downloaded already.")
    ] = None,
) -> None:
    """Download, choose, and write."""
    seconds = {}
    for package, tree in unpacked(TALKERS, out, packages):
        seconds |= collect(package, tree, out, set(without.split(",")))
    print(f"{out}: {sum(seconds.values()) / 3600:.1f} h of {len(seconds)} talkers")


def collect(package: str, tree: Path, out: Path, without: set[str]) -> dict[str, float]:
    """Write the talkers of an unpacked package and return how many seconds each has."""
    files = defaultdict(list)
    for path in sorted(tree.rglob("*")):
        found = re.search(TALKERS[package], path.relative_to(tree).as_posix())
        if found and path.suffix in SUFFIXES and path.is_file():
            files[found["talker"] or "other"].append(path)
    seconds = {}
    with ProcessPoolExecutor() as pool:
        for talker, paths in sorted(files.items()):
            if without.isdisjoint(talker.split("/")):
                name = f"{package}_{talker.replace('/', '-')}"
                said = [u for u in pool.map(utterance, paths, chunksize=16) if u is not None]
                if sum(u.size for u in said) > LEAST_S * RATE_HZ:
                    seconds[name] = write(said, out / name)
    return seconds


def utterance(path: Path) -> np.ndarray | None:
    """Return what is said in a file, cut and levelled, or None where that is of no use.

    Shape:
        float32 ``[samples]`` at 16 kHz.
    """
    whole = recording(path, RATE_HZ)
    if whole is None or (frames := whole.size // FRAME_SAMPLES) < 15:
        return None
    heard = sosfiltfilt(SPEECH_BAND, whole)[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    level_db = 10 * np.log10(np.square(heard).mean(1) + 1e-10)
    talk_db, pause_db = np.percentile(level_db, (85, 3))
    if talk_db - pause_db < LEAST_RANGE_DB or np.mean(np.abs(whole) > 0.985) > 0.001:
        return None
    (talking,) = np.nonzero(level_db > talk_db - 25)
    # Soft onsets and what dies away lie more than 25 dB below: 60 ms before, 120 ms after.
    first, last = max(0, talking[0] - 6), talking[-1] + 13
    said = whole[first * FRAME_SAMPLES : last * FRAME_SAMPLES]
    said *= min(10 ** ((TALK_DBFS - talk_db) / 20), PEAK / np.abs(said).max())
    said[:80] *= np.linspace(0, 1, 80)
    said[-160:] *= np.linspace(1, 0, 160)
    return said


def write(said: list[np.ndarray], folder: Path) -> float:
    """Write a talker's utterances, a quarter of a second apart, and return their seconds."""
    spaced = np.concatenate([part for one in shuffled(said) for part in (one, GAP)])
    return write_pieces(spaced[: round(TALKER_S * RATE_HZ)], folder)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    run(app)
