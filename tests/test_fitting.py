"""Warming up leaves no trace, and the advice names a model that this machine can run."""

import re
import time

import numpy as np
import pytest
from toy_patch import write_patch_model
from toys import FixedGain

from rtdenoise.denoiser import Denoiser
from rtdenoise.fitting import BURST_RESERVE, advice, hop_time_s, keeping_up, warm_up
from rtdenoise.model import list_models, load_model
from rtdenoise.patch_model import PatchModel


class Slow(FixedGain):
    """Takes 15 ms a hop."""

    def step(self, spectrum, state):
        time.sleep(0.015)
        return super().step(spectrum, state)


def test_a_slow_model_is_measured_as_slow() -> None:
    # A busy machine makes it slower, never faster.
    cost = warm_up(Denoiser(16_000, Slow()), 0.1)
    assert cost.factor >= 1.5
    assert cost.burst_ms == 0


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


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """A patch model whose passes take the milliseconds that it is told."""
    model = load_model(write_patch_model(tmp_path / "toy"))
    forward = PatchModel._forward

    def slow(self, newest, history):
        time.sleep(slow.pass_ms / 1000)
        return forward(self, newest, history)

    monkeypatch.setattr(PatchModel, "_forward", slow)
    model.take = lambda pass_ms: setattr(slow, "pass_ms", pass_ms)
    return model


@pytest.mark.parametrize(("pass_ms", "fewest"), [(12, 4), (45, 16), (130, 32), (400, 32)])
def test_a_patch_model_has_passes_as_often_as_takes_half_of_the_time(
    patches, pass_ms, fewest
) -> None:
    patches.take(pass_ms)
    fitted = keeping_up(patches, 1)
    # A busy machine makes it slower, never faster.
    assert fewest <= fitted.emit_frames <= 32
    assert fitted.card.name == f"toy@{fitted.emit_frames}"
    assert fitted.lookahead_frames == fitted.emit_frames - 1


def test_what_was_asked_for_stays(patches) -> None:
    patches.take(30)
    asked = patches.with_emit_frames(2)
    assert keeping_up(asked, 1) is asked
    other = FixedGain()
    assert keeping_up(other, 1) is other


@pytest.mark.parametrize("emit", [4, 16])
def test_the_reserve_is_for_the_hop_that_has_the_work(patches, emit) -> None:
    patches.take(20)
    cost = warm_up(Denoiser(16_000, patches.with_emit_frames(emit)), 0.1)
    assert cost.burst_ms >= BURST_RESERVE * 20
    assert cost.factor >= 20 / (10 * emit)


def test_the_cost_of_a_hop_counts_bursts_wherever_they_are() -> None:
    for first in range(4):
        times_s = [0.013 if k % 4 == first else 0.001 for k in range(30)]
        assert hop_time_s(times_s, 4) == pytest.approx(0.004)
    assert hop_time_s([0.001, 0.002, 0.009], 1) == 0.002
    assert hop_time_s([0.001], 4) == 0
