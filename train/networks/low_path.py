"""A recurrence for the lowest bins alone, behind a network that sees wider bands."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST_RATIO = 4.0
"""How much louder an earlier frame may seem beside the present one: 12 dB."""

SILENT = 1e-6
"""Magnitude of a bin below which it counts as silent: a tone at -120 dBFS."""


class LowPath(nn.Module):
    """An LSTM over time that sees the lowest bins one by one, and corrects their gains.

    Harmonics of a voice lie closer together than the bands of the blocks are wide, and most of
    the energy of speech is in the lowest of them. There is only one sequence of all these bins,
    so that this costs little beside the blocks. It begins with no correction.

    With ``past_frames`` it also filters: it adds a weighted sum of what each of its bins was in
    the frames before. Over several frames harmonics are told apart that lie in one bin of a
    single frame (after W. Mack and E. Habets, "Deep filtering", SPL 2020,
    https://arxiv.org/abs/1904.08369). Earlier frames enter relative to the present one, so
    that the filter is a gain like any other.

    Args:
        width: of the recurrence.
        bins: how many of the lowest bins it sees and corrects.
        past_frames: how many frames before the present one its filter takes in.
    """

    def __init__(self, width: int, bins: int, past_frames: int = 0) -> None:
        super().__init__()
        self.width, self.bins, self.past_frames = width, bins, past_frames
        self.lstm = nn.LSTM((5 + 2 * past_frames) * bins, width)
        self.back = nn.Linear(width, 2 * (1 + past_frames) * bins)
        with torch.no_grad():
            self.back.weight.zero_()
            self.back.bias.zero_()

    def forward(
        self, features: Tensor, gains: Tensor, ratios: Tensor | None, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return corrected gains, taps and the two states, each ``[streams, 1, width]``.

        Shape:
            features ``[streams, 3, frames, bins]``; gains ``[streams, frames, values]``, in
            and out: compressed, real and imaginary part of each bin in turn; ratios and taps
            ``[streams, frames, past_frames, 2, bins]``, or None and no taps.
        """
        streams, frames, values = gains.shape
        seen = features[..., : self.bins].permute(2, 0, 1, 3).reshape(frames, streams, -1)
        parts = [seen, gains[..., : 2 * self.bins].transpose(0, 1)]
        if ratios is not None:
            parts.append(ratios.flatten(2).transpose(0, 1))
        before = tuple(p.transpose(0, 1) for p in past)
        y, (hidden, cell) = self.lstm(torch.cat(parts, dim=2), before)
        change, taps = self.back(y).transpose(0, 1).tensor_split((2 * self.bins,), dim=2)
        corrected = gains + F.pad(change, (0, values - 2 * self.bins))
        taps = taps.reshape(streams, frames, self.past_frames, 2, self.bins)
        return corrected, taps, hidden.transpose(0, 1), cell.transpose(0, 1)


def past_ratios(spectrum: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each bin was in the frames before, over what it is, and the past afterwards.

    Earlier frames that are louder by more than ``LARGEST_RATIO`` count as louder by that.

    Shape:
        spectrum ``[streams, frames, 2, bins]``, real and imaginary part; past
        ``[streams, past_frames, 2, bins]``; ratios ``[streams, frames, past_frames, 2, bins]``,
        the oldest frame first.
    """
    frames, count = spectrum.shape[1], past.shape[1]
    seen = torch.cat((past, spectrum), dim=1)
    earlier = torch.cat([seen[:, k : k + frames] for k in range(count)], dim=2)
    earlier = earlier.unflatten(2, (count, 1, 2))
    size = torch.linalg.vector_norm(spectrum, dim=2, keepdim=True).clamp(min=SILENT)
    sizes = torch.linalg.vector_norm(earlier, dim=4)  # [streams, frames, past_frames, 1, bins]
    size = size.unsqueeze(2)
    scale = size * torch.maximum(size, sizes * (1 / LARGEST_RATIO))
    return (earlier * _and_turned(spectrum).unsqueeze(2)).sum(4) / scale, seen[:, -count:]


def filtered(ratios: Tensor, taps: Tensor) -> Tensor:
    """Return the sum of ratios times taps over the frames before: ``[streams, frames, 2, bins]``.

    Shape:
        ratios and taps ``[streams, frames, past_frames, 2, bins]``.
    """
    return (_and_turned(ratios) * taps.unsqueeze(4)).sum((2, 3))


def _and_turned(numbers: Tensor) -> Tensor:
    """Return complex numbers, and those times i: ``[..., 2, 2, bins]`` of ``[..., 2, bins]``."""
    turned = numbers.flip(-2) * numbers.new_tensor(((-1.0,), (1.0,)))
    return torch.cat((numbers, turned), dim=-2).unflatten(-2, (2, 2))
