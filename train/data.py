"""Finds recordings, splits them by talker, and decodes them once into one flat array.

Three layouts are read: a folder with a ``manifest.csv`` (columns ``path``, ``split`` and,
where known, ``speaker``), a plain folder of recordings, and a pair of folders with a
noisy and a clean file of the same name (VoiceBank+DEMAND as downloaded).
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torchaudio.functional import resample

from rtdenoise.errors import RtdenoiseError
from rtdenoise.pairs import read_audio
from rtdenoise.paths import CONTAINERS

RATE_HZ = 16_000
"""The rate at which models are trained; the runtime carries them to every other rate."""

VALID_SHARE = 0.1
"""Share of the talkers (or noise files) held out where a folder names no split."""


class DataError(RtdenoiseError):
    """A folder does not hold the recordings it should."""


@dataclass(frozen=True)
class Recording:
    """A file, who speaks in it (or which source it is from), and its split."""

    path: str
    speaker: str
    split: str


def find_audio(folder: Path) -> list[Path]:
    """List the audio files below a folder, sorted.

    Raises:
        DataError: there is no such folder, or no audio in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder of recordings")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in CONTAINERS)
    if not files:
        raise DataError(f"{folder}: no recordings in it (looked for WAV, FLAC, OGG, MP3, ...)")
    return files


def find_recordings(folder: Path) -> list[Recording]:
    """List the recordings below a folder, sorted by path.

    Without a manifest, the speaker is the first folder below ``folder`` or, for a file
    right in it, its name up to the first ``_`` or ``-`` (``p226_001.wav``: ``p226``), and
    one speaker in ten is held out for validation.

    Raises:
        DataError: there is no such folder, or nothing in it can be used.
    """
    manifest = folder / "manifest.csv"
    if manifest.exists():
        return _read_manifest(manifest)
    files = find_audio(folder)
    speakers = [_speaker(p.relative_to(folder)) for p in files]
    held_out = _held_out(speakers, folder)
    return [
        Recording(str(p), s, "valid" if s in held_out else "train")
        for p, s in zip(files, speakers, strict=True)
    ]


def find_pairs(noisy: Path, clean: Path) -> list[tuple[Recording, Recording]]:
    """List pairs of recordings with the same name in two folders, noisy first.

    Raises:
        DataError: a noisy file has no clean partner, or a folder cannot be used.
    """
    pairs = []
    for recording in find_recordings(noisy):
        partner = clean / Path(recording.path).relative_to(noisy)
        if not partner.is_file():
            raise DataError(f"{partner}: missing; every file in {noisy} needs its clean partner")
        pairs.append((recording, Recording(str(partner), recording.speaker, recording.split)))
    return pairs


def _read_manifest(manifest: Path) -> list[Recording]:
    with manifest.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"path", "split"} <= rows[0].keys():
        raise DataError(f"{manifest}: needs the columns path and split, and at least one row")
    recordings = []
    for row in rows:
        path = manifest.parent / row["path"]
        if not path.is_file():
            raise DataError(f"{path}: listed in {manifest.name} but missing")
        speaker = row.get("speaker") or row.get("source") or Path(row["path"]).stem
        recordings.append(Recording(str(path), speaker, row["split"]))
    return recordings


def _speaker(relative: Path) -> str:
    if len(relative.parts) > 1:
        return relative.parts[0]
    return relative.stem.replace("-", "_").split("_")[0]


def _held_out(speakers: list[str], folder: Path) -> set[str]:
    # Ordered by a hash of the name: adding a talker moves few others between splits.
    order = sorted(set(speakers), key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    if len(order) < 2:
        raise DataError(f"{folder}: needs two talkers or more, to hold one out for validation")
    return set(order[: max(1, round(VALID_SHARE * len(order)))])


@dataclass(frozen=True)
class Pool:
    """Decoded audio, all files end to end in one array, from which batches are cut.

    Attributes:
        samples: int16 ``[total]``, on the device on which batches are made.
        starts: int64 ``[files]``, where each file begins.
        lengths: int64 ``[files]``, in samples.
    """

    samples: Tensor
    starts: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "Pool":
        """Return the pool with its samples on ``device``."""
        return Pool(self.samples.to(device), self.starts, self.lengths)

    def places(
        self, count: int, samples: int, generator: torch.Generator, evenness: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Draw where to cut: ``count`` file numbers and the first sample within each file.

        Args:
            count: how many cuts.
            samples: length of each.
            generator: draws them.
            evenness: 0 draws files by their length, 1 draws each file as often.
        """
        weights = self.lengths.double() ** (1.0 - evenness)
        files = torch.multinomial(weights, count, replacement=True, generator=generator)
        room = (self.lengths[files] - samples).clamp(min=0) + 1
        # A file shorter than the cut is repeated from a random place.
        room = torch.where(self.lengths[files] < samples, self.lengths[files], room)
        offsets = (torch.rand(count, generator=generator, dtype=torch.float64) * room).long()
        return files, offsets

    def cut(self, files: Tensor, offsets: Tensor, samples: int) -> Tensor:
        """Return float32 ``[count, samples]`` in [-1, 1), repeating files that are shorter."""
        device = self.samples.device
        start, length, offset = (
            values[:, None].to(device)
            for values in (self.starts[files], self.lengths[files], offsets)
        )
        place = (offset + torch.arange(samples, device=device)) % length + start
        return self.samples[place].float() / 32768.0


def load_pool(recordings: Iterable[Recording], cache: Path, what: str) -> Pool:
    """Decode recordings to 16 kHz mono once, and map the result into memory.

    Args:
        recordings: what to decode.
        cache: folder for the decoded array; a second call with the same files reads it.
        what: what they are, for the progress bar and for errors.

    Raises:
        RtdenoiseError: there are none, or one of them cannot be read.
    """
    files = [r.path for r in recordings]
    if not files:
        raise DataError(f"no {what} to train on; is the split empty?")
    stamps = [(f, os.stat(f).st_size, os.stat(f).st_mtime_ns) for f in files]
    key = hashlib.sha256(json.dumps([RATE_HZ, stamps]).encode()).hexdigest()[:20]
    array, index = cache / f"{key}.i16", cache / f"{key}.json"
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = cache / f"{key}.{os.getpid()}.part"
        try:
            lengths = _decode_all(files, temporary, f"decoding {what}")
            os.replace(temporary, array)
            # The index says that the array is whole, so it comes last and all at once:
            # several processes of one run look for it.
            temporary.write_text(json.dumps({"rate_hz": RATE_HZ, "lengths": lengths}))
            os.replace(temporary, index)
        finally:
            temporary.unlink(missing_ok=True)
    lengths_samples = torch.tensor(json.loads(index.read_text())["lengths"])
    mapped = np.memmap(array, np.int16, mode="c")
    starts = torch.cumsum(lengths_samples, 0) - lengths_samples
    return Pool(torch.from_numpy(mapped), starts, lengths_samples)


def _decode_all(files: list[str], array: Path, task: str) -> list[int]:
    lengths = []
    with array.open("wb") as out, ThreadPoolExecutor() as threads:
        decoded = threads.map(_decode, files)
        for samples in track(decoded, task, total=len(files), transient=True):
            out.write(samples.tobytes())
            lengths.append(samples.size)
    return lengths


def _decode(path: str) -> np.ndarray:
    audio, rate = read_audio(Path(path))
    if audio.shape[0] == 0:
        raise DataError(f"{path}: is empty; remove it from the training data")
    mono = torch.from_numpy(audio.mean(axis=1))
    mono = resample(mono, rate, RATE_HZ) if rate != RATE_HZ else mono
    return (mono.clamp(-1.0, 1.0) * 32767.0).round().to(torch.int16).numpy()


@dataclass(frozen=True)
class Sources:
    """Where the training data lies: speech and noise to be mixed, or ready pairs."""

    speech: str | None = None
    noise: str | None = None
    pairs_noisy: str | None = None
    pairs_clean: str | None = None

    def describe(self) -> dict[str, str]:
        """Return what was given, for checkpoints and model cards (folder names only)."""
        return {k: Path(v).name for k, v in asdict(self).items() if v is not None}


@dataclass(frozen=True)
class Corpus:
    """The pools of one split: speech and noise of equal standing, or pairs.

    For pairs, ``noise`` is what the noisy file has and the clean one has not, cut at the
    same place as the speech.
    """

    speech: Pool
    noise: Pool
    paired: bool

    def to(self, device: torch.device) -> "Corpus":
        """Return the corpus with its samples on ``device``."""
        return Corpus(self.speech.to(device), self.noise.to(device), self.paired)


def load_corpus(sources: Sources, split: str, cache: Path) -> Corpus:
    """Load one split (``"train"`` or ``"valid"``) of the sources.

    Raises:
        DataError: sources are missing or contradict each other, or hold no recordings.
        RtdenoiseError: a recording cannot be read.
    """
    if sources.pairs_noisy and sources.pairs_clean and not (sources.speech or sources.noise):
        pairs = find_pairs(Path(sources.pairs_noisy), Path(sources.pairs_clean))
        chosen = [p for p in pairs if p[0].split == split]
        clean = load_pool([c for _, c in chosen], cache, f"clean speech ({split})")
        noisy = load_pool([n for n, _ in chosen], cache, f"noisy speech ({split})")
        if not torch.equal(clean.lengths, noisy.lengths):
            k = int(torch.nonzero(clean.lengths != noisy.lengths)[0])
            raise DataError(f"{chosen[k][0].path}: not as long as its clean partner")
        return Corpus(clean, noisy, paired=True)
    if not (sources.speech and sources.noise) or sources.pairs_noisy or sources.pairs_clean:
        raise DataError("give either --speech and --noise, or --noisy and --clean")
    speech = [r for r in find_recordings(Path(sources.speech)) if r.split == split]
    noise = [r for r in find_recordings(Path(sources.noise)) if r.split == split]
    return Corpus(
        load_pool(speech, cache, f"speech ({split})"),
        load_pool(noise, cache, f"noise ({split})"),
        paired=False,
    )
