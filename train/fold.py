"""Folds batch norm into the layers before it, as a network that only runs needs no more."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode in which each batch norm is folded into its layer.

    That is a convolution which the module names right before it, or a layer ``linear``
    where there is nothing else in the module but it and ``norm``.
    """
    copied = copy.deepcopy(network).eval()
    for module in list(copied.modules()):
        for (name, layer), (next_name, norm) in pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, next_name, nn.Identity())
        for name, child in module.named_children():
            if isinstance(getattr(child, "norm", None), nn.BatchNorm1d):
                setattr(module, name, fuse_linear_bn_eval(child.linear, child.norm))
    return copied
