"""The six augmentations: artificial noise, reverb, clipping, low-pass, time shift, volume.

Each works on a batch of clips on any device and draws its own strength for every clip.
An augmentation is switched off by probability 0.
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torchaudio.functional import fftconvolve

from rtdenoise.train.data import RATE_HZ, DataError

EARLY_S = 0.05
"""Reflections up to here help speech and stay in the target; later ones are reverberation."""


@dataclass(frozen=True)
class Strength:
    """How often an augmentation acts, and between which values its strength is drawn."""

    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Augmentations:
    """The switch and range of each augmentation."""

    artificial_noise: Strength = Strength(0.25, 0.0, 30.0)
    """Range: SNR in dB."""
    reverb: Strength = Strength(0.3, 0.2, 0.8)
    """Range: reverberation time in seconds (of simulated rooms)."""
    clipping: Strength = Strength(0.1, 1.0, 15.0)
    """Range: dB by which the peaks exceed what is left of them."""
    low_pass: Strength = Strength(0.1, 1500.0, 7000.0)
    """Range: cut-off in Hz."""
    time_shift: Strength = Strength(0.3, -1.0, 1.0)
    """Range: seconds by which the speech comes later."""
    volume: Strength = Strength(1.0, -45.0, -14.0)
    """Range: RMS level of the noisy clip in dBFS."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the augmentations."""
        return [f.name for f in fields(cls)]

    def parse(self, text: str) -> "Augmentations":
        """Return a copy changed by ``NAME=PROBABILITY`` or ``NAME=PROBABILITY:LOW..HIGH``.

        Raises:
            DataError: the text is not of that form.

        Example:
            >>> Augmentations().parse("clipping=0.5:3..9").clipping
            Strength(probability=0.5, low=3.0, high=9.0)
        """
        name, _, value = text.partition("=")
        try:
            old: Strength = vars(self)[name]
            probability, _, span = value.partition(":")
            low, high = (float(v) for v in span.split("..")) if span else (old.low, old.high)
            new = Strength(float(probability), low, high)
        except (KeyError, ValueError) as error:
            known = ", ".join(self.names())
            raise DataError(
                f"augmentation {text!r} is not NAME=PROBABILITY or NAME=PROBABILITY:LOW..HIGH "
                f"with NAME one of {known}"
            ) from error
        if not (0 <= new.probability <= 1 and new.low <= new.high):
            raise DataError(f"augmentation {text!r}: needs 0 <= probability <= 1 and low <= high")
        if name in ("low_pass", "reverb") and new.probability > 0 and new.low <= 0:
            raise DataError(f"augmentation {text!r}: needs low > 0")
        return replace(self, **{name: new})


class Draw:
    """Random numbers for one batch, the same on every device for the same seed.

    Args:
        seed: what it all follows from.
        device: where the drawn tensors are needed.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """Return float32 ``[count]``, even between the bounds."""
        values = torch.rand(count, generator=self.generator) * (high - low) + low
        return values.to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 noise of unit variance, drawn on the device where it is used."""
        seed = int(torch.randint(2**62, (), generator=self.generator))
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(*shape, generator=generator, device=self.device)

    def chosen(self, count: int, probability: float) -> Tensor:
        """Return the int64 numbers of those clips that an augmentation acts on."""
        hit = torch.rand(count, generator=self.generator) < probability
        return torch.nonzero(hit).squeeze(1).to(self.device)

    def strengths(self, count: int, strength: Strength) -> tuple[Tensor, Tensor]:
        """Return the numbers of the clips that an augmentation acts on, and how strongly."""
        k = self.chosen(count, strength.probability)
        return k, self.uniform(k.numel(), strength.low, strength.high)


def rms(samples: Tensor) -> Tensor:
    """Return the root mean square of each clip: ``[clips, samples]`` to ``[clips, 1]``."""
    return samples.square().mean(-1, keepdim=True).sqrt()


def at_snr(noise: Tensor, speech: Tensor, snr_db: Tensor) -> Tensor:
    """Return ``noise`` scaled so that it lies ``snr_db`` below ``speech``.

    Where there is no speech, the noise is set against speech at -26 dBFS.

    Shape:
        ``[clips, samples]`` twice and ``[clips]`` to ``[clips, samples]``.
    """
    level = rms(speech)
    level = torch.where(level > 1e-5, level, torch.full_like(level, 10 ** (-26 / 20)))
    return noise * (level / (rms(noise) + 1e-8) * 10 ** (-snr_db[:, None] / 20))


def artificial_noise(clips: int, samples: int, draw: Draw) -> Tensor:
    """Return noise that nobody had to record, of unit RMS: ``[clips, samples]``.

    Each clip mixes hiss with a random spectral slope (white to brown), mains hum with its
    harmonics, and a constant offset, such as cheap sound cards add.
    """
    white = torch.fft.rfft(draw.normal(clips, samples))
    frequency = torch.fft.rfftfreq(samples, 1 / RATE_HZ, device=white.device).clamp(min=20.0)
    slope = draw.uniform(clips, -1.0, 0.2)
    hiss = torch.fft.irfft(white * frequency ** slope[:, None], n=samples)
    hiss = hiss / (rms(hiss) + 1e-8)

    mains = 50.0 + 10.0 * (draw.uniform(clips, 0, 1) > 0.5) + draw.uniform(clips, -0.2, 0.2)
    time = torch.arange(samples, device=white.device) / RATE_HZ
    hum = torch.zeros_like(hiss)
    for harmonic in range(1, 9):
        amplitude = draw.uniform(clips, 0, 1) ** 2 / harmonic**0.5
        phase = draw.uniform(clips, 0, 2 * math.pi)
        angle = 2 * math.pi * harmonic * mains[:, None] * time + phase[:, None]
        hum += amplitude[:, None] * torch.sin(angle)
    hum = hum / (rms(hum) + 1e-8)

    parts = (draw.uniform(clips, 0, 1), draw.uniform(clips, 0, 1) ** 4, draw.uniform(clips, -1, 1))
    offset = (parts[2] ** 5)[:, None]
    total = parts[0][:, None] * hiss + parts[1][:, None] * hum + offset
    return total / (rms(total) + 1e-8)


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


def clip_peaks(samples: Tensor, excess_db: Tensor) -> Tensor:
    """Return clips cut off ``excess_db`` below their peaks.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    peak = samples.abs().amax(-1, keepdim=True)
    limit = peak * 10 ** (-excess_db[:, None] / 20)
    return torch.minimum(torch.maximum(samples, -limit), limit)


def low_pass(samples: Tensor, cutoff_hz: Tensor) -> Tensor:
    """Return clips muffled above a cut-off: -6 dB there, 48 dB per octave beyond.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    spectrum = torch.fft.rfft(samples)
    frequency = torch.fft.rfftfreq(samples.shape[-1], 1 / RATE_HZ, device=samples.device)
    gain = 1.0 / (1.0 + (frequency / cutoff_hz[:, None]) ** 8)
    return torch.fft.irfft(spectrum * gain, n=samples.shape[-1])


def time_shift(samples: Tensor, shift_samples: Tensor) -> Tensor:
    """Return clips moved later (or, if negative, earlier), with silence moved in.

    Shape:
        ``[clips, samples]`` and int ``[clips]`` to ``[clips, samples]``.
    """
    length = samples.shape[-1]
    place = torch.arange(length, device=samples.device) - shift_samples[:, None]
    moved = samples.gather(1, place.clamp(0, length - 1))
    return moved * ((place >= 0) & (place < length))
