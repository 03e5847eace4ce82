"""The augmentations: what is done to clips, how often and how strongly.

Each works on a batch of clips on any device and draws its own strength for every clip.
An augmentation is switched off by probability 0.
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from rtdenoise.train.data import DataError

POSITIVE = (
    "low_pass",
    "band_limit",
    "high_pass",
    "phone",
    "reverb",
    "speed",
    "formants",
    "noise_speed",
    "noise_reverb",
    "noise_onset",
)
"""Augmentations whose range must lie above zero."""

ENVELOPE_WINDOW = 512
"""Samples of the frames in which resonances are moved."""

ENVELOPE_QUEFRENCY = 28
"""Samples of the cepstrum that make the envelope: below the period of a pitch of 550 Hz."""

MOST_MOVED_DB = 20.0
"""Most that moving resonances changes a bin by."""


@dataclass(frozen=True)
class Strength:
    """How often an augmentation acts, and between which values its strength is drawn."""

    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Augmentations:
    """The switch and range of each augmentation."""

    speed: Strength = Strength(0.5, 0.8, 1.25)
    """Speech faster and higher, or slower and lower: other talkers. Range: factor."""
    formants: Strength = Strength(0.0, 0.85, 1.18)
    """Resonances of the voice moved at equal pitch: a longer or shorter throat. Range: factor."""
    noise_speed: Strength = Strength(0.5, 0.6, 1.7)
    """The same for noise. Range: factor."""
    noise_reverb: Strength = Strength(0.0, 0.2, 0.8)
    """Noise in rooms of its own. Range: reverberation time in seconds (of simulated rooms)."""
    noise_swell: Strength = Strength(0.0, 0.0, 12.0)
    """Noise that comes and goes. Range: dB by which it may rise or fall."""
    noise_onset: Strength = Strength(0.0, 0.01, 0.3)
    """Noise that begins or ends within the clip. Range: seconds that this takes."""
    colour: Strength = Strength(0.5, 0.0, 10.0)
    """Speech and noise, each through an equaliser. Range: dB that a band may change by."""
    artificial_noise: Strength = Strength(0.25, 0.0, 30.0)
    """Range: SNR in dB."""
    tones: Strength = Strength(0.0, -5.0, 25.0)
    """Tones as of engines, horns, sirens and alarms. Range: SNR in dB."""
    reverb: Strength = Strength(0.3, 0.2, 0.8)
    """Range: reverberation time in seconds (of simulated rooms)."""
    clipping: Strength = Strength(0.1, 1.0, 15.0)
    """Range: dB by which the peaks exceed what is left of them."""
    low_pass: Strength = Strength(0.1, 1500.0, 7000.0)
    """Range: cut-off in Hz."""
    band_limit: Strength = Strength(0.0, 2500.0, 7500.0)
    """Nothing above, as after a lower sampling rate. Range: highest frequency in Hz."""
    high_pass: Strength = Strength(0.1, 60.0, 400.0)
    """Range: cut-off in Hz."""
    phone: Strength = Strength(0.04, 3000.0, 3900.0)
    """A telephone line: its band, and 8-bit companding. Range: upper edge in Hz."""
    codec: Strength = Strength(0.06, 6.0, 20.0)
    """A lossy codec. Range: dB of SNR left in each of its bands."""
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
        if name in POSITIVE and new.probability > 0 and new.low <= 0:
            raise DataError(f"augmentation {text!r}: needs low > 0")
        return replace(self, **{name: new})


def played_in(samples: Tensor, length: int) -> Tensor:
    """Return a clip played so fast that it has ``length`` samples, pitch and all.

    Shape:
        ``[samples]`` to ``[length]``.
    """
    return torch.fft.irfft(torch.fft.rfft(samples), n=length) * (length / samples.shape[-1])


def move_formants(samples: Tensor, factor: Tensor) -> Tensor:
    """Return speech whose resonances lie at ``factor`` times their frequency, at equal pitch.

    The envelope of each short spectrum, the slow part of its cepstrum, is stretched over
    frequency; the phase stays. It is vocal tract length perturbation (N. Jaitly and
    G. Hinton, ICML workshop 2013) of a signal instead of its features.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    window = torch.hann_window(ENVELOPE_WINDOW, device=samples.device)
    frame = {"n_fft": ENVELOPE_WINDOW, "hop_length": ENVELOPE_WINDOW // 4, "window": window}
    spectrum = torch.stft(samples, **frame, return_complex=True)  # [clips, bins, frames]
    size = spectrum.abs().transpose(1, 2)
    floor = 1e-4 * size.amax((1, 2), keepdim=True) + 1e-9
    cepstrum = torch.fft.irfft((size + floor).log())
    cepstrum[..., ENVELOPE_QUEFRENCY : 1 - ENVELOPE_QUEFRENCY] = 0
    envelope = torch.fft.rfft(cepstrum).real
    bins = envelope.shape[-1]
    place = (torch.arange(bins, device=samples.device) / factor[:, None]).clamp(max=bins - 1)
    below = place.long().clamp(max=bins - 2)
    share = (place - below)[:, None]
    index = below[:, None].expand(-1, envelope.shape[1], -1)
    moved = envelope.gather(2, index) * (1 - share) + envelope.gather(2, index + 1) * share
    most = MOST_MOVED_DB / 20 * math.log(10)
    gain = (moved - envelope).clamp(-most, most).exp().transpose(1, 2)
    return torch.istft(spectrum * gain, **frame, length=samples.shape[-1])


def time_shift(samples: Tensor, shift_samples: Tensor) -> Tensor:
    """Return clips moved later (or, if negative, earlier), with silence moved in.

    Shape:
        ``[clips, samples]`` and int ``[clips]`` to ``[clips, samples]``.
    """
    length = samples.shape[-1]
    place = torch.arange(length, device=samples.device) - shift_samples[:, None]
    moved = samples.gather(1, place.clamp(0, length - 1))
    return moved * ((place >= 0) & (place < length))
