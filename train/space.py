"""The search space of each network: which hyperparameters, between which bounds."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rtdenoise.train.config import FitConfig
from rtdenoise.train.networks import NETWORKS

Settings = dict[str, int | float]
"""Values of hyperparameters by name."""


@dataclass(frozen=True)
class Axis:
    """The values of one hyperparameter: whole numbers where the bounds are.

    Attributes:
        low: lowest value.
        high: highest value.
        step: from one value to the next; None for any value between.
        log: whether values are drawn evenly on a logarithmic scale.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    def nearest(self, value: int | float) -> int | float:
        """Return the value moved between the bounds and onto a step."""
        value = min(max(value, self.low), self.high)
        if self.step is None:
            return value
        return self.low + round((value - self.low) / self.step) * self.step


@dataclass(frozen=True)
class Space:
    """The hyperparameters of a network that are searched, and between which bounds.

    Attributes:
        arguments: those that its constructor takes.
        fields: those that are fields of :class:`FitConfig`.
    """

    arguments: Mapping[str, Axis]
    fields: Mapping[str, Axis]

    @property
    def axes(self) -> dict[str, Axis]:
        """All of them."""
        return {**self.arguments, **self.fields}

    def settings(self, config: FitConfig) -> Settings:
        """Return the values that a configuration has."""
        known = inspect.signature(NETWORKS[config.network]).parameters
        arguments = {k: config.arguments.get(k, known[k].default) for k in self.arguments}
        return arguments | {k: getattr(config, k) for k in self.fields}

    def apply(self, config: FitConfig, settings: Settings) -> FitConfig:
        """Return a configuration with other values."""
        arguments = config.arguments | {k: settings[k] for k in self.arguments}
        return replace(config, arguments=arguments, **{k: settings[k] for k in self.fields})


_RATES = {
    "learning_rate": Axis(3e-4, 1e-2, log=True),
    # The lowest is as good as none.
    "l2": Axis(1e-7, 1e-3, log=True),
}

SPACES = {
    "dncnn": Space(
        arguments={
            "depth": Axis(4, 14, 1),
            "width": Axis(16, 96, 8),
            "dropout": Axis(0.0, 0.3, 0.05),
        },
        fields=_RATES,
    ),
    "dualpath": Space(
        arguments={
            "channels": Axis(16, 64, 8),
            # In eights, which 1, 2, 4 or 8 heads divide.
            "width": Axis(24, 96, 8),
            "blocks": Axis(1, 4, 1),
        },
        fields=_RATES,
    ),
    "resunet": Space(
        arguments={
            "encoder_depth": Axis(3, 5, 1),
            # A multiple of 16, so that five stages can halve it.
            "width": Axis(32, 192, 16),
        },
        fields=_RATES,
    ),
}
"""What is searched for each network."""
