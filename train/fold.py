"""Folds batch norm into the layers before it, as a network that only runs needs no more."""

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode in which each batch norm is folded into its layer.

    That is a convolution or linear layer which the module names right before it, or a layer
    ``linear`` where there is nothing else in the module but it and ``scale`` before it.
    """
    copied = copy.deepcopy(network).eval()
    for module in list(copied.modules()):
        for (name, layer), (next_name, norm) in pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
            elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
                setattr(module, name, fuse_linear_bn_eval(layer, norm))
            else:
                continue
            setattr(module, next_name, nn.Identity())
        for name, child in module.named_children():
            if isinstance(getattr(child, "scale", None), nn.BatchNorm1d):
                setattr(module, name, _of_unscaled(child.linear, child.scale))
    return copied


def _of_unscaled(linear: nn.Linear, scale: nn.BatchNorm1d) -> nn.Linear:
    """Return ``linear`` for inputs that have not gone through ``scale``."""
    # Each input's factor and shift, from what becomes of one and of zero.
    zero, one = (scale(torch.full((1, scale.num_features), v)) for v in (0.0, 1.0))
    made = nn.Linear(linear.in_features, linear.out_features)
    made.weight = nn.Parameter(linear.weight * (one - zero))
    made.bias = nn.Parameter(linear(zero)[0])
    return made
