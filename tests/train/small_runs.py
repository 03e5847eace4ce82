"""Trainings of a few steps."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ

needs_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16"
)


def with_steps(config: FitConfig, steps: int, **changes: Any) -> FitConfig:
    """Return a configuration, changed, that ends after so many steps."""
    config = replace(config, **changes)
    step_h = config.batch_clips * config.clip_samples / RATE_HZ / 3600
    # Half a step less than the sum, so that rounding cannot add one.
    return replace(config, hours=(steps - 0.5) * step_h)
