"""Trainings of a few steps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ
from rtdenoise.train.fit import Fit

needs_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16"
)


def with_steps(config: FitConfig, steps: int, **changes: Any) -> FitConfig:
    """Return a configuration, changed, that ends after so many steps."""
    config = replace(config, **changes)
    step_h = config.batch_clips * config.clip_samples / RATE_HZ / 3600
    # Half a step less than the sum, so that rounding cannot add one.
    return replace(config, hours=(steps - 0.5) * step_h)


def fit(config: FitConfig, folder: Path, cache: Path, console: Console | None = None) -> Fit:
    """Prepare a training on the CPU that prints nothing, unless a console is given."""
    return Fit(config, folder, cache, "cpu", console or Console(quiet=True))


def trained(config: FitConfig, folder: Path, cache: Path) -> Checkpoint:
    """Run a training and return its last checkpoint."""
    fit(config, folder, cache).run()
    return Checkpoint.load(folder / "last.pt")
