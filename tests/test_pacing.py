"""Hops at their time, on a clock that the test winds, so that a busy machine changes nothing."""

import time

import pytest
from toys import FixedGain

from rtdenoise import pacing
from rtdenoise.bench import WARM_UP_HOPS
from rtdenoise.denoiser import AudioError
from rtdenoise.pacing import SPIN_S, measure_paced

RATE_HZ = 16_000
HOP_S = 0.010


class Clock:
    """Stands in for the module ``time``; a look at it takes a microsecond."""

    def __init__(self):
        self.now = 0.0
        self.slept = 0.0

    def perf_counter(self):
        self.now += 1e-6
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.slept += seconds
        self.now += seconds


class Busy(FixedGain):
    """Takes ``usual_s`` of a clock for each hop, and for some hops a time of their own."""

    def __init__(self, clock, usual_s, special_s=None):
        super().__init__()
        self.clock, self.usual_s, self.special_s = clock, usual_s, special_s or {}
        self.begun = []

    def step(self, spectrum, state):
        self.begun.append(self.clock.now)
        hop = len(self.begun) - 1 - WARM_UP_HOPS
        self.clock.now += self.special_s.get(hop, self.usual_s)
        return super().step(spectrum, state)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def test_a_steady_model(clock):
    bench = measure_paced(Busy(clock, 0.002), RATE_HZ, seconds=1.0)
    assert (bench.model, bench.rate, bench.hop_ms, bench.latency_ms) == ("fixed", RATE_HZ, 10, 20)
    assert (bench.hops, bench.missed) == (100, 0)
    for value_ms in (bench.p50_ms, bench.p95_ms, bench.p99_ms, bench.max_ms):
        assert value_ms == pytest.approx(2.0, abs=0.01)
    assert bench.p99_share == pytest.approx(0.2, abs=0.001)


def test_hops_begin_when_they_are_due_and_the_wait_is_slept(clock):
    model = Busy(clock, 0.002)
    measure_paced(model, RATE_HZ, seconds=1.0)
    begun = model.begun[WARM_UP_HOPS:][:100]
    for number, moment in enumerate(begun):
        assert moment - begun[0] == pytest.approx(number * HOP_S, abs=5e-5)
    watched_s = 100 * (HOP_S - 0.002) - clock.slept
    assert 0 < watched_s < 100 * SPIN_S * 1.5


def test_one_slow_hop_shows_and_delays_those_after_it(clock):
    # Done 25 ms late; the hops behind it win 9 ms each, so the third of them is in time.
    bench = measure_paced(Busy(clock, 0.001, {7: 0.035}), RATE_HZ, seconds=0.5)
    assert bench.max_ms == pytest.approx(35, abs=0.01)
    assert (bench.p50_ms, bench.p95_ms) == pytest.approx((1, 1), abs=0.01)
    assert (bench.hops, bench.missed) == (50, 3)


def test_who_cannot_keep_up_misses_everything_and_is_stopped(clock):
    bench = measure_paced(Busy(clock, 0.048), RATE_HZ, seconds=1.0)
    assert bench.missed == bench.hops == 21
    assert bench.p99_share > 1


class Sleepy(FixedGain):
    """Sleeps 15 ms for each hop."""

    def step(self, spectrum, state):
        time.sleep(0.015)
        return super().step(spectrum, state)


def test_on_the_real_clock():
    bench = measure_paced(Sleepy(), RATE_HZ, seconds=0.3)
    assert 0 < bench.missed == bench.hops <= 30
    assert 15 <= bench.p50_ms <= bench.p95_ms <= bench.p99_ms <= bench.max_ms


def test_a_bad_rate_is_refused():
    with pytest.raises(AudioError, match="1000"):
        measure_paced(FixedGain(), 1000)
