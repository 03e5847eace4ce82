"""The networks, one a file, and their names.

A network maps frames and state to gains and the state for the frames that follow. Its
attribute ``takes`` says of what: ``"magnitude"`` (``[streams, frames, bins]``, and gains
alike) or ``"spectrum"`` (``[streams, frames, bins, 2]``, real and imaginary part, and
complex gains alike).
"""

import torch
from torch import Tensor, nn

from rtdenoise.train.networks.dncnn import DnCnn
from rtdenoise.train.networks.dualpath import DualPath

NETWORKS: dict[str, type[nn.Module]] = {"dncnn": DnCnn, "dualpath": DualPath}


def gains(
    network: nn.Module, spectrum: Tensor, state: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a network's gains, real or complex, and its state after the frames.

    Shape:
        spectrum and gains: ``[streams, frames, bins]``, the spectrum complex.
    """
    if network.takes == "magnitude":
        gain, after = network(spectrum.abs(), state)
        return gain, after
    gain, after = network(torch.view_as_real(spectrum), state)
    return torch.view_as_complex(gain), after
