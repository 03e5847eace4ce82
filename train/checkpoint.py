"""Checkpoints that describe themselves: what network, how to build it, how it was trained."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rtdenoise.stft import StftConfig
from rtdenoise.train.data import DataError
from rtdenoise.train.networks import NETWORKS


@dataclass
class Checkpoint:
    """Everything needed to build a network again, to export it, or to go on training.

    Attributes:
        network: name of the network's class in ``NETWORKS``.
        arguments: what its constructor took.
        stft: windows and hop.
        rate_hz: sample rate of the training.
        weights: averaged weights, which is what one uses.
        recipe: the training configuration, for cards.
        step: optimiser steps taken.
        scores: validation scores of these weights.
        resume: current weights and optimiser state, to go on from; may be empty.
    """

    network: str
    arguments: dict[str, Any]
    stft: StftConfig
    rate_hz: int
    weights: dict[str, Tensor]
    recipe: dict[str, Any]
    step: int
    scores: dict[str, float]
    resume: dict[str, Any]

    def build(self) -> nn.Module:
        """Return the network with the averaged weights, in evaluation mode."""
        network = NETWORKS[self.network](**self.arguments)
        network.load_state_dict(self.weights)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the checkpoint; an interruption leaves the old one whole."""
        temporary = path.with_name(path.name + ".part")
        values = {k: getattr(self, k) for k in self.__dataclass_fields__}
        torch.save(values | {"stft": asdict(self.stft)}, temporary)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint onto the CPU.

        Raises:
            DataError: the file is missing or is no checkpoint.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such checkpoint")
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            return cls(**values | {"stft": StftConfig(**values["stft"])})
        except Exception as error:
            # The messages of torch.load run over many lines, and advise to trust the file.
            kind = type(error).__name__
            raise DataError(f"{path}: is not a checkpoint of rtdenoise ({kind})") from error
