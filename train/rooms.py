"""Simulated room impulse responses: image sources early, a diffuse tail later.

Reference:
    J. Allen and D. Berkley, "Image method for efficiently simulating small-room
    acoustics", JASA 65(4), 1979.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torchaudio.functional import fftconvolve

from rtdenoise.train.data import RATE_HZ

SPEED_OF_SOUND_M_S = 343.0
MIXING_TIME_S = 0.05
"""Until here echoes are traced one by one; later ones are too dense to be told apart."""

EARLY_S = 0.05
"""Reflections up to here help speech and stay in the target; later ones are reverberation."""


@dataclass(frozen=True)
class Room:
    """A box with a source and a microphone in it; all lengths in metres."""

    size_m: tuple[float, float, float]
    source_m: tuple[float, float, float]
    microphone_m: tuple[float, float, float]
    rt60_s: float


def draw_room(rng: np.random.Generator, rt60_s: tuple[float, float]) -> Room:
    """Draw a room from a small office to a hall, with the talker 0.3 to 3 m away."""
    size = rng.uniform((3.0, 3.0, 2.3), (10.0, 8.0, 4.0))
    microphone = rng.uniform(0.15, 0.85, 3) * size
    distance = rng.uniform(0.3, 3.0)
    direction = rng.normal(size=3)
    source = microphone + distance * direction / np.linalg.norm(direction)
    source = np.clip(source, 0.1, size - 0.1)

    def point(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
        return float(values[0]), float(values[1]), float(values[2])

    return Room(point(size), point(source), point(microphone), float(rng.uniform(*rt60_s)))


def impulse_response(room: Room, rate: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the response of a room from the direct sound on, which has amplitude 1.

    Args:
        room: geometry and reverberation time.
        rate: sample rate in Hz.
        rng: draws the diffuse tail.

    Returns:
        float32 ``[round(rt60_s * rate)]``.
    """
    size, source, microphone = (
        np.array(v) for v in (room.size_m, room.source_m, room.microphone_m)
    )
    direct_m = max(float(np.linalg.norm(source - microphone)), 0.05)
    reach_m = direct_m + SPEED_OF_SOUND_M_S * MIXING_TIME_S
    # Sabine: the share of energy that a wall takes at this reverberation time.
    volume, surface = size.prod(), 2 * (size.prod() / size).sum()
    absorbed = min(0.161 * volume / (surface * room.rt60_s), 0.99)
    reflection = np.sqrt(1 - absorbed)

    per_axis = []
    for axis in range(3):
        n = np.arange(-int(reach_m / (2 * size[axis])) - 1, int(reach_m / (2 * size[axis])) + 2)
        same = 2 * n * size[axis] + source[axis] - microphone[axis]
        mirrored = 2 * n * size[axis] - source[axis] - microphone[axis]
        offsets = np.concatenate((same, mirrored))
        bounces = np.concatenate((2 * np.abs(n), np.abs(n - 1) + np.abs(n)))
        per_axis.append((offsets, bounces))
    squared = np.add.outer(
        np.add.outer(per_axis[0][0] ** 2, per_axis[1][0] ** 2), per_axis[2][0] ** 2
    ).ravel()
    bounces = np.add.outer(np.add.outer(per_axis[0][1], per_axis[1][1]), per_axis[2][1]).ravel()
    distance = np.maximum(np.sqrt(squared), direct_m)
    delay = (distance - direct_m) / SPEED_OF_SOUND_M_S * rate
    amplitude = reflection**bounces * direct_m / distance

    length = round(room.rt60_s * rate)
    mixing = min(round(MIXING_TIME_S * rate), length)
    inside = delay < mixing - 1
    delay, amplitude = delay[inside], amplitude[inside]
    response = np.zeros(length)
    whole = delay.astype(int)
    # An echo between two samples is shared between them.
    np.add.at(response, whole, amplitude * (1 - (delay - whole)))
    np.add.at(response, whole + 1, amplitude * (delay - whole))

    # 60 dB per rt60, continued from the energy of the last traced echoes.
    decay = 10 ** (-3.0 * np.arange(length) / (room.rt60_s * rate))
    diffuse = rng.normal(size=length) * decay
    last = slice(mixing // 2, mixing)
    energy = np.sum(response[last] ** 2) / max(np.sum(diffuse[last] ** 2), 1e-20)
    response[mixing:] = diffuse[mixing:] * np.sqrt(energy)
    return response.astype(np.float32)


def reverberate(speech: Tensor, responses: Tensor) -> tuple[Tensor, Tensor]:
    """Return speech as heard in rooms, and its part without late reverberation.

    Args:
        speech: clips as spoken close to a microphone.
        responses: an impulse response for each clip, beginning with the direct sound.

    Shape:
        ``[clips, samples]`` and ``[clips, taps]`` to two ``[clips, samples]``.
    """
    samples = speech.shape[-1]
    early = responses[:, : round(EARLY_S * RATE_HZ)]
    heard = fftconvolve(speech, responses)[:, :samples]
    return heard, fftconvolve(speech, early)[:, :samples]
