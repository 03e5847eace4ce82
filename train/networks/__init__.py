"""The networks, one a file, and their names."""

from torch import nn

from rtdenoise.train.networks.dncnn import DnCnn

NETWORKS: dict[str, type[nn.Module]] = {"dncnn": DnCnn}
