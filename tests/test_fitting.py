"""Warming up leaves no trace, and the advice names a model that this machine can run."""

import re
import time

import numpy as np
from toys import FixedGain

from rtdenoise.denoiser import Denoiser
from rtdenoise.fitting import advice, warm_up
from rtdenoise.model import list_models


class Slow(FixedGain):
    """Takes 15 ms a hop."""

    def step(self, spectrum, state):
        time.sleep(0.015)
        return super().step(spectrum, state)


def test_a_slow_model_is_measured_as_slow() -> None:
    # A busy machine makes it slower, never faster.
    assert warm_up(Denoiser(16_000, Slow()), 0.1) >= 1.5


def test_nothing_of_the_warm_up_is_heard() -> None:
    noise = np.random.default_rng(1).normal(size=4000).astype(np.float32)
    fresh, warm = Denoiser(16_000, "dualpath"), Denoiser(16_000, "dualpath")
    warm_up(warm, 0.1)
    np.testing.assert_array_equal(warm.process(noise), fresh.process(noise))


def test_advice_says_by_how_much_and_names_another_model() -> None:
    line = advice(Slow(), 16_000, 1.7)
    assert "1.7 times too slow for fixed" in line
    named = re.search(r"use --model (\S+)$", line)
    assert named is None or named[1] in list_models()
    assert named is not None or "no other model fits" in line
    assert "takes 95 % of the time there is" in advice(Slow(), 16_000, 0.95)
