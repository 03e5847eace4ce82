"""What the networks are trained to make small."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

COMPRESSION = 0.3
"""Exponent on magnitudes: about how loudness grows with amplitude."""

EPSILON = 1e-9
"""Added to powers of unit-level signals, to keep gradients finite in silence."""

RESOLUTIONS = ((320, 160), (768, 384))
"""Window and hop, in samples, of the spectra on which resynthesised signals are compared."""


def log_cosh(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the mean of ``log(cosh(estimate - target))``: square near 0, absolute far out.

    Shape:
        two tensors of equal shape to a scalar.
    """
    error = torch.abs(estimate - target)
    # log(cosh(x)) = x + log1p(exp(-2x)) - log(2), which cannot overflow.
    return torch.mean(error + F.softplus(-2.0 * error) - math.log(2.0))


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


def _compressed(samples: Tensor, size: int, hop: int) -> tuple[Tensor, Tensor]:
    """Return the compressed magnitude and the compressed complex spectrum of clips."""
    window = torch.hann_window(size, device=samples.device)
    frames = samples.unfold(-1, size, hop) * window
    spectrum = torch.view_as_real(torch.fft.rfft(frames) / math.sqrt(size))
    power = spectrum.square().sum(-1) + EPSILON
    magnitude = power.pow(COMPRESSION / 2)
    return magnitude, spectrum * (magnitude / power.sqrt()).unsqueeze(-1)


def resynthesis_loss(estimate: Tensor, target: Tensor, noisy: Tensor) -> Tensor:
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

    Shape:
        three ``[clips, samples]`` to a scalar.
    """
    level = noisy.square().mean(-1, keepdim=True).sqrt() + 1e-5
    estimate, target = estimate / level, target / level
    loss = estimate.new_zeros(())
    for size, hop in RESOLUTIONS:
        magnitude, spectrum = _compressed(estimate, size, hop)
        wanted_magnitude, wanted_spectrum = _compressed(target, size, hop)
        loss = loss + 0.7 * F.mse_loss(magnitude, wanted_magnitude)
        loss = loss + 0.3 * 2 * F.mse_loss(spectrum, wanted_spectrum)
    snr = snr_db(estimate, target, floor=1e-3).clamp(max=30.0)
    return loss - 0.01 * snr.mean()
