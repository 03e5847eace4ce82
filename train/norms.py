"""Batch norm: what it divides by where a network runs, measured anew for given weights.

A training keeps moving averages of each batch's means and variances. They are those of the
weights as they moved, which are noisier than their average, and through the hundred layers of a
residual network the differences multiply (Y. Wu and J. Johnson, "Rethinking 'Batch' in
BatchNorm", 2021, https://arxiv.org/abs/2105.07576, section 3).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """Return the batch norms of a network."""
    return [layer for layer in network.modules() if isinstance(layer, NORMS)]


@contextmanager
def measured_anew(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of a network take the mean statistics of what it sees meanwhile.

    All else behaves as in evaluation, which is the mode that the network is left in.
    """
    network.eval()
    before = [(layer, layer.momentum) for layer in norms(network)]
    for layer, _ in before:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean of all batches
        layer.train()
    try:
        yield
    finally:
        for layer, momentum in before:
            layer.momentum = momentum
            layer.eval()
