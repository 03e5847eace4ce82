"""Impulse responses to draw reverb from: those of simulated rooms, or recorded ones."""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample

from rtdenoise.pairs import read_audio
from rtdenoise.train.augment import Strength
from rtdenoise.train.data import RATE_HZ, DataError, find_audio
from rtdenoise.train.rooms import draw_room, impulse_response


def responses(reverb: Strength, folder: str | None, rooms: int, seed: int) -> Tensor:
    """Return the impulse responses that a reverb may take.

    Args:
        reverb: how often, and between which reverberation times in seconds; where it is off
            there are none.
        folder: of recordings to use instead of simulated rooms.
        rooms: to simulate.
        seed: draws the rooms.

    Raises:
        DataError: the folder holds no recordings.
        RtdenoiseError: one of them cannot be read as audio.

    Shape:
        float32 ``[responses, taps]``.
    """
    if reverb.probability == 0:
        return torch.empty(0, 0)
    if folder:
        return read_responses(Path(folder))
    return simulate_responses(rooms, (reverb.low, reverb.high), seed)


def simulate_responses(rooms: int, rt60_s: tuple[float, float], seed: int) -> Tensor:
    """Return impulse responses of random rooms: float32 ``[rooms, taps]``."""
    rng = np.random.default_rng(seed)
    made = [impulse_response(draw_room(rng, rt60_s), RATE_HZ, rng) for _ in range(rooms)]
    return _stack([torch.from_numpy(r) for r in made])


@functools.cache  # reverb of speech and of noise share what was read
def read_responses(folder: Path) -> Tensor:
    """Return recorded impulse responses, each from its direct sound on, scaled to it.

    Raises:
        DataError: the folder holds no recordings.
        RtdenoiseError: one of them cannot be read as audio.

    Shape:
        float32 ``[files, taps]``.
    """
    read = []
    for path in find_audio(folder):
        audio, rate = read_audio(path)
        response = resample(torch.from_numpy(audio[:, 0].copy()), rate, RATE_HZ)
        direct = int(response.abs().argmax()) if response.numel() else 0
        if response.numel() == 0 or response[direct] == 0:
            raise DataError(f"{path}: holds no impulse response; remove it")
        read.append(response[direct : direct + RATE_HZ] / response[direct])
    return _stack(read)


def _stack(made: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(made, batch_first=True)
