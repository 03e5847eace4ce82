"""Averages of checkpoints of one network.

The weights before and after a further training often have a mean that is better than either: it
keeps most of what was won, and gives back most of what that cost.

Reference:
    M. Wortsman et al., "Robust fine-tuning of zero-shot models", 2022,
    https://arxiv.org/abs/2109.01903
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.shape import with_defaults

SAME = ("network", "arguments", "stft", "rate_hz")
"""What checkpoints must have in common."""


def average(paths: list[Path], shares: list[float]) -> Checkpoint:
    """Return a checkpoint with the weighted mean of the weights of several.

    All else that it tells is that of the first, but for the scores, which nobody has measured, and
    what it would need to go on with an optimiser: it is for export, or to begin with. Its recipe
    names the files and shares.

    Args:
        paths: of the checkpoints, two or more.
        shares: one for each, more than 0; they are divided by their sum.

    Raises:
        DataError: a file is no checkpoint, the networks differ, or the shares are unfit.
    """
    if len(paths) < 2:
        raise DataError("an average needs two checkpoints or more")
    for path, share in zip(paths, shares, strict=True):
        if not 0 < share < float("inf"):
            raise DataError(f"{path}: its share is {share:g}; it must be more than 0")
    checkpoints = [Checkpoint.load(path) for path in paths]
    first, wanted = checkpoints[0], _told(checkpoints[0])
    for path, other in zip(paths, checkpoints, strict=True):
        differ = [name for name, value in _told(other).items() if value != wanted[name]]
        if _shapes(other) != _shapes(first):  # of another version, say
            differ.append("weights")
        if differ:
            raise DataError(
                f"{path}: not the same {differ[0]} as {paths[0]}; only weights of one network "
                "have an average"
            )
    parts = [share / sum(shares) for share in shares]
    weights = {name: _mean([c.weights[name] for c in checkpoints], parts) for name in first.weights}
    told = [[path.name, round(part, 4)] for path, part in zip(paths, parts, strict=True)]
    recipe = first.recipe | {"average": told}
    return replace(first, weights=weights, recipe=recipe, scores={}, resume={})


def _told(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a checkpoint says of itself, with the arguments that were left as they are."""
    told = {name: getattr(checkpoint, name) for name in SAME}
    if checkpoint.network in NETWORKS:
        told["arguments"] = with_defaults(checkpoint.network, checkpoint.arguments)
    return told


def _shapes(checkpoint: Checkpoint) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in checkpoint.weights.items()}


def _mean(values: list[Tensor], parts: list[float]) -> Tensor:
    """Return the weighted mean of tensors; of whole numbers, which only count, the first."""
    if not values[0].is_floating_point():
        return values[0]
    # In double precision, so that the order of the checkpoints makes no difference.
    total = sum(part * value.double() for part, value in zip(parts, values, strict=True))
    return torch.as_tensor(total).to(values[0].dtype)
