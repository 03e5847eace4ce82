"""The front end of the runtime again, in torch, for whole clips on any device.

The windows and their scaling come from :class:`rtdenoise.stft.StftConfig`, so a network
sees the same numbers in training as when it streams.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtdenoise.stft import StftConfig


class Stft(nn.Module):
    """Analysis and synthesis of whole clips.

    Args:
        config: windows and hop.
        rate: sample rate in Hz.
    """

    def __init__(self, config: StftConfig, rate: int) -> None:
        super().__init__()
        analysis, synthesis = config.windows(rate)
        self.hop = config.hop_samples(rate)
        self.size = config.analysis_samples(rate)
        self.overlaps = config.synthesis_hops
        self.register_buffer("analysis_window", torch.from_numpy(analysis), persistent=False)
        self.register_buffer("synthesis_window", torch.from_numpy(synthesis), persistent=False)
        self.analysis_window: Tensor
        self.synthesis_window: Tensor

    def analysis(self, samples: Tensor) -> Tensor:
        """Return the spectrum of clips, frame by frame as the runtime computes it.

        Shape:
            float ``[clips, frames * hop]`` to complex ``[clips, frames, bins]``.
        """
        padded = F.pad(samples, (self.size - self.hop, 0))
        frames = padded.unfold(-1, self.size, self.hop)
        return torch.fft.rfft(frames * self.analysis_window)

    def synthesis(self, spectrum: Tensor) -> Tensor:
        """Return the samples that overlap-add of the frames gives.

        The samples are aligned with those that :meth:`analysis` took. The last
        ``(overlaps - 1) * hop`` of them miss the frames that would follow and are left out.

        Shape:
            complex ``[clips, frames, bins]`` to float
            ``[clips, (frames - overlaps + 1) * hop]``.
        """
        clips, frames, _ = spectrum.shape
        short = self.synthesis_window.numel()
        time = torch.fft.irfft(spectrum, n=self.size)[..., -short:] * self.synthesis_window
        parts = time.reshape(clips, frames, self.overlaps, self.hop)
        kept = frames - self.overlaps + 1
        # Hop h is the sum of part k of the frame that ends k hops before the last one it needs.
        total = parts[:, self.overlaps - 1 :, 0]
        for k in range(1, self.overlaps):
            total = total + parts[:, self.overlaps - 1 - k : frames - k, k]
        return total.reshape(clips, kept * self.hop)
