"""Networks that begin with the weights of others, where those may be shallower."""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.networks.dualpath import DualPath
from rtdenoise.train.networks.resunet import ResUNet

BLOCKS = {
    ResUNet: re.compile(r"(unet\.encoder\.layer\d+\.[1-9]\d*)\.(.+)"),
    DualPath: re.compile(r"((?:time|frequency)\.\d+)\.(.+)"),
}
"""Name of a weight in a block that adds to its input: the block, and the rest."""


def adopt(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a checkpoint.

    Raises:
        DataError: they do not fit.
    """
    weights = deepened(network, Checkpoint.load(path).weights)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{path}: its network has another shape; give its options") from error


def deepened(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights for a network that compute what those of a shallower one do.

    A residual block adds what its last norm gives. Where that is scaled by zero at first,
    the block passes on its input, and learns from there (after P. Goyal et al., "Accurate,
    large minibatch SGD", 2017, https://arxiv.org/abs/1706.02677, section 5.1).

    Args:
        network: of the wanted depth, with the random weights that new blocks keep inside.
        weights: of a network of the same kind with as many blocks or fewer in its stages.

    Returns:
        ``weights``, and those of what they lack: blocks, and ``dualpath``'s ``low``, which begins
        as nothing by itself.
    """
    pattern = BLOCKS.get(type(network))
    if pattern is None:
        return weights
    missing = {k: v for k, v in network.state_dict().items() if k not in weights}
    added = {k: v for k, v in missing.items() if k.startswith("low.")}
    for name, value in missing.items():
        if (match := pattern.fullmatch(name)) is None:
            continue
        block, rest = match.groups()
        added[name] = torch.zeros_like(value) if rest in _last_norm(network, block) else value
    return weights | added


def _last_norm(network: nn.Module, block: str) -> tuple[str, str]:
    """Return the names of scale and offset of a block's last norm."""
    modules = network.get_submodule(block).named_modules()
    norms = [n for n, module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    return f"{norms[-1]}.weight", f"{norms[-1]}.bias"
