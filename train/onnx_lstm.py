"""Recurrent layers as single ONNX nodes.

PyTorch's exporter unrolls an ``nn.LSTM`` over the frames that it happens to see, so the
graph would fit one number of frames only. Here the layer becomes the operator ``LSTM`` of
ONNX, which takes any number of them.
"""

import copy

import torch
from torch import Tensor, nn

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


def with_onnx_lstm(network: nn.Module) -> nn.Module:
    """Return a copy of a network with each ``nn.LSTM`` replaced, fit for export only."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LSTM):
                setattr(module, name, OnnxLstm(child))
    return copied
