"""The lowest kilohertz once more, finer: a recurrence over all its bins, and filters over frames.

There lie the fundamental and the first harmonics, with most of a voice's energy. A window of
20 ms does not tell the harmonics of a low voice apart. Frames before it do, together: how
the phase of a bin turns from frame to frame says where in it a tone lies, and a sum over
frames with complex weights is a narrower filter.

The idea of complex weights for frames before the present one is that of deep filtering (W. Mack and
E. Habets, 2019, https://arxiv.org/abs/1904.08369), of DeepFilterNet also only for low bins.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOW_BANDS = 5
"""Bands of 200 Hz that are gone over again."""

TAPS = 4
"""Frames that are summed, with the present one."""

HOLD = 0.01
"""Power, against the frames before, below which a bin is held back."""

FLOOR = 1e-6
"""Magnitude at which a bin is taken for empty."""

LARGEST = 2.0
"""Largest real or imaginary part of what is added to a gain."""


class Scaled(nn.Module):
    """Batch norm of inputs that are of very different size, and a linear layer.

    Args:
        inputs: channels in.
        outputs: channels out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(inputs)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Take ``[tokens, inputs]``."""
        y: Tensor = self.linear(self.scale(x))
        return y


class LowBand(nn.Module):
    """What is added to the gains of the low bins. It begins as nothing.

    It is built of few operations, as on so few numbers each takes no time but that of its call.

    Args:
        stride: bins of a band.
        channels: what is known of a band otherwise.
        units: of the recurrence.
    """

    lags: Tensor
    hold: Tensor

    def __init__(self, stride: int, channels: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.bins = LOW_BANDS * stride
        quotients = 2 * TAPS * self.bins
        self.first = Scaled(quotients + channels * LOW_BANDS, units)
        # The present frame by itself, and all at 0 Hz, is real. What is always zero would have
        # weights that nothing corrects, and batch norm would make them huge.
        with torch.no_grad():
            weights = self.first.linear.weight[:, :quotients].view(units, 2, TAPS, self.bins)
            weights[:, 1, 0] = weights[:, 1, :, 0] = 0.0
        self.lstm = nn.LSTM(units, units)
        self.out = nn.Linear(units, 4 * TAPS * self.bins)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("lags", _lags(), persistent=False)
        hold = torch.full((1, 2, TAPS, 1), HOLD)
        hold[:, :, -1] = 1.0
        self.register_buffer("hold", hold, persistent=False)

    def start(self, streams: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return the state before the first frame.

        Shape:
            ``low_hidden`` and ``low_cell``: ``[1, streams, units]``; ``low_frames``: ``[streams, 2,
            3, low bins]``, real and imaginary parts of the spectra of three past frames.
        """
        return {
            "low_hidden": torch.zeros(1, streams, self.units, device=device),
            "low_cell": torch.zeros(1, streams, self.units, device=device),
            "low_frames": torch.zeros(streams, 2, TAPS - 1, self.bins, device=device),
        }

    def forward(
        self, spectrum: Tensor, bands: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is added to the gains of the low bins, and the state.

        Args:
            spectrum: of the signal.
            bands: what is known of the bands otherwise.
            state: what ``start`` or the call before gave.

        Shape:
            spectrum ``[streams, 2, frames, bins]``, bands ``[streams, channels, frames, bands]``,
            both of the whole spectrum; to ``[streams, frames, low bins, 2]``.
        """
        heard = spectrum[..., : self.bins]
        seen = torch.cat((state["low_frames"], heard), dim=2)
        turned = self._turned(heard, seen).permute(2, 0, 1, 3)  # [frames, streams, 8, bins]
        frames, streams = turned.shape[:2]
        wide = bands[..., :LOW_BANDS].permute(2, 0, 1, 3)
        quotients, known = (v.reshape(-1, v.shape[2] * v.shape[3]) for v in (turned, wide))
        x = F.relu(self.first(torch.cat((quotients, known), dim=1)))
        before = state["low_hidden"], state["low_cell"]
        y, (hidden, cell) = self.lstm(x.reshape(frames, streams, self.units), before)
        weights = self.out(x + y.reshape(-1, self.units))
        weights = weights.reshape(frames, streams, 2, 2 * TAPS, self.bins)
        turned = quotients.reshape(frames, streams, 1, 2 * TAPS, self.bins)
        added = (weights * turned).sum(3).clamp(-LARGEST, LARGEST)
        after = {
            "low_hidden": hidden,
            "low_cell": cell,
            "low_frames": seen[:, :, 1 - TAPS :],
        }
        return added.permute(1, 0, 3, 2), after

    def _turned(self, heard: Tensor, seen: Tensor) -> Tensor:
        """Return the present frame and those before, divided by the present one.

        Gains multiply the present frame, so it is quotients that their weights are for. Where it
        is far below those before, a quotient is held back: it would be more than a gain may be.

        Shape:
            ``[streams, 2, frames, bins]``, in ``seen`` three frames more, to ``[streams, 8, frames,
            bins]``, the real parts of four frames, the newest first, then the imaginary parts.
        """
        streams, _, frames, bins = heard.shape
        lags = F.conv2d(seen, self.lags).reshape(streams, 2, 2 * TAPS, frames, bins)
        power = F.conv2d(seen.square(), self.hold)
        # To add so little instead is left out of exported graphs.
        return (lags * heard[:, :, None]).sum(1) / power.clamp(min=FLOOR**2)


def _lags() -> Tensor:
    """Return the kernels that pick the parts of X(t - k), and those of -iX(t - k).

    The former by the real part of X(t) and the latter by its imaginary part make X(t - k) times
    the conjugate of X(t).
    """
    picked = torch.zeros(2, 2, TAPS, 2, TAPS)  # factor, part, lag; part and frame that it is
    for lag in range(TAPS):
        frame = TAPS - 1 - lag
        picked[0, 0, lag, 0, frame] = picked[0, 1, lag, 1, frame] = 1.0
        picked[1, 0, lag, 1, frame] = 1.0
        picked[1, 1, lag, 0, frame] = -1.0
    return picked.reshape(4 * TAPS, 2, TAPS, 1)
