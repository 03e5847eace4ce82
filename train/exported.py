"""Reads exported models back into torch."""

from pathlib import Path

import onnx
import torch
from torch import nn

from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import Card
from rtdenoise.stft import StftConfig
from rtdenoise.train.data import DataError
from rtdenoise.train.fold import fold_batch_norm
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.quantize import stored_weights


def read_exported(folder: Path) -> tuple[nn.Module, StftConfig]:
    """Return the network of an exported model, its batch norm folded, and its windows and hop.

    Its weights are those that the runtime computes with, so it can run and teach, but it
    cannot be trained further.

    Args:
        folder: holds ``model.onnx`` and ``card.json``.

    Raises:
        DataError: there is no exported model, or the graph was made of layers that have
            other names in torch.
    """
    try:
        card = Card.read(folder / "card.json")
        described = card.details["network"]
        network = fold_batch_norm(NETWORKS[described["class"]](**described["arguments"]))
        graph = onnx.load(str(folder / "model.onnx")).graph
    except (RtdenoiseError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: holds neither a checkpoint nor an exported model") from error
    stored = {f"network.{k}" for k in network.state_dict()}
    weights = {
        name.removeprefix("network."): torch.from_numpy(array.copy())
        for name, array in stored_weights(graph).items()
        if name in stored
    }
    if missing := len(stored) - len(weights):
        raise DataError(
            f"{folder}: its graph lacks {missing} weights of {described['class']} by name; "
            "give its checkpoint"
        )
    network.load_state_dict(weights)
    return network, card.stft
