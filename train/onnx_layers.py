"""Layers as single nodes of an ONNX graph.

PyTorch's exporter unrolls an ``nn.LSTM`` over the frames that it happens to see, so the
graph would fit one number of frames only. Here the layer becomes the operator ``LSTM`` of
ONNX, which takes any number of them.

Attention becomes the operator ``Attention`` of ONNX Runtime (domain ``com.microsoft``), projections
included, for speed: written out it is ten nodes, most of which only move numbers about.
"""

import copy

import torch
from torch import Tensor, nn

from rtdenoise.train.networks.dualpath import FrequencyPath

OPSET = 20
"""Version of the operators that stand in the graph."""


class OnnxLstm(nn.Module):
    """Stands in for an ``nn.LSTM`` of one layer while a graph is written.

    Args:
        lstm: one layer, one direction, time first.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        assert (lstm.num_layers, lstm.bidirectional, lstm.batch_first) == (1, False, False)
        self.width = lstm.hidden_size
        bias = torch.cat((_reordered(lstm.bias_ih_l0), _reordered(lstm.bias_hh_l0)))
        self.register_buffer("weight", _reordered(lstm.weight_ih_l0)[None])
        self.register_buffer("recurrence", _reordered(lstm.weight_hh_l0)[None])
        self.register_buffer("bias", bias[None])

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Do what ``nn.LSTM`` does, but for an axis that ONNX has for directions.

        Who reshapes the output anyway need not take the axis away, and a hop has one node less.

        Shape:
            ``[frames, rows, inputs]`` to ``[frames, 1, rows, width]``.
        """
        hidden, cell = past
        frames, rows, _ = x.shape
        y, hidden, cell = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (x, self.weight, self.recurrence, self.bias, None, hidden, cell),
            {"hidden_size": self.width},
            dtypes=(x.dtype,) * 3,
            shapes=((frames, 1, rows, self.width), hidden.shape, cell.shape),
            version=OPSET,
        )
        return y, (hidden, cell)


def _reordered(gates: Tensor) -> Tensor:
    """Return weights with torch's order of gates (i, f, c, o) in that of ONNX (i, o, f, c)."""
    i, f, c, o = gates.detach().chunk(4)
    return torch.cat((i, o, f, c))


class OnnxAttention(nn.Module):
    """Stands in for a ``FrequencyPath`` while a graph is written.

    Args:
        path: its batch norm folded.
    """

    def __init__(self, path: FrequencyPath) -> None:
        super().__init__()
        self.heads = path.heads
        self.place = path.place
        self.back = path.back
        self.register_buffer("weight", path.mixed.weight.detach().T.contiguous())
        # The operator may go without an offset, but ONNX Runtime crashes on graphs that do.
        self.register_buffer("bias", torch.zeros(self.weight.shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Take and return tokens ``[frames * streams * bands, width]``."""
        bands, width = self.place.shape
        placed = x.reshape(-1, bands, width) + self.place
        heard = torch.onnx.ops.symbolic(
            "com.microsoft::Attention",
            (placed, self.weight, self.bias),
            {"num_heads": self.heads},
            dtype=x.dtype,
            shape=placed.shape,
            version=1,
        )
        y: Tensor = self.back(heard.reshape(-1, width), x)
        return y


def with_onnx_layers(network: nn.Module) -> nn.Module:
    """Return a copy of a network that has those layers, fit for export only.

    Args:
        network: its batch norm folded.
    """
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LSTM):
                setattr(module, name, OnnxLstm(child))
            elif isinstance(child, FrequencyPath):
                setattr(module, name, OnnxAttention(child))
    return copied
