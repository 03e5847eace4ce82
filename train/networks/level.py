"""The running level of a signal, by which networks make themselves independent of volume."""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVEL_FRAMES = 100
"""Frames over which the level is averaged: a second."""

LEVEL_PAST = LEVEL_FRAMES - 1
"""Frames before the present one that must be remembered for it."""


def running_level(frame_level: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of the last second at each frame, and the past for the next call.

    Before a second has passed the mean is over what there is: beside each level the past
    holds a 1, and a 0 where there was no frame yet.

    Shape:
        ``[streams, 1, frames]`` and ``[streams, 2, 99]`` to the same two shapes.
    """
    counted = F.pad(frame_level, (0, 0, 0, 1), value=1.0)
    seen = torch.cat((past, counted), dim=2)
    level, present = F.avg_pool1d(seen, LEVEL_FRAMES, stride=1).chunk(2, dim=1)
    return level / present, seen[:, :, -LEVEL_PAST:]
