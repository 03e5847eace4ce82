"""A differentiable stand-in for PESQ, from the package ``torch-pesq``."""

from functools import cache

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torchaudio.transforms import Spectrogram

from rtdenoise.train.data import RATE_HZ, DataError

LEAST_RMS = 1e-4
"""Clips below -80 dBFS hold no speech, and PESQ of silence is not defined."""

LEAST_DISTURBANCE = 1e-3
"""Disturbance of a frame that nobody hears."""


TAIL_SAMPLES = 4096
"""What the package's filters still give behind a clip, and far more."""


def recursive_filter(samples: Tensor, below: Tensor, above: Tensor, clamp: bool) -> Tensor:
    """Do what ``torchaudio.functional.lfilter`` does, by the filter's frequency response.

    On a CPU, the whole term takes two thirds of the time so.

    Args:
        samples: clips.
        below: denominator of the filter.
        above: its numerator.
        clamp: as there; ``False`` only.

    Shape:
        ``[clips, samples]`` and ``[taps]`` twice to ``[clips, samples]``.
    """
    assert not clamp
    length = samples.shape[1]
    size = next_fast_len(length + TAIL_SAMPLES, real=True)
    response = _response(tuple(below.tolist()), tuple(above.tolist()), size).to(samples.device)
    return torch.fft.irfft(torch.fft.rfft(samples, size) * response, size)[:, :length]


@cache
def _response(below: tuple[float, ...], above: tuple[float, ...], size: int) -> Tensor:
    """Return a filter's frequency response: complex64 ``[size // 2 + 1]``."""
    parts = (torch.fft.rfft(torch.tensor(c, dtype=torch.float64), size) for c in (above, below))
    numerator, denominator = parts
    return (numerator / denominator).to(torch.complex64)


class PowerSpectrum(nn.Module):
    """The power of a short-time spectrum, with gradients also where a signal dies away.

    The square of an absolute value, which the package takes, has none for numbers so
    small that their absolute value is 0 though they are not.
    """

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.spectrogram.power = None

    def forward(self, samples: Tensor) -> Tensor:
        """Return ``[clips, bins, frames]`` of ``[clips, samples]``."""
        return torch.view_as_real(self.spectrogram(samples)).square().sum(-1)


class PesqTerm(nn.Module):
    """The disturbance that PESQ hears: 0 for none, about 3 for speech lost in noise.

    It follows ITU-T P.862.2 but for the alignment in time and the mapping to a mean
    opinion score.

    Raises:
        DataError: the package ``torch-pesq`` is missing.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            from torch_pesq import PesqLoss, loss
        except ImportError as error:
            raise DataError(
                "the perceptual loss needs a package: pip install torch-pesq"
            ) from error
        loss.lfilter = recursive_filter
        self.disturbance = PesqLoss(1.0, sample_rate=RATE_HZ)
        self.disturbance.to_spec = PowerSpectrum(self.disturbance.to_spec)
        bands = self.disturbance.fbank
        norm = bands.weighted_norm

        def audible(disturbance: Tensor, p: float) -> Tensor:
            return norm(disturbance, p=p).clamp(min=LEAST_DISTURBANCE)

        # Where nothing is disturbed for a while, the sixth root that follows has no gradient.
        bands.weighted_norm = audible

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the mean disturbance over those clips that hold speech.

        Shape:
            two ``[clips, samples]`` to a scalar.
        """
        level = target.square().mean(1).sqrt()
        heard = estimate.square().mean(1).sqrt()
        speech = (level > LEAST_RMS) & (heard > LEAST_RMS)
        if not bool(speech.any()):
            return estimate.new_zeros(())
        disturbance: Tensor = self.disturbance(target[speech], estimate[speech])
        return disturbance.mean()
