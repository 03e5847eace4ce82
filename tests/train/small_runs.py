"""Trainings of a few steps."""

from dataclasses import replace
from typing import Any

from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ


def with_steps(config: FitConfig, steps: int, **changes: Any) -> FitConfig:
    """Return a configuration, changed, that ends after so many steps."""
    config = replace(config, **changes)
    step_h = config.batch_clips * config.clip_samples / RATE_HZ / 3600
    # Half a step less than the sum, so that rounding cannot add one.
    return replace(config, hours=(steps - 0.5) * step_h)
