"""Random numbers for batches, and the levels that drawn strengths refer to."""

import torch
from torch import Tensor

from rtdenoise.train.augment import Strength


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
        """Return the int64 numbers of those clips that an augmentation acts on.

        One that is off takes no random numbers, so others act as if it did not exist.
        """
        if probability == 0:
            return torch.empty(0, dtype=torch.int64, device=self.device)
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
