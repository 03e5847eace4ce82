"""The search for the number of streams, on a clock that the test winds."""

import pytest
from toys import FixedGain

from rtdenoise import capacity
from rtdenoise.capacity import (
    HOPS,
    LATE_HOPS,
    WARM_UP_HOPS,
    keeps_up,
    largest,
    streams_per_core,
)
from rtdenoise.denoiser import MAX_CHANNELS

RATE_HZ = 16_000


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Busy(FixedGain):
    """Takes some time of a clock for each stream of each hop; more for some of the calls."""

    def __init__(self, clock, cost_s, slow_calls=()):
        super().__init__()
        self.clock, self.cost_s, self.slow_calls = clock, cost_s, slow_calls
        self.calls = 0

    def step(self, spectrum, state):
        self.clock.now += (
            len(spectrum) * self.cost_s * (100 if self.calls in self.slow_calls else 1)
        )
        self.calls += 1
        return super().step(spectrum, state)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(capacity, "time", clock)
    return clock


@pytest.mark.parametrize("most", [1, 2, 50, 63, 64])
def test_largest_finds_any_limit_in_few_tries(most):
    for limit in range(most + 3):
        tried = []
        found = largest(lambda number: tried.append(number) or number <= limit, most)  # noqa: B023
        assert found == min(limit, most)
        assert len(tried) == len(set(tried)) <= 13
        assert all(1 <= number <= most for number in tried)


@pytest.mark.parametrize(
    ("cost_s", "streams"), [(0.015, 0), (0.003, 3), (0.0007, 14), (0.0001, MAX_CHANNELS)]
)
def test_the_limit_of_a_model_is_found(clock, cost_s, streams):
    assert streams_per_core(Busy(clock, cost_s), RATE_HZ) == streams


def test_one_hop_of_a_hundred_may_be_late(clock):
    assert keeps_up(Busy(clock, 0.001, [WARM_UP_HOPS + 10]), RATE_HZ, 1)
    assert not keeps_up(Busy(clock, 0.001, range(0, 4 * HOPS, HOPS // 4)), RATE_HZ, 1)


def test_one_good_pass_is_enough(clock):
    spoilt = LATE_HOPS + 1  # calls that end a pass
    two, three = (range(WARM_UP_HOPS + passes * spoilt) for passes in (2, 3))
    assert keeps_up(Busy(clock, 0.001, two), RATE_HZ, 1)
    assert not keeps_up(Busy(clock, 0.001, three), RATE_HZ, 1)
