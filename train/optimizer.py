"""What steps the weights: Adam, or Muon for the matrices and Adam for the rest."""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.train.muon import Muon

OPTIMIZERS = ("adam", "muon")

NARROWEST = 16
"""Smallest side of a matrix that Muon steps; below, there is little to orthogonalise."""


def make_optimizer(
    name: str, network: nn.Module, learning_rate: float, l2: float
) -> "torch.optim.Optimizer | MuonAndAdam":
    """Return an optimiser over the weights of a network.

    Args:
        name: one of ``OPTIMIZERS``.
        network: whose weights it steps.
        learning_rate: of Adam; Muon's steps are scaled to the size of Adam's.
        l2: weight of the squared weights in Adam's gradient; of Muon, the decay of the
            weights at a learning rate of 1.
    """
    if name == "muon":
        return MuonAndAdam(network, learning_rate, l2)
    return torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=l2)


class MuonAndAdam:
    """Muon for the matrices of linear layers and recurrences, Adam for all other weights.

    All directions of a matrix learn alike by Muon. This has the methods of one of PyTorch's
    optimisers that a training loop calls.

    Args:
        network: whose weights it steps.
        learning_rate: of Adam; Muon's steps are scaled to the size of Adam's.
        l2: see ``make_optimizer``.
    """

    def __init__(self, network: nn.Module, learning_rate: float, l2: float) -> None:
        matrices, rest = [], []
        for weight in network.parameters():
            (matrices if _is_matrix(weight) else rest).append(weight)
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(Muon(matrices, learning_rate, l2))
        if rest:
            self._parts.append(torch.optim.Adam(rest, lr=learning_rate, weight_decay=l2))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of weights, whose ``lr`` may be set."""
        return list(chain.from_iterable(part.param_groups for part in self._parts))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        """Step all weights along their gradients."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {str(k): part.state_dict() for k, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        for k, part in enumerate(self._parts):
            part.load_state_dict(state[str(k)])


def let_only_learn(network: nn.Module, part: str) -> None:
    """Let only one part of a network learn: what has no gradient, optimisers pass over.

    Raises:
        ValueError: there is no such part.
    """
    parts = [name for name, _ in network.named_children()]
    if part not in parts:
        raise ValueError(f"--only {part}: the network's parts are {', '.join(parts)}")
    for name, weight in network.named_parameters():
        weight.requires_grad_(name.startswith(f"{part}."))


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim == 2 and min(weight.shape) >= NARROWEST
