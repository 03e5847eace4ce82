"""From clips to the loss: front end, patches, network, resynthesis."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ
from rtdenoise.train.losses import (
    intelligibility_loss,
    log_cosh,
    resynthesis_loss,
    snr_db,
    teacher_loss,
)
from rtdenoise.train.mos import MosTerm
from rtdenoise.train.networks import clip_gains
from rtdenoise.train.networks.resunet import ResUNet
from rtdenoise.train.norms import measured_anew
from rtdenoise.train.patches import column_weights, cut_patches, hide_beginnings, sample_weights
from rtdenoise.train.perceptual import PesqTerm
from rtdenoise.train.stft import Stft
from rtdenoise.train.teacher import Teacher

YOUNG_SHARE = 0.1
"""Share of the patches that a patch network sees as in the first moments of a stream."""

RATED = 8
"""One in so many clips of a batch is rated, and one at least. One in eight costs a fifth of a step
on a CPU."""


class Objective(nn.Module):
    """From noisy and clean clips to the loss: front end, patches, network, resynthesis.

    Args:
        network: to be trained.
        config: how.
        teacher: whose gains are imitated too.
    """

    def __init__(
        self, network: nn.Module, config: FitConfig, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self._of_patches = isinstance(network, ResUNet) and not config.streamed
        self._frames = config.patch_frames * (config.patches if config.streamed else 1)
        called = network.patch if self._of_patches else network
        self._fused = _fused(called) if config.compile else called
        self.stft = Stft(config.stft, RATE_HZ)
        self._config = config
        perceptual = config.loss == "perceptual"
        self._pesq = PesqTerm() if perceptual else None
        self._mos = MosTerm(config.precision) if perceptual and config.mos_weight else None
        self._teacher = teacher
        columns, samples = self._weights()
        self.register_buffer("_columns", columns, persistent=False)
        self.register_buffer("_samples", samples, persistent=False)

    def _weights(self) -> tuple[Tensor | None, Tensor | None]:
        """Return what columns and resynthesised samples of a patch count; None for all alike."""
        if not self._of_patches:
            return None, None
        frames, stft = self._config.patch_frames, self.stft
        columns = column_weights(frames, self.network.emit_frames, self._config.newest_weight)
        samples = (frames - stft.overlaps + 1) * stft.hop
        return columns, sample_weights(columns, samples, stft.size, stft.hop)

    def forward(self, noisy: Tensor, clean: Tensor, done: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return the loss and the mean SNR in dB of the resynthesised patches.

        Args:
            noisy: clips.
            clean: what they should become.
            done: share of the training that is done.

        Shape:
            two float ``[clips, samples]`` to two scalars.
        """
        spectrum = self.stft.analysis(noisy)
        noisy_patches = self._patches(spectrum)
        clean_patches = self._patches(self.stft.analysis(clean))
        if self._of_patches and self.training:
            noisy_patches, clean_patches = hide_beginnings(
                noisy_patches, clean_patches, YOUNG_SHARE
            )
        gain = self._gain(noisy_patches)
        estimate = gain * noisy_patches
        heard, wanted = self.stft.synthesis(estimate), self.stft.synthesis(clean_patches)
        if self._config.loss == "log-cosh":
            loss = log_cosh(estimate.abs(), clean_patches.abs(), self._columns)
        else:
            before = self.stft.synthesis(noisy_patches)
            weight = self._config.snr_weight
            loss = resynthesis_loss(heard, wanted, before, weight, self._samples)
            if self._config.loss != "resynthesis":
                unclear = intelligibility_loss(heard, wanted, self._samples)
                loss = loss + self._config.estoi_weight * unclear
            if done >= self._config.pesq_from:
                loss = loss + self._perceived(heard, wanted)
        if self._teacher is not None:
            # It hears whole clips: what came before a patch makes it a better teacher.
            with self._precision(spectrum):
                taught = self._patches(self._teacher(spectrum))
            imitation = teacher_loss(gain, taught, noisy_patches.abs(), self._columns)
            loss = loss + self._config.teacher_weight * imitation
        return loss, snr_db(heard.detach(), wanted).mean()

    def _patches(self, spectrum: Tensor) -> Tensor:
        return cut_patches(spectrum, self._frames)

    def _perceived(self, heard: Tensor, wanted: Tensor) -> Tensor:
        """Return what those terms of the loss say that imitate listeners."""
        loss = heard.new_zeros(())
        if self._pesq is not None:
            loss = loss + self._config.pesq_weight * self._pesq(heard, wanted)
        if self._mos is not None:
            rated = max(1, len(heard) // RATED)
            loss = loss + self._config.mos_weight * self._mos(heard[:rated], wanted[:rated])
        return loss

    def _gain(self, spectrum: Tensor) -> Tensor:
        """Return the gains of patches, each on its own."""
        with self._precision(spectrum):
            if self._of_patches:
                return self._fused(spectrum.abs())
            return clip_gains(self.network, spectrum, self._fused)

    def _precision(self, samples: Tensor) -> AbstractContextManager[None]:
        mixed = self._config.precision == "bfloat16"
        return torch.autocast(samples.device.type, torch.bfloat16, enabled=mixed)

    @torch.no_grad()
    def measure_norms(self, clips: Iterable[Tensor]) -> None:
        """Measure anew what batch norm keeps, on noisy clips as the training shows them.

        Args:
            clips: float ``[clips, samples]`` each.
        """
        with measured_anew(self.network):
            for noisy in clips:
                patches = self._patches(self.stft.analysis(noisy))
                if self._of_patches:
                    patches, _ = hide_beginnings(patches, patches, YOUNG_SHARE)
                self._gain(patches)

    @torch.no_grad()
    def denoise(self, noisy: Tensor) -> Tensor:
        """Return whole clips denoised, for validation."""
        spectrum = self.stft.analysis(noisy)
        with self._precision(spectrum):
            # Not the fused network: whole clips have other shapes, not worth compiling for.
            gain = clip_gains(self.network, spectrum)
        return self.stft.synthesis(gain * spectrum)


def _fused(network: Callable[..., Any]) -> Callable[..., Any]:
    """Return a network whose operations are fused at its first call."""
    # As patterns are matched otherwise, attention becomes the one kernel that dualpath avoids:
    # on a CPU its gradient takes half of a step.
    return torch.compile(network, options={"pattern_matcher": False})
