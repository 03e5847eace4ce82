"""Moves what residual layers add to all tokens alike, so that one operation adds all the rest.

A product of matrices can begin with what it is added to, or with an offset for each column, at
no cost. Both together are one more operation, and in a hop an operation on so few numbers takes
no time but that of its call.
"""

import copy
from itertools import zip_longest

import torch
from torch import Tensor, nn

from rtdenoise.train.networks.dualpath import DualPath, TimePath


class Onto(nn.Module):
    """Stands in for a folded ``Projection`` that has no offset, while a graph is written.

    Args:
        linear: its layer.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """Take ``[tokens, width]`` twice, and return it."""
        return torch.addmm(onto, x, self.weight.T)


@torch.no_grad()
def with_moved_offsets(network: nn.Module) -> nn.Module:
    """Return a copy of a network that computes the same, fit for export only.

    The blocks of a ``DualPath`` leave their offsets out; whatever takes their output adds what
    it lacks to an offset of its own, and the last one puts it back. Others are as they were.

    Args:
        network: its batch norm folded.
    """
    copied = copy.deepcopy(network)
    if not isinstance(copied, DualPath):
        return copied
    lacking = torch.zeros(copied.width)
    pairs = zip_longest(copied.time, copied.frequency)
    paths = [path for pair in pairs for path in pair if path is not None]
    for path in paths:
        if isinstance(path, TimePath):
            path.lstm.bias_ih_l0 += path.lstm.weight_ih_l0 @ lacking
        else:
            path.place += lacking
        lacking = lacking + path.back.linear.bias
        if path is paths[-1]:
            path.back.linear.bias.copy_(lacking)
        else:
            path.back = Onto(path.back.linear)
    return copied
