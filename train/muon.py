"""Muon: steps of matrices along their momentum made orthogonal."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95

ITERATIONS = 5

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of the polynomial x -> ax + bx^3 + cx^5, by which singular values come near 1 fastest."""

ADAMS_RMS = 0.2
"""What a weight is stepped by in the mean, times the learning rate, as by Adam."""


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, whose steps are of the size of Adam's.

    It is that of K. Jordan et al., 2024 (https://kellerjordan.github.io/posts/muon/), scaled
    after J. Liu et al., "Muon is scalable for LLM training", 2025
    (https://arxiv.org/abs/2502.16982). It does what ``torch.optim.Muon`` does, which however
    computes in bfloat16 everywhere: on processors without it, that took more than half of a
    training step.

    Args:
        matrices: weights with two axes.
        learning_rate: of the step.
        decay: of the weights in a step, at a learning rate of 1.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], learning_rate: float, decay: float
    ) -> None:
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step all weights that have a gradient; ``closure`` is not used."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momentum = state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
                direction = orthogonal(weight.grad.lerp(momentum, MOMENTUM))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                size = ADAMS_RMS * math.sqrt(max(weight.shape))
                weight.add_(direction, alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of another, and all singular values near 1.

    Near is from 0.7 to 1.2, but for those that are tiny beside the others. On GPUs it is
    computed in bfloat16.

    Shape:
        ``[rows, columns]``, twice.
    """
    a, b, c = QUINTIC
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)
