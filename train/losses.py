"""What the networks are trained to make small."""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from rtdenoise.train.data import RATE_HZ

COMPRESSION = 0.3
"""Exponent on magnitudes: about how loudness grows with amplitude."""

EPSILON = 1e-9
"""Added to powers of unit-level signals, to keep gradients finite in silence."""

LEAST_GAIN = 0.01
"""Added to gains that are compared: what is 40 dB down is as good as gone."""

LONGEST_SEGMENT = 400 + 29 * 200
"""Samples of the stretch over which intelligibility is judged."""

RESOLUTIONS = ((320, 160), (768, 384))
"""Window and hop, in samples, of the spectra on which resynthesised signals are compared."""


def _mean(error: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of ``[clips, frames, ...]``, in which a frame counts as its weight says."""
    if weights is None:
        return error.mean()
    shape = (-1,) + (1,) * (error.ndim - 2)
    return (error * weights.reshape(shape)).mean() / weights.mean()


def log_cosh(estimate: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean of ``log(cosh(estimate - target))``: square near 0, absolute far out.

    Args:
        estimate: magnitudes.
        target: what they should be.
        weights: what each frame counts; None for all alike.

    Shape:
        two tensors ``[patches, frames, bins]``, and ``[frames]``, to a scalar.
    """
    error = torch.abs(estimate - target)
    # log(cosh(x)) = x + log1p(exp(-2x)) - log(2), which cannot overflow.
    return _mean(error + F.softplus(-2.0 * error) - math.log(2.0), weights)


def teacher_loss(
    gain: Tensor, wanted: Tensor, noisy: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return how far gains are from a teacher's: squared, in loudness, where it is audible.

    Args:
        gain: the student's, real or complex; its size is compared.
        wanted: the size of the teacher's.
        noisy: magnitudes of their input.
        weights: what each frame counts; None for all alike.

    Shape:
        three tensors ``[clips, frames, bins]``, and ``[frames]``, to a scalar.
    """
    level = noisy.square().mean((1, 2), keepdim=True).sqrt() + 1e-5
    loudness = (noisy / level).pow(2 * COMPRESSION)
    apart = (gain.abs() + LEAST_GAIN).pow(COMPRESSION) - (wanted + LEAST_GAIN).pow(COMPRESSION)
    return _mean(loudness * apart.square(), weights)


def snr_db(estimate: Tensor, target: Tensor, floor: float = 1e-8) -> Tensor:
    """Return the signal-to-noise ratio of each clip in dB.

    Args:
        estimate: what came out.
        target: what should have.
        floor: mean power added to signal and error, so that silence has a value.

    Shape:
        two ``[clips, samples]`` to ``[clips]``.
    """
    signal = target.square().mean(-1) + floor
    error = (target - estimate).square().mean(-1) + floor
    return 10.0 * torch.log10(signal / error)


@functools.cache
def _third_octaves(bins: int) -> Tensor:
    """Return which bins make up which of 15 third-octave bands from 150 Hz: ``[bins, 15]``."""
    frequency = torch.linspace(0.0, RATE_HZ / 2, bins)[:, None]
    centre = 150.0 * 2.0 ** (torch.arange(15) / 3)
    return ((frequency >= centre * 2 ** (-1 / 6)) & (frequency < centre * 2 ** (1 / 6))).float()


def _normalised_segments(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return band envelopes in segments of 0.375 s, normalised over time and then bands.

    Returns:
        ``[clips, segments, 15, 30]`` and the level of each segment ``[clips, segments]``.
    """
    window = torch.hann_window(400, device=samples.device)
    spectrum = torch.fft.rfft(samples.unfold(-1, 400, 200) * window, n=512)
    power = torch.view_as_real(spectrum).square().sum(-1)
    bands = power @ _third_octaves(power.shape[-1]).to(samples.device)
    segments = (bands + EPSILON).sqrt().unfold(1, 30, 15)  # [clips, segments, bands, frames]
    level = segments.square().mean((-2, -1)).sqrt()
    for axis in (-1, -2):
        segments = segments - segments.mean(axis, keepdim=True)
        segments = segments / (segments.square().sum(axis, keepdim=True) + 1e-6).sqrt()
    return segments, level


def intelligibility_loss(estimate: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return 1 minus the correlation of band envelopes, where there is speech.

    It follows extended STOI (J. Jensen and C. Taal, TASLP 2016), at 16 kHz and with
    segments that overlap by half.

    Args:
        estimate: the network's output after synthesis.
        target: clean signal.
        weights: what each sample counts; a segment counts as the one in its middle does.

    Shape:
        two ``[clips, samples]``, at least 0.4 s long, and ``[samples]``, to a scalar.
    """
    level = target.square().mean(-1, keepdim=True).sqrt() + 1e-5
    heard, _ = _normalised_segments(estimate / level)
    wanted, loudness = _normalised_segments(target / level)
    correlation = (heard * wanted).sum((-2, -1)) / wanted.shape[-1]
    speech = (loudness > 0.01 * loudness.amax(1, keepdim=True)) & (level > 1e-4)
    counted = speech.float()
    if weights is not None:
        # Segments begin every 15 windows of 400 samples, 200 apart, and are 30 windows long.
        counted = counted * weights[LONGEST_SEGMENT // 2 :: 15 * 200][: speech.shape[1]]
    return 1.0 - (correlation * counted).sum() / counted.sum().clamp(min=EPSILON)


def _compressed(samples: Tensor, size: int, hop: int) -> tuple[Tensor, Tensor]:
    """Return the compressed magnitude and the compressed complex spectrum of clips."""
    window = torch.hann_window(size, device=samples.device)
    frames = samples.unfold(-1, size, hop) * window
    spectrum = torch.view_as_real(torch.fft.rfft(frames) / math.sqrt(size))
    power = spectrum.square().sum(-1) + EPSILON
    magnitude = power.pow(COMPRESSION / 2)
    return magnitude, spectrum * (magnitude / power.sqrt()).unsqueeze(-1)


def resynthesis_loss(
    estimate: Tensor,
    target: Tensor,
    noisy: Tensor,
    snr_weight: float = 0.01,
    weights: Tensor | None = None,
) -> Tensor:
    """Compare resynthesised signals the way they are heard, and a little as waveforms.

    The distance is between power-compressed spectra, magnitudes and complex values, at
    two resolutions (after S. Braun and I. Tashev, "A consolidated view of loss functions
    for supervised deep learning-based speech enhancement", TSP 2021), plus the negative
    SNR in dB. It sees the phase that the output will have: an estimate that keeps the
    noisy phase is asked for the magnitudes that suit it.

    Args:
        estimate: the network's output after synthesis.
        target: clean signal.
        noisy: the network's input, whose level makes the loss independent of volume.
        snr_weight: what a dB of SNR counts.
        weights: what each sample counts, 1 on average; None for all alike.

    Shape:
        three ``[clips, samples]``, and ``[samples]``, to a scalar.
    """
    level = noisy.square().mean(-1, keepdim=True).sqrt() + 1e-5
    estimate, target = estimate / level, target / level
    loss = estimate.new_zeros(())
    for size, hop in RESOLUTIONS:
        magnitude, spectrum = _compressed(estimate, size, hop)
        wanted_magnitude, wanted_spectrum = _compressed(target, size, hop)
        frames = None if weights is None else weights[size // 2 :: hop][: magnitude.shape[1]]
        loss = loss + 0.7 * _mean((magnitude - wanted_magnitude).square(), frames)
        loss = loss + 0.3 * 2 * _mean((spectrum - wanted_spectrum).square(), frames)
    if weights is not None:
        estimate, target = estimate * weights.sqrt(), target * weights.sqrt()
    snr = snr_db(estimate, target, floor=1e-3).clamp(max=30.0)
    return loss - snr_weight * snr.mean()
