"""Audio files as streams of blocks: libsndfile, with its surprises taken out.

- Seeking after every block, as soundfile does, breaks MP3 files; nothing seeks here.
- Its conversion to integers rounds down and, in some encodings, wraps around; samples
  are rounded and saturated here.
- Bytes without a header count as audio if the suffix suits; here they do not.
- A file that is shorter than its header says is an error, and so is a file just written
  that does not read as it should (some formats round rates or pad lengths).
"""

import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from rtdenoise.paths import FileError, container_for
from rtdenoise.stft import FloatArray

BLOCK_S = 1.0
"""Seconds of audio held at a time, if a model does not work on more at once."""

BLOCK_SAMPLES = 1 << 19
"""Most samples, of all channels together, held at a time."""

UNKNOWN_BYTES = 0x7FFF_F000
"""Programs that write to a pipe put this or more in the header for "until the end"."""

UNBOUNDED = frozenset(
    ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
)
"""Encodings that take floating point and keep values beyond full scale."""

NOT_A_FILE = 7
"""Number of libsndfile's error for a file that does not exist."""

PORTABLE = frozenset(("FLOAT", "DOUBLE", "VORBIS", "OPUS", "ULAW", "ALAW"))
"""Encodings, other than PCM, that are the same in every container that has them."""

_BITS = re.compile(r"(?:PCM|ALAC|DPCM|DWVW)_[SU]?(\d+)")

_SHORT = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)
"""How libsndfile's log says that a file is shorter than its header promises."""


class Encoding(NamedTuple):
    """How a file holds audio, in libsndfile's words (format, subtype and endian)."""

    container: str
    codec: str
    endian: str


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read or written from start to end, without seeking."""

    def __init__(self, path: Path, mode: str, **options: object) -> None:
        # soundfile encodes text strictly; a name that is no valid text goes through as bytes.
        name = str(path) if sys.platform == "win32" else os.fsencode(path)
        super().__init__(name, mode, **options)

    def seekable(self) -> bool:
        """Return False: in MP3 each seek costs the decoder the bits saved for later."""
        return False


@contextmanager
def reading(source: Path) -> Iterator[AudioFile]:
    """Open a file; refuse what is no audio or is cut short.

    Raises:
        FileError: it cannot be read.
    """
    try:
        with open(source, "rb"):  # says why not in plainer words than libsndfile
            pass
        audio = AudioFile(source, "r")
    except OSError as error:
        raise FileError(f"{source}: {error.strerror}") from error
    except soundfile.LibsndfileError as error:
        raise FileError(f"{source}: not audio that can be read ({_reason(error)})") from error
    except TypeError as error:  # soundfile asks for the rate of a file named .raw
        raise FileError(f"{source}: headerless audio cannot be read; use a WAV file") from error
    with audio:
        if audio.format == "RAW":
            raise FileError(f"{source}: not audio that can be read (it has no header)")
        for promised, present in _SHORT.findall(audio.extra_info):
            if int(present) < int(promised) < UNKNOWN_BYTES:
                raise _cut_short(source)
        yield audio


def blocks(audio: AudioFile, source: Path, seconds: float = BLOCK_S) -> Iterator[FloatArray]:
    """Yield float32 ``[channels, samples]`` until the end, so long at most.

    Raises:
        FileError: the file is damaged or ends too early.
    """
    size = max(1, min(round(seconds * audio.samplerate), BLOCK_SAMPLES // audio.channels))
    frames = 0
    while True:
        try:
            block = audio.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise FileError(f"{source}: the file is damaged ({_reason(error)})") from error
        if not len(block):
            break
        frames += len(block)
        yield block.T
    if frames < audio.frames:
        raise _cut_short(source)


def _cut_short(source: Path) -> FileError:
    return FileError(f"{source}: the file is cut short or damaged; copy or convert it again")


def encoding_for(audio: AudioFile, source: Path, target: Path) -> Encoding:
    """Return how the target is to hold the audio: as the source, or as its suffix asks.

    In another container the codec stays the same if that container has it.

    Raises:
        FileError: the suffix is unknown.
    """
    wanted = container_for(source, target)
    if wanted is None:
        return Encoding(audio.format, audio.subtype, audio.endian)
    container, codec = wanted
    kept = audio.subtype in PORTABLE or audio.subtype.startswith("PCM_")
    if codec is None and kept and soundfile.check_format(container, audio.subtype):
        codec = audio.subtype
    return Encoding(container, codec or soundfile.default_subtype(container), "FILE")


@contextmanager
def writing(
    target: Path, encoding: Encoding, like: AudioFile
) -> Iterator[Callable[[FloatArray], None]]:
    """Give a function that appends float32 ``[channels, samples]`` to the target.

    The target appears, whole, when the ``with`` block ends, or not at all. Until then the
    audio is in a file of another name in the same folder, which is made if missing.

    Args:
        target: file to write; replaced if it exists.
        encoding: how it holds the audio.
        like: its rate, channels and tags are carried over.

    Raises:
        FileError: it cannot be written.
    """
    part = target.with_name(f".rtdenoise-{secrets.token_hex(8)}.part")
    rate, channels = like.samplerate, like.channels
    what = f"{encoding.container} ({encoding.codec}), {channels} channel(s), {rate} Hz"
    other = target.with_suffix(".flac" if target.suffix.lower() == ".wav" else ".wav")
    instead = f"use another format, such as -o {other.name}"
    frames = 0
    try:
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.touch(exist_ok=False)  # says why not in plainer words than libsndfile
        try:
            if encoding.container == "SD2":
                raise ValueError("libsndfile would put half of it into a second file")
            sink = AudioFile(
                part,
                "w",
                samplerate=rate,
                channels=channels,
                format=encoding.container,
                subtype=encoding.codec,
                endian=encoding.endian,
            )
        except (soundfile.LibsndfileError, ValueError) as error:
            raise FileError(f"{target}: cannot be written as {what}; {instead}") from error

        def write(samples: FloatArray) -> None:
            nonlocal frames
            with _explained(target):
                sink.write(quantised(samples.T, encoding.codec))
            frames += samples.shape[1]

        try:
            for tag, text in like.copy_metadata().items():
                with suppress(soundfile.LibsndfileError):  # not every container has every tag
                    setattr(sink, tag, text)
            yield write
        finally:
            with _explained(target):
                sink.close()
        if not _holds(part, encoding, (rate, channels, frames)):
            length = "an empty recording" if frames == 0 else f"exactly {frames} frames"
            raise FileError(f"{target}: cannot hold {length} as {what}; {instead}")
        with _explained(target):
            os.replace(part, target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk into a FileError."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{target}: cannot be written ({error.strerror})") from error
    except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts its counts
        raise FileError(f"{target}: cannot be written; is the disk full?") from error


def quantised(samples: FloatArray, codec: str) -> npt.NDArray[np.float32 | np.int32]:
    """Return samples as libsndfile is to write them.

    Args:
        samples: float32, full scale 1.
        codec: that they are written in.

    Returns:
        the same samples for codecs that take floating point; else int32 of full scale
        2**31, rounded to the precision of the codec and saturated.
    """
    if codec in UNBOUNDED:
        return samples
    match = _BITS.fullmatch(codec)
    bits = int(match[1]) if match else 16
    full_scale = 2.0 ** (bits - 1)
    # Logarithmic and adaptive encoders negate the sample, and the lowest has no negative.
    lowest = -full_scale if match else 1.0 - full_scale
    scaled = samples.astype(np.float64)
    scaled *= full_scale
    np.rint(scaled, out=scaled)
    np.clip(scaled, lowest, full_scale - 1, out=scaled)
    scaled *= 2.0 ** (32 - bits)
    return scaled.astype(np.int32)


def _holds(path: Path, encoding: Encoding, shape: tuple[int, int, int]) -> bool:
    """Return whether a file reads as it was meant: encoding, and rate, channels, frames."""
    try:
        with AudioFile(path, "r") as file:
            kept = (file.format, file.subtype) == (encoding.container, encoding.codec)
            return kept and (file.samplerate, file.channels, file.frames) == shape
    except soundfile.LibsndfileError:
        return False


def _reason(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's reason, except that it calls an unrecognised MP3 file missing."""
    reason = str(error.error_string).strip().rstrip(".")
    return "Format not recognised" if not reason or error.code == NOT_A_FILE else reason
