"""From clips to the loss: front end, patches, network, resynthesis."""

import torch
from torch import Tensor, nn

from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ
from rtdenoise.train.losses import intelligibility_loss, log_cosh, resynthesis_loss, snr_db
from rtdenoise.train.networks import gains
from rtdenoise.train.patches import cut_patches
from rtdenoise.train.perceptual import PesqTerm
from rtdenoise.train.stft import Stft


class Objective(nn.Module):
    """From noisy and clean clips to the loss: front end, patches, network, resynthesis."""

    def __init__(self, network: nn.Module, config: FitConfig) -> None:
        super().__init__()
        self.network = network
        self._fused = torch.compile(network) if config.compile else network
        self.stft = Stft(config.stft, RATE_HZ)
        self._config = config
        self._pesq = PesqTerm() if config.loss == "perceptual" else None

    def forward(self, noisy: Tensor, clean: Tensor, done: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the loss and the mean SNR in dB of the resynthesised patches.

        Args:
            noisy: clips.
            clean: what they should become.
            done: share of the training that is done.

        Shape:
            two float ``[clips, samples]`` to two scalars.
        """
        noisy_patches = cut_patches(self.stft.analysis(noisy), self._config.patch_frames)
        clean_patches = cut_patches(self.stft.analysis(clean), self._config.patch_frames)
        estimate = self._gain(noisy_patches) * noisy_patches
        heard, wanted = self.stft.synthesis(estimate), self.stft.synthesis(clean_patches)
        if self._config.loss == "log-cosh":
            loss = log_cosh(estimate.abs(), clean_patches.abs())
        else:
            before = self.stft.synthesis(noisy_patches)
            loss = resynthesis_loss(heard, wanted, before, self._config.snr_weight)
            if self._config.loss != "resynthesis":
                loss = loss + intelligibility_loss(heard, wanted)
            if self._pesq is not None and done >= self._config.pesq_from:
                loss = loss + self._config.pesq_weight * self._pesq(heard, wanted)
        return loss, snr_db(heard.detach(), wanted).mean()

    def _gain(self, spectrum: Tensor) -> Tensor:
        state = self.network.start(spectrum.shape[0], spectrum.device)
        mixed = self._config.precision == "bfloat16"
        with torch.autocast(spectrum.device.type, torch.bfloat16, enabled=mixed):
            # Whole clips in validation have other shapes: not worth compiling for.
            network = self._fused if self.training else self.network
            return gains(network, spectrum, state)[0]

    @torch.no_grad()
    def denoise(self, noisy: Tensor) -> Tensor:
        """Return whole clips denoised, for validation."""
        spectrum = self.stft.analysis(noisy)
        return self.stft.synthesis(self._gain(spectrum) * spectrum)
