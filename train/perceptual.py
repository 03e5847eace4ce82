"""A differentiable stand-in for PESQ, from the package ``torch-pesq``."""

from torch import Tensor, nn

from rtdenoise.train.data import RATE_HZ, DataError

LEAST_RMS = 1e-4
"""Clips below -80 dBFS hold no speech, and PESQ of silence is not defined."""


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
            from torch_pesq import PesqLoss
        except ImportError as error:
            raise DataError(
                "the perceptual loss needs a package: pip install torch-pesq"
            ) from error
        self.disturbance = PesqLoss(1.0, sample_rate=RATE_HZ)

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
