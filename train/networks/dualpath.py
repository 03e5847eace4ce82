"""The flagship: recurrence over time, attention over frequency, a complex gain.

A strided encoder turns the bins of a frame into a few wide bands. Then blocks alternate
between two paths: a recurrence over time, the same for every band, and self-attention over
the bands of a frame. A decoder with skips returns to bins. Nothing looks ahead, and all
memory but that of the level lies in the recurrences: a hop costs no convolution caches.

The ideas of a strided frequency encoder with recurrence and attention behind it, and of
power-compressed spectra as features, are those of FastEnhancer
(https://arxiv.org/abs/2509.21867). What differs here:

- The input is divided by its level over the last second, so gains do not depend on volume.
- The output is a point of the complex plane whose size is the *compressed* gain. A loss on
  compressed magnitudes is quadratic in it, and deep attenuation needs no extreme values.
- The recurrence is an LSTM: on CPUs it trains three times faster than a GRU of its width
  (oneDNN fuses its steps) and streams at the same cost.
"""

import math
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtdenoise.train.networks.level import LEVEL_PAST, running_level
from rtdenoise.train.networks.lowband import LowBand

FINE_BANDS = 40
"""Bands of the encoder, 200 Hz wide each; a last one has the highest bin."""

COMPRESSION = 0.3
"""Exponent on magnitudes, in and out: about how loudness grows with amplitude."""

FLOOR = 1e-6
"""Magnitude at which the level levels off: a tone at -120 dBFS."""

RANGE = 60 * math.log(10) / 20
"""What lies 60 dB or more below the strongest bin of a frame is taken to lie there, in natural
logarithms. Recordings with nothing at all in some bins, such as a telephone's, look like others."""

LARGEST = 1.25
"""Largest compressed gain: an amplification of 6.5 dB, where noise has cancelled speech."""


class Layer(nn.Module):
    """A convolution over frequency and batch norm.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: bands that it sees, odd.
        stride: bands from one output to the next.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Take ``[streams, inputs, frames, bands]``."""
        y: Tensor = self.norm(self.conv(x))
        return y


class Projection(nn.Module):
    """A linear layer over the channels of tokens, and batch norm, added to other tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """Take ``[tokens, width]`` twice, and return it."""
        y: Tensor = onto + self.norm(self.linear(x))
        return y


class TimePath(nn.Module):
    """An LSTM over time for every band, with shared weights, added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width)
        self.back = Projection(width)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output and the two states, each ``[1, streams * bands, width]``.

        Shape:
            tokens ``[frames * streams * bands, width]``, in and out.
        """
        _, rows, width = past[0].shape
        y, (hidden, cell) = self.lstm(x.reshape(-1, rows, width), past)
        return self.back(y.reshape(-1, width), x), hidden, cell


class FrequencyPath(nn.Module):
    """Self-attention over the bands of each frame, added to its input."""

    def __init__(self, width: int, heads: int, bands: int) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(0.02 * torch.randn(bands, width))
        self.mixed = nn.Linear(width, 3 * width, bias=False)
        self.back = Projection(width)

    def forward(self, x: Tensor) -> Tensor:
        """Take and return tokens ``[frames * streams * bands, width]``."""
        bands, width = self.place.shape
        size = width // self.heads
        # The layer is linear, so what a band's place adds behind it is the same for all frames.
        places = self.mixed(self.place).reshape(bands, 3 * self.heads, size)
        mixed = self.mixed(x).reshape(-1, bands, 3 * self.heads, size) + places
        query, key, value = mixed.transpose(1, 2).chunk(3, dim=1)
        # Written out: for so few bands it trains ten times faster than the fused kernel.
        score = (query @ key.transpose(-1, -2)) * size**-0.5
        heard = (torch.softmax(score, -1) @ value).transpose(1, 2)
        y: Tensor = self.back(heard.reshape(-1, width), x)
        return y


class DualPath(nn.Module):
    """The network: complex spectra in, complex gains out, with explicit state.

    Args:
        bins: frequency bins of a frame; ``bins - 1`` is a multiple of 40.
        channels: of the encoder and decoder.
        width: channels of the blocks.
        blocks: pairs of time path and frequency path.
        heads: of the attention; divides ``width``.
        merge: bands of the encoder that make one band of the blocks; divides 40.
        low: units of a recurrence over all bins below 1 kHz; 0 for none.
        attentions: blocks that have a frequency path, the first ones; None for all.

    Raises:
        ValueError: the sizes do not fit together.
    """

    takes = "spectrum"

    def __init__(
        self,
        bins: int = 161,
        channels: int = 32,
        width: int = 48,
        blocks: int = 2,
        heads: int = 2,
        merge: int = 2,
        low: int = 0,
        attentions: int | None = None,
    ) -> None:
        super().__init__()
        if bins % FINE_BANDS != 1:
            raise ValueError(f"bins must be a multiple of {FINE_BANDS} plus 1, not {bins}")
        if FINE_BANDS % merge:
            raise ValueError(f"merge must divide {FINE_BANDS}, not be {merge}")
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        if attentions is not None and attentions > blocks:
            raise ValueError(f"{blocks} blocks cannot have {attentions} attentions")
        self.bins = bins
        self.width = width
        self.bands = FINE_BANDS // merge + 1
        stride = bins // FINE_BANDS
        self.first = Layer(3, channels, 2 * stride + 1, stride)
        self.near = Layer(channels, channels, 3)
        self.down = Layer(channels, width, 2 * merge + 1, merge)
        self.time = nn.ModuleList([TimePath(width) for _ in range(blocks)])
        self.frequency = nn.ModuleList(
            [FrequencyPath(width, heads, self.bands) for _ in range(blocks)[:attentions]]
        )
        self.up = nn.ConvTranspose2d(
            width, channels, (1, 2 * merge - 1), (1, merge), (0, merge - 1)
        )
        self.joined = Layer(2 * channels, channels, 3)
        self.last = nn.Conv2d(2 * channels, 2 * stride, (1, 3), padding=(0, 1))
        self.low = LowBand(stride, 2 * channels, low) if low else None
        with torch.no_grad():  # begin near the input as it is
            self.last.weight.mul_(0.3)
            self.last.bias.zero_()[::2] = 0.8

    def start(self, streams: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return the state before the first frame.

        Shape:
            ``level``: ``[streams, 2, 99]``; ``hidden_K`` and ``cell_K``, as an LSTM takes them:
            ``[1, streams * bands, width]``; with ``low``, also that of ``LowBand``.
        """
        state = {"level": torch.zeros(streams, 2, LEVEL_PAST, device=device)}
        for k in range(len(self.time)):
            for name in (f"hidden_{k}", f"cell_{k}"):
                state[name] = torch.zeros(1, streams * self.bands, self.width, device=device)
        return state if self.low is None else state | self.low.start(streams, device)

    def forward(
        self, spectrum: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the gain for each value of the spectrum and the state for what follows.

        Shape:
            spectrum and gain: float ``[streams, frames, bins, 2]``, real and imaginary
            part, ``frames >= 1``.
        """
        after: dict[str, Tensor] = {}
        spectrum = spectrum.permute(0, 3, 1, 2)
        features, after["level"] = self._features(spectrum, state["level"])
        x = F.relu(self.first(features))
        outer = F.relu(self.near(x)) + x
        # In between, bands are tokens, in the order that an LSTM wants. They have two axes,
        # as most of the layers take them: reshaping takes time in a hop.
        x = F.relu(self.down(outer)).permute(2, 0, 3, 1)
        shape = x.shape  # [frames, streams, bands, width]
        x = x.reshape(-1, self.width)
        for k, (time, frequency) in enumerate(zip_longest(self.time, self.frequency)):
            past = state[f"hidden_{k}"], state[f"cell_{k}"]
            x, after[f"hidden_{k}"], after[f"cell_{k}"] = time(x, past)
            if frequency is not None:
                x = frequency(x)
        x = x.reshape(shape).permute(1, 3, 0, 2)
        x = torch.cat((F.relu(self.up(x)), outer), dim=1)
        x = torch.cat((F.relu(self.joined(x)), outer), dim=1)
        bands = self.last(x).permute(0, 2, 3, 1).float()
        gain = decompressed(bands.reshape(*bands.shape[:2], -1, 2)[:, :, : self.bins])
        if self.low is not None:
            added, remembered = self.low(spectrum, x, state)
            after |= remembered
            gain = gain + F.pad(added, (0, 0, 0, self.bins - self.low.bins))
        return gain, after

    @staticmethod
    def _features(spectrum: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return compressed real part, imaginary part and magnitude, less their level.

        Shape:
            spectrum ``[streams, 2, frames, bins]``; to ``[streams, 3, frames, bins]``.
        """
        magnitude = torch.linalg.vector_norm(spectrum, dim=1, keepdim=True).clamp(min=FLOOR)
        logarithm = torch.log(magnitude)
        compressed = COMPRESSION * logarithm
        heard = torch.maximum(compressed, compressed.amax(3, keepdim=True) - COMPRESSION * RANGE)
        level, past = running_level(heard.mean(3), past)
        level = level.unsqueeze(3)
        scale = torch.exp(compressed - level - logarithm)
        return torch.cat((spectrum * scale, torch.exp(heard - level)), dim=1), past


def decompressed(compressed: Tensor) -> Tensor:
    """Return the gain whose magnitude, to the power of 0.3, is that of ``compressed``.

    Shape:
        float ``[..., 2]``, real and imaginary part, twice.
    """
    size = torch.linalg.vector_norm(compressed, dim=-1, keepdim=True).clamp(min=1e-4)
    bounded = size.clamp(max=LARGEST)
    return compressed * (bounded.pow(1 / COMPRESSION) / size)
