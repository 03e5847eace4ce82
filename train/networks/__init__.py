"""The networks, one a file, and their names.

A network maps frames and state to gains and the state for the frames that follow. Its
attribute ``takes`` says of what: ``"magnitude"`` (``[streams, frames, bins]``, and gains
alike) or ``"spectrum"`` (``[streams, frames, bins, 2]``, real and imaginary part, and
complex gains alike). One that sees patches also has ``patch(magnitude)``, by which it is
trained, and gives its gains ``emit_frames - 1`` frames late.
"""

import torch
from torch import Tensor, nn

from rtdenoise.train.networks.dncnn import DnCnn
from rtdenoise.train.networks.dualpath import DualPath
from rtdenoise.train.networks.resunet import ResUNet

NETWORKS: dict[str, type[nn.Module]] = {"dncnn": DnCnn, "dualpath": DualPath, "resunet": ResUNet}


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


def lookahead_frames(network: nn.Module) -> int:
    """Return by how many frames a network's gains come late."""
    return network.emit_frames - 1 if isinstance(network, ResUNet) else 0


def clip_gains(network: nn.Module, spectrum: Tensor, run: nn.Module | None = None) -> Tensor:
    """Return the gains of whole clips as streaming gives them, aligned with their frames.

    Args:
        network: its state and delay.
        spectrum: of the clips.
        run: computes what the network does, in its place.

    Shape:
        complex ``[clips, frames, bins]`` to real or complex of that shape.
    """
    late = lookahead_frames(network)
    padded = nn.functional.pad(spectrum, (0, 0, 0, late))
    state = network.start(spectrum.shape[0], spectrum.device)
    return gains(network if run is None else run, padded, state)[0][:, late:]
