"""Networks that go on from smaller ones: new blocks begin as identities, new cells unheard."""

import re

import torch
from torch import Tensor, nn

from rtdenoise.train.networks.dualpath import DualPath
from rtdenoise.train.networks.low_path import LowPath
from rtdenoise.train.networks.resunet import ResUNet

BLOCKS = {
    ResUNet: re.compile(r"(unet\.encoder\.layer\d+\.[1-9]\d*)\.(.+)"),
    DualPath: re.compile(r"((?:time|frequency)\.\d+|low)\.(.+)"),
}
"""Name of a weight in a block that adds to its input: the block, and the rest."""


def deepened(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights for a network that compute what those of a smaller one do.

    A residual block adds what its last norm gives. Where that is scaled by zero at first,
    the block passes on its input, and learns from there (after P. Goyal et al., "Accurate,
    large minibatch SGD", 2017, https://arxiv.org/abs/1706.02677, section 5.1). A recurrence gets
    new cells that hear the old ones, and that nothing hears yet.

    Args:
        network: of the wanted size, with the random weights that new blocks keep inside.
        weights: of a network of the same kind with as many blocks or fewer in its stages,
            and a path for the low bins that is as large or smaller.

    Returns:
        ``weights``, and those of blocks and cells that they lack, where the network has such.
    """
    pattern = BLOCKS.get(type(network))
    if pattern is None:
        return weights
    missing = {k: v for k, v in network.state_dict().items() if k not in weights}
    added = {}
    for name, value in missing.items():
        if (match := pattern.fullmatch(name)) is None:
            continue
        block, rest = match.groups()
        added[name] = torch.zeros_like(value) if rest in _last_norm(network, block) else value
    low = getattr(network, "low", None)
    if low is not None and weights.keys() >= {f"low.{name}" for name in low.state_dict()}:
        added |= _widened(low, weights)
    return weights | added


def _widened(low: LowPath, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a path for the low bins, with those of a smaller one inside."""
    sizes = {name: weights[f"low.{name}"].shape for name in low.state_dict()}
    grown = {name: value.clone() for name, value in low.state_dict().items()}
    if any(w > g for k, v in grown.items() for w, g in zip(sizes[k], v.shape, strict=True)):
        return {}
    for name, value in grown.items():
        old = weights[f"low.{name}"]
        if name.startswith("back"):
            value.zero_()[tuple(slice(n) for n in old.shape)] = old
            continue
        # An LSTM's weights have the rows of its four gates one below the other.
        gates, before = (w.reshape(4, -1, *w.shape[1:]) for w in (value, old))
        rows = slice(before.shape[1])
        gates[:, rows] = 0.0
        gates[(slice(None), *(slice(n) for n in before.shape[1:]))] = before
    return {f"low.{name}": value for name, value in grown.items()}


def _last_norm(network: nn.Module, block: str) -> tuple[str, ...]:
    """Return the names of scale and offset of a block's last norm; none if it begins at zero."""
    modules = network.get_submodule(block).named_modules()
    norms = [n for n, module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    return tuple(f"{name}.{part}" for name in norms[-1:] for part in ("weight", "bias"))
