"""A DnCNN variant that denoises STFT magnitudes causally, frame by frame.

After K. Zhang et al., "Beyond a Gaussian denoiser: residual learning of deep CNN for
image denoising", IEEE TIP 2017 (https://arxiv.org/abs/1608.03981), with these changes:

- Convolutions look back in time only, dilated so that a shallow stack remembers most of
  a second. What they remember is explicit state, so frames can come in any portions.
- The first layer strides over frequency; the last one interleaves its channels back to
  bins. In between a hop costs a fraction of what it would at full resolution.
- The network predicts which share of each magnitude is noise; that share is subtracted.
  It is residual learning with a residual that cannot exceed the signal.
- Each middle layer adds to its input instead of replacing it.
- The features are log magnitudes less their own mean over the last second, so the gains
  do not depend on the level of the signal.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtdenoise.train.networks.level import LEVEL_PAST, running_level

STRIDE = 8
"""Bins to a band: the stride of the first layer over frequency."""

DILATION_CYCLE = (1, 2, 4, 8, 16)
"""Dilation in time of the middle layers, in frames, repeated down the stack."""

FLOOR = 1e-6
"""Magnitude at which the features level off: a tone at -120 dBFS."""


class MiddleLayer(nn.Module):
    """Causal 3x3 convolution, batch norm, activation and dropout, added to the input.

    Args:
        channels: channels in and out.
        dilation: frames between the taps in time.
        dropout: share of the channels dropped in training.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.context = 2 * dilation
        self.conv = nn.Conv2d(
            channels, channels, 3, dilation=(dilation, 1), padding=(0, 1), bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's output and the input frames that the next call needs."""
        seen = torch.cat((past, x), dim=2)
        y = self.dropout(F.relu(self.norm(self.conv(seen))))
        return x + y, seen[:, :, -self.context :]


class DnCnn(nn.Module):
    """The network: magnitudes in, gains in [0, 1] out, with explicit state.

    Args:
        bins: frequency bins of a frame; ``bins - 1`` is a multiple of 8.
        width: channels of the middle stack.
        depth: middle layers.
        dropout: share of the channels that a middle layer drops in training.

    Raises:
        ValueError: ``bins`` does not fit the stride over frequency.
    """

    takes = "magnitude"

    def __init__(
        self, bins: int = 161, width: int = 64, depth: int = 8, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if bins % STRIDE != 1:
            raise ValueError(f"bins must be a multiple of {STRIDE} plus 1, not {bins}")
        self.bins = bins
        self.width = width
        self.bands = bins // STRIDE + 1
        # Two bands wide, so that neighbouring bands overlap as mel filters do.
        self.first = nn.Conv2d(
            1, width, (3, 2 * STRIDE + 1), stride=(1, STRIDE), padding=(0, STRIDE)
        )
        dilations = [DILATION_CYCLE[i % len(DILATION_CYCLE)] for i in range(depth)]
        self.middle = nn.ModuleList([MiddleLayer(width, d, dropout) for d in dilations])
        self.last = nn.Conv2d(width, STRIDE, (1, 3), padding=(0, 1))

    def start(self, streams: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return the state before the first frame: for each layer the silence it looks back on.

        Shape:
            ``level``: ``[streams, 2, 99]``; ``first``: ``[streams, 1, 2, bins]``;
            ``middle_K``: ``[streams, width, context, bands]``.
        """
        state = {
            "level": torch.zeros(streams, 2, LEVEL_PAST, device=device),
            "first": torch.zeros(streams, 1, 2, self.bins, device=device),
        }
        for k, layer in enumerate(self.middle):
            shape = (streams, self.width, layer.context, self.bands)
            state[f"middle_{k}"] = torch.zeros(shape, device=device)
        return state

    def forward(
        self, magnitude: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the gain for each magnitude and the state for the frames that follow.

        Shape:
            magnitude and gain: float ``[streams, frames, bins]``, ``frames >= 1``.
        """
        after: dict[str, Tensor] = {}
        logarithm = torch.log10(magnitude.unsqueeze(1) + FLOOR)
        level, after["level"] = running_level(logarithm.mean(3), state["level"])
        features = logarithm - level.unsqueeze(3)
        seen = torch.cat((state["first"], features), dim=2)
        after["first"] = seen[:, :, -2:]
        x = F.relu(self.first(seen.to(memory_format=torch.channels_last)))
        for k, layer in enumerate(self.middle):
            x, after[f"middle_{k}"] = layer(x, state[f"middle_{k}"].to(x.dtype))
        interleaved = self.last(x).permute(0, 2, 3, 1).flatten(2)
        noise_share = torch.sigmoid(interleaved[..., : self.bins].float())
        return 1.0 - noise_share, after
