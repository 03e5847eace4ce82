"""Noise that nobody had to record: hiss, hum, offset, clicks, wind and tones."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import fftconvolve

from rtdenoise.train.data import RATE_HZ
from rtdenoise.train.draw import Draw, rms

CLICK_S = 0.005
"""Length of a click."""

GUST_S = 0.4
"""Time between the points through which the strength of a wind, or a swell, passes."""

MOMENT = (0.15, 0.85)
"""Earliest and latest moment at which a noise begins or ends, as a share of the clip."""

TONES_HZ = (60.0, 3000.0)
"""Lowest and highest pitch of a tone."""

PARTIALS = 12
"""Most harmonics of a tone."""


def artificial_noise(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return a mixture of the noises below, of unit RMS: ``[clips, samples]``.

    Hiss is in most mixtures; the others are seldom strong. A constant offset, such as
    cheap sound cards add, is among them.
    """
    offset = draw.uniform(clips, -1, 1) ** 5
    total = offset[:, None].expand(clips, samples)
    for noise, rarity in ((hiss, 1), (hum, 4), (clicks, 6), (wind, 6)):
        strength = draw.uniform(clips, 0, 1) ** rarity
        total = total + strength[:, None] * _unit(noise(clips, samples, draw))
    return _unit(total)


def _unit(samples: Tensor) -> Tensor:
    return samples / (rms(samples) + 1e-8)


def _sloped(clips: int, samples: int, slope: Tensor, draw: Draw) -> Tensor:
    """Return noise whose magnitude goes with a power of the frequency."""
    white = torch.fft.rfft(draw.normal(clips, samples))
    frequency = torch.fft.rfftfreq(samples, 1 / RATE_HZ, device=white.device).clamp(min=20.0)
    return torch.fft.irfft(white * frequency ** slope[:, None], n=samples)


def hiss(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return noise with a random spectral slope, from brown to a little above white."""
    return _sloped(clips, samples, draw.uniform(clips, -1.0, 0.2), draw)


def hum(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return mains hum of 50 or 60 Hz with its harmonics."""
    mains = 50.0 + 10.0 * (draw.uniform(clips, 0, 1) > 0.5) + draw.uniform(clips, -0.2, 0.2)
    time = torch.arange(samples, device=mains.device) / RATE_HZ
    total = torch.zeros(clips, samples, device=mains.device)
    for harmonic in range(1, 9):
        amplitude = draw.uniform(clips, 0, 1) ** 2 / harmonic**0.5
        phase = draw.uniform(clips, 0, 2 * math.pi)
        angle = 2 * math.pi * harmonic * mains[:, None] * time + phase[:, None]
        total += amplitude[:, None] * torch.sin(angle)
    return total


def clicks(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return clicks of 5 ms, half a click to 20 clicks a second, each clip with its own sound."""
    rate = torch.exp(draw.uniform(clips, math.log(0.5), math.log(20.0)))
    chance = torch.special.ndtr(draw.normal(clips, samples))  # even in [0, 1]
    loudness = torch.exp(draw.normal(clips, samples))
    strokes = loudness * (chance < rate[:, None] / RATE_HZ)
    taps = round(CLICK_S * RATE_HZ)
    decay = torch.exp(
        -torch.arange(taps, device=strokes.device) / draw.uniform(clips, 4, 25)[:, None]
    )
    return fftconvolve(strokes, draw.normal(clips, taps) * decay)[:, :samples]


def wind(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return a low rumble in gusts, as wind makes at a microphone."""
    rumble = _sloped(clips, samples, draw.uniform(clips, -1.6, -1.0), draw)
    return rumble * _through(torch.exp(draw.normal(clips, _gusts(samples))), samples)


def tones(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return tones as of engines, horns, sirens and alarms: steady, gliding or interrupted.

    They have up to ``PARTIALS`` harmonics. Half of the clips are interrupted, from ten times
    a second to once in two seconds.
    """
    low, high = (math.log(hz) for hz in TONES_HZ)
    pitch_hz = torch.exp(draw.uniform(clips, low, high))[:, None]
    octaves = 0.5 * draw.uniform(clips, 0, 1)[:, None] ** 3
    glide_hz = pitch_hz * 2 ** (octaves * _wandering(clips, samples, draw))
    turns = torch.cumsum(glide_hz.double() / RATE_HZ, 1)
    slope = draw.uniform(clips, 0, 1.5)
    total = torch.zeros_like(glide_hz)
    for partial in range(1, PARTIALS + 1):
        amplitude = draw.uniform(clips, 0, 1) ** 2 * partial**-slope
        phase = draw.uniform(clips, 0, 1)[:, None]
        angle = 2 * math.pi * ((partial * turns + phase) % 1).float()
        audible = partial * glide_hz < 0.48 * RATE_HZ
        total += amplitude[:, None] * audible * torch.sin(angle)
    return total * _interruptions(clips, samples, draw)


def _interruptions(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return factors that go on and off within milliseconds; 1 throughout in half of the clips."""
    time = torch.arange(samples, device=draw.device) / RATE_HZ
    longest_s = min(2.0, samples / RATE_HZ)  # so that something is heard of each
    period_s = torch.exp(draw.uniform(clips, math.log(0.1), math.log(longest_s)))[:, None]
    phase = draw.uniform(clips, 0, 2 * math.pi)[:, None]
    least = draw.uniform(clips, -0.8, 0.8)[:, None]
    on = (20 * (torch.sin(2 * math.pi * time / period_s + phase) - least)).clamp(0, 1)
    steady = draw.uniform(clips, 0, 1)[:, None] < 0.5
    return torch.where(steady, torch.ones_like(on), on)


def swell(samples: Tensor, depth_db: Tensor, draw: Draw) -> Tensor:
    """Return clips whose level wanders, by up to ``depth_db`` up or down.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    return samples * 10 ** (depth_db[:, None] * _wandering(*samples.shape, draw) / 20)


def begun_or_ended(samples: Tensor, fade_s: Tensor, draw: Draw) -> Tensor:
    """Return clips that begin, or end, at a moment within them, fading for ``fade_s``.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    clips, length = samples.shape
    moment = draw.uniform(clips, *MOMENT)[:, None] * length
    time = torch.arange(length, device=samples.device)
    begun = ((time - moment) / (RATE_HZ * fade_s[:, None]) + 0.5).clamp(0, 1)
    ends = draw.uniform(clips, 0, 1)[:, None] < 0.5
    return samples * torch.where(ends, 1 - begun, begun)


def _wandering(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return lines that wander between -1 and 1: ``[clips, samples]``."""
    points = _gusts(samples)
    return _through(draw.uniform(clips * points, -1, 1).reshape(clips, points), samples)


def _gusts(samples: int) -> int:
    return max(2, round(samples / RATE_HZ / GUST_S))


def _through(points: Tensor, samples: int) -> Tensor:
    """Return straight lines through evenly spaced points: ``[clips, samples]``."""
    lines = F.interpolate(points[:, None], samples, mode="linear", align_corners=True)
    return lines[:, 0]
