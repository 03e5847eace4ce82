"""Keys change what they say, within bounds, without clicks."""

import math

import numpy as np
import pytest
from toys import FixedGain

from rtdenoise.controls import LIMITS_DB, Controls
from rtdenoise.denoiser import Denoiser


def test_keys_change_what_they_say() -> None:
    denoiser = Denoiser(16_000, FixedGain(0.0), mix=0.8, limit_db=20.0)
    controls = Controls(denoiser)
    controls.press("+")
    assert denoiser.mix == pytest.approx(0.9)
    controls.press("---")
    assert denoiser.mix == pytest.approx(0.6)
    controls.press("b")
    assert (controls.bypass, denoiser.mix) == (True, 0.0)
    controls.press("+b")  # heard when the bypass ends
    assert (controls.bypass, denoiser.mix) == (False, pytest.approx(0.7))
    controls.press("]")
    assert denoiser.limit_db == 24.0
    controls.press("[[")
    assert denoiser.limit_db == 15.0
    assert not controls.quit
    controls.press("xq")
    assert controls.quit


@pytest.mark.parametrize("seed", range(5))
def test_no_series_of_keys_leaves_the_bounds(seed: int) -> None:
    denoiser = Denoiser(16_000, FixedGain(0.0))
    controls = Controls(denoiser)
    for key in np.random.default_rng(seed).choice(list("b+-[]x \x00é"), 500):
        controls.press(key)
        assert 0 <= denoiser.mix <= 1
        assert LIMITS_DB[0] <= denoiser.limit_db <= math.inf


@pytest.mark.parametrize("keys", ["b", "-----", "[[[[[[[[["])
def test_changes_fade(keys: str) -> None:
    """A jump would put energy far away from the tone; a fade of 10 ms does not."""
    denoiser = Denoiser(16_000, FixedGain(0.0), limit_db=math.inf)
    controls = Controls(denoiser)
    tone = np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000).astype(np.float32)
    out = []
    for k, hop in enumerate(tone.reshape(-1, 160)):
        if k == 50:
            controls.press(keys)
        out.append(denoiser.process(hop))
    played = np.concatenate(out)
    assert np.abs(played[-160:]).max() > 0.1
    steepest = 2 * np.pi * 100 / 16_000
    assert np.abs(np.diff(played)).max() < steepest + 1 / 160 + 1e-3
