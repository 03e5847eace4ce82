"""The search for the number of streams, on a clock that the test winds."""

import pytest
from toys import FixedGain

from rtdenoise import AudioError, capacity
from rtdenoise.capacity import (
    CORE_STREAMS,
    HOPS,
    LATE_HOPS,
    WARM_UP_HOPS,
    keeps_up,
    largest,
    measure_streams,
    most_streams,
    streams_per_core,
)
from rtdenoise.model import zero_state

RATE_HZ = 16_000
FIRST_HOPS = 3 + WARM_UP_HOPS
"""Steps before hops are timed: two as the denoiser is made, one as the stream joins."""


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


class Bursts(Busy):
    """Works for a stream once in ``hops_per_burst`` of its frames."""

    hops_per_burst = 4

    def start(self, streams):
        return zero_state({"frames": (streams, 1)})

    def step(self, spectrum, state):
        state.arrays["frames"] += 1
        due = int((state.arrays["frames"] % self.hops_per_burst == 0).sum())
        self.clock.now += due * self.cost_s
        return FixedGain.step(self, spectrum, state)


def test_largest_may_stop_early():
    tried = []
    found = largest(lambda number: tried.append(number) or number <= 5_000, 10_000, 0.02)
    assert 4_900 <= found <= 5_000
    assert len(tried) <= 21


@pytest.mark.parametrize(
    ("cost_s", "streams"), [(0.015, 0), (0.003, 3), (0.0007, 14), (0.00001, CORE_STREAMS)]
)
def test_the_limit_of_a_model_is_found(clock, cost_s, streams):
    assert streams_per_core(Busy(clock, cost_s), RATE_HZ) == streams


def test_more_streams_than_a_core_carries_are_looked_for(clock):
    found = most_streams(Busy(clock, 0.01 / 290.5), RATE_HZ, 400, precision=0.02)
    assert 284 <= found <= 290


def test_one_hop_of_a_hundred_may_be_late(clock):
    assert keeps_up(Busy(clock, 0.001, [FIRST_HOPS + 10]), RATE_HZ, 1)
    assert not keeps_up(Busy(clock, 0.001, range(0, 4 * HOPS, HOPS // 4)), RATE_HZ, 1)


def test_one_good_pass_is_enough(clock):
    spoilt = LATE_HOPS + 1  # calls that end a pass
    two, three = (range(FIRST_HOPS + passes * spoilt) for passes in (2, 3))
    assert keeps_up(Busy(clock, 0.001, two), RATE_HZ, 1)
    assert not keeps_up(Busy(clock, 0.001, three), RATE_HZ, 1)


def test_hops_of_many_streams_are_measured(clock):
    bench = measure_streams(Busy(clock, 0.0001), RATE_HZ, 50, seconds=0.5)
    assert (bench.model, bench.device, bench.streams) == ("fixed", "cpu", 50)
    assert (bench.latency_ms, bench.hop_ms, bench.hops) == (20.0, 10.0, 50)
    assert bench.p50_ms == pytest.approx(5.0)
    assert bench.p99_share == pytest.approx(0.5)


def test_bursts_of_streams_are_spread_over_the_hops(clock):
    alone = measure_streams(Bursts(clock, 0.001), RATE_HZ, 1)
    assert (alone.p50_ms, alone.p99_ms) == (pytest.approx(0.0), pytest.approx(1.0))
    assert alone.mean_ms == pytest.approx(0.25)
    many = measure_streams(Bursts(clock, 0.001), RATE_HZ, 8)
    assert (many.p50_ms, many.p99_ms) == (pytest.approx(2.0), pytest.approx(2.0))
    assert most_streams(Bursts(clock, 0.001), RATE_HZ, 100) == 40


def test_a_measurement_that_takes_too_long_is_cut_short(clock):
    bench = measure_streams(Busy(clock, 0.1), RATE_HZ, 2, seconds=1.0)
    assert bench.p50_ms == pytest.approx(200)
    assert bench.hops in (10, 11)


def test_wrong_settings_are_named(clock):
    with pytest.raises(AudioError, match="threads"):
        measure_streams(Busy(clock, 0.1), RATE_HZ, 2, threads=0)
    with pytest.raises(AudioError, match="1000 Hz"):
        most_streams(Busy(clock, 0.1), 1_000, 10)
