"""A recurrence for the lowest bins alone, behind a network that sees wider bands."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LowPath(nn.Module):
    """An LSTM over time that sees the lowest bins one by one, and corrects their gains.

    Harmonics of a voice lie closer together than the bands of the blocks are wide, and most of
    the energy of speech is in the lowest of them. There is only one sequence of all these bins,
    so that this costs little beside the blocks. It begins with no correction.

    Args:
        width: of the recurrence.
        bins: how many of the lowest bins it sees and corrects.
    """

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.width, self.bins = width, bins
        self.lstm = nn.LSTM(5 * bins, width)
        self.back = nn.Linear(width, 2 * bins)
        with torch.no_grad():
            self.back.weight.zero_()
            self.back.bias.zero_()

    def forward(
        self, features: Tensor, gains: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return corrected gains and the two states, each ``[streams, 1, width]``.

        Shape:
            features ``[streams, 3, frames, bins]``; gains ``[streams, frames, values]``, in
            and out: compressed, real and imaginary part of each bin in turn.
        """
        streams, frames, values = gains.shape
        seen = features[..., : self.bins].permute(2, 0, 1, 3).reshape(frames, streams, -1)
        found = gains[..., : 2 * self.bins].transpose(0, 1)
        before = tuple(p.transpose(0, 1) for p in past)
        y, (hidden, cell) = self.lstm(torch.cat((seen, found), dim=2), before)
        change = self.back(y).transpose(0, 1)
        corrected = gains + F.pad(change, (0, values - 2 * self.bins))
        return corrected, hidden.transpose(0, 1), cell.transpose(0, 1)
