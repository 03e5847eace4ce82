"""Denoises audio files block by block, in memory that does not depend on their length."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.audiofile import BLOCK_S, blocks, encoding_for, reading, writing
from rtdenoise.denoiser import AudioError, Denoiser
from rtdenoise.model import Model
from rtdenoise.paths import FileError, check_target


@dataclass(frozen=True)
class FileReport:
    """What was done to one file.

    Attributes:
        frames: samples of each channel.
        rate: sample rate in Hz.
        channels: number of channels.
        elapsed_s: time taken.
        replaced_samples: NaN and infinite samples, which were taken for 0.
    """

    frames: int
    rate: int
    channels: int
    elapsed_s: float
    replaced_samples: int

    @property
    def audio_s(self) -> float:
        """Duration of the audio in seconds."""
        return self.frames / self.rate


def denoise_file(
    source: Path,
    target: Path,
    model: Model,
    *,
    limit_db: float | None = None,
    mix: float = 1.0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FileReport:
    """Denoise one audio file into another.

    The target has the container and encoding of the source; where its suffix asks for
    another container, the encoding is kept if that container has it. Values beyond full
    scale are kept by floating-point encodings and saturate in the others. If anything
    stops the work, no part of a target is left behind.

    Args:
        source: any file that libsndfile reads, 8 to 96 kHz, up to 64 channels.
        target: file to write, aligned with the source and exactly as long. Its folder is
            made if missing.
        model: a loaded model; may be used for many files, one after the other.
        limit_db: most that any part of the signal is attenuated; None for the model's own.
        mix: 1 gives the denoised signal, 0 the input.
        force: whether an existing target may be replaced.
        progress: called with the frames done and the frames of the whole file.

    Raises:
        FileError: the source cannot be read or the target not be written.
        AudioError: limit_db or mix cannot be used.
    """
    begin = time.perf_counter()
    frames = replaced = 0
    with reading(source) as audio:
        check_target(source, target, force)
        try:
            denoiser = Denoiser(audio.samplerate, model, channels=audio.channels)
        except AudioError as error:
            raise FileError(f"{source}: {error}; convert it first") from error
        denoiser.limit_db, denoiser.mix = limit_db, mix
        with writing(target, encoding_for(audio, source, target), audio) as write:
            at_once_s = model.frames_per_step * model.config.hop_ms / 1000
            for block in blocks(audio, source, max(BLOCK_S, at_once_s)):
                replaced += block.size - int(np.count_nonzero(np.isfinite(block)))
                write(denoiser.process(block))
                frames += block.shape[1]
                if progress is not None:
                    progress(frames, audio.frames)
            write(np.atleast_2d(denoiser.flush()))
        rate, channels = audio.samplerate, audio.channels
    return FileReport(frames, rate, channels, time.perf_counter() - begin, replaced)
