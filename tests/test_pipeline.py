"""The live path in virtual time: its delay is what it says, and comes back after trouble."""

import numpy as np
import pytest
from simulation import Simulation
from toys import FixedGain

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Card, zero_state
from rtdenoise.pipeline import Pipeline
from rtdenoise.stft import StftConfig

HOP_MS = 10.0
WINDOW_MS = 20.0


def speech_like(samples, rate):
    """Bursts of a tone with pauses of digital silence between them."""
    t = samples / rate
    return (0.3 * np.sin(2 * np.pi * 200 * t) * (np.sin(2 * np.pi * 1.5 * t) > 0)).astype("f")


class Bursts(FixedGain):
    """Passes everything; has all its work at every so manieth hop, whose gains come after."""

    def __init__(self, hops):
        super().__init__(1.0)
        self.card = Card("bursts", "works in bursts", "MIT", StftConfig(), hops - 1, None, {})
        self._hops, self.on_burst = hops, lambda: None

    def start(self, streams):
        return zero_state({"seen": (streams,)})

    def step(self, spectrum, state):
        seen = state.arrays["seen"]
        for _ in range(spectrum.shape[1]):
            seen += 1
            if seen[0] % self._hops == 0:
                self.on_burst()
        return super().step(spectrum, state)


@pytest.mark.parametrize("block_ms", [2.5, 5.0, 6.25, 10.0, 20.0])
@pytest.mark.parametrize("cushion_ms", [0.0, 5.0, 20.0])
@pytest.mark.parametrize(("rate", "out_rate"), [(16_000, 16_000), (16_000, 48_000), (48_000, 8000)])
def test_the_delay_is_nominal_from_the_first_sample(block_ms, cushion_ms, rate, out_rate) -> None:
    simulation = Simulation(rate, out_rate, block_ms, cushion_ms=cushion_ms)
    times, blocks = simulation.run(3.0)
    delays_ms = simulation.delays_ms(times, blocks)[times > 0.2]
    nominal_ms = simulation.pipeline.nominal_ms
    # One sample, and what float32 and the end of the spectrum take from a signal that grows.
    np.testing.assert_allclose(delays_ms, nominal_ms, atol=1000 / min(rate, out_rate) + 0.2)
    assert simulation.pipeline.delay_ms == pytest.approx(nominal_ms, abs=0.2)
    assert simulation.pipeline.counts.underruns == 0


def test_whole_hops_and_halves_cost_no_delay_beyond_the_algorithm_and_the_cushion() -> None:
    for block_ms in (5.0, 10.0):
        assert Simulation(block_ms=block_ms, cushion_ms=0).pipeline.nominal_ms == WINDOW_MS
        assert Simulation(block_ms=block_ms, cushion_ms=7).pipeline.nominal_ms == WINDOW_MS + 7


@pytest.mark.parametrize(("hops", "burst_ms"), [(4, 15), (8, 60), (16, 100), (32, 300)])
@pytest.mark.parametrize("duplex", [True, False])
@pytest.mark.parametrize("block_ms", [5.0, 6.25, 10.0])
def test_a_reserve_of_its_time_carries_over_a_burst_of_work(
    hops, burst_ms, duplex, block_ms
) -> None:
    simulation = Simulation(
        48_000, block_ms=block_ms, duplex=duplex, model=Bursts(hops), burst_s=burst_ms / 1000
    )
    times, blocks = simulation.run(12.0)
    pipeline = simulation.pipeline
    assert (pipeline.counts.underruns, pipeline.counts.stalls) == (0, 0)
    # The reserve is part of the delay that is told, and nothing else comes to it.
    silent = Simulation(48_000, block_ms=block_ms, duplex=duplex, model=Bursts(hops)).pipeline
    assert pipeline.nominal_ms == pytest.approx(silent.nominal_ms + burst_ms, abs=0.1)
    delays_ms = simulation.delays_ms(times, blocks)[times > 2.0]
    assert np.abs(delays_ms - pipeline.nominal_ms).max() <= (0.5 if duplex else HOP_MS)
    assert pipeline.delay_ms == pytest.approx(delays_ms.mean(), abs=0.5)


def test_a_burst_without_a_reserve_makes_gaps() -> None:
    simulation = Simulation(model=Bursts(8), burst_s=0.06, told_ms=0.0)
    simulation.run(2.0)
    assert simulation.pipeline.counts.underruns > 3


def test_bursts_that_became_longer_get_more_reserve() -> None:
    simulation = Simulation(model=Bursts(16), burst_s=0.08, told_ms=50.0)
    held_ms = [simulation.pipeline.cushion_ms]
    for second in range(1, 10):
        simulation.run(second)
        if simulation.pipeline.ease():
            held_ms.append(simulation.pipeline.cushion_ms)
    before = simulation.pipeline.counts.underruns
    simulation.run(15)
    assert simulation.pipeline.counts.underruns == before
    assert held_ms[1] - held_ms[0] == pytest.approx(50 / 4, abs=0.1)


@pytest.mark.parametrize("burst_s", [0.02, 0.08])
@pytest.mark.parametrize("signal", ["time", "speech"])
def test_five_seconds_after_a_standstill_bursts_have_their_delay_again(burst_s, signal) -> None:
    given = {} if signal == "time" else {"signal": speech_like}
    simulation = Simulation(model=Bursts(16), burst_s=burst_s, stall_s=(4.0, 5.0), **given)
    simulation.run(10.0)
    pipeline = simulation.pipeline
    assert pipeline.counts.stalls == 1
    assert pipeline.counts.underruns <= 2  # one that stands still, one that catches up
    assert pipeline.delay_ms == pytest.approx(pipeline.nominal_ms, abs=HOP_MS / 2)


@pytest.mark.parametrize("phase_ms", [0.0, 0.1, 2.5, 4.9])
def test_two_callbacks_of_any_phase_have_no_gaps(phase_ms: float) -> None:
    simulation = Simulation(duplex=False, phase_s=phase_ms / 1000)
    times, blocks = simulation.run(5.0)
    delays_ms = simulation.delays_ms(times, blocks)[times > 0.5]
    assert np.ptp(delays_ms) < 0.1
    assert abs(delays_ms.mean() - simulation.pipeline.nominal_ms) <= HOP_MS
    assert simulation.pipeline.delay_ms == pytest.approx(delays_ms.mean(), abs=0.2)
    assert simulation.pipeline.counts.underruns == 0


@pytest.mark.parametrize("seed", range(3))
def test_jitter_within_the_cushion_makes_no_gaps(seed: int) -> None:
    simulation = Simulation(duplex=False, cushion_ms=10, jitter_s=0.004, seed=seed)
    simulation.run(20.0)
    assert simulation.pipeline.counts.underruns == 0


@pytest.mark.parametrize("drift_ppm", [-200.0, 200.0])
def test_an_hour_of_drift_moves_the_delay_by_less_than_a_hop(drift_ppm: float) -> None:
    hop_ms = 20.0  # as long as any model's: an hour has fewer of them
    model = FixedGain(config=StftConfig(2 * hop_ms, 2 * hop_ms, hop_ms))
    simulation = Simulation(
        8000, block_ms=hop_ms / 2, duplex=False, drift_ppm=drift_ppm, model=model
    )
    times, blocks = simulation.run(3600.0)
    delays_ms = simulation.delays_ms(times, blocks)[times > 1.0]
    pipeline = simulation.pipeline
    # What is moved in all is the drift: 0.72 s in an hour. float32 resolves 0.25 ms there.
    corrected_ms = pipeline.dropped_ms - pipeline.repeated_ms
    assert corrected_ms == pytest.approx(3600e3 * 1e-6 * drift_ppm, abs=2 * hop_ms)
    assert np.abs(delays_ms - pipeline.nominal_ms).max() <= hop_ms
    assert pipeline.counts.underruns == 0


@pytest.mark.parametrize("duplex", [True, False])
@pytest.mark.parametrize("stall", [0.03, 0.3, 2.0, 3.5])
@pytest.mark.parametrize("signal", ["time", "speech"])
def test_five_seconds_after_a_standstill_the_delay_is_nominal(duplex, stall, signal) -> None:
    given = {} if signal == "time" else {"signal": speech_like}
    simulation = Simulation(duplex=duplex, stall_s=(4.0, 4.0 + stall), **given)
    simulation.run(3.9)
    before_ms = simulation.pipeline.delay_ms
    simulation.run(4.0 + stall + 5.0)
    pipeline = simulation.pipeline
    assert pipeline.counts.underruns == 1
    assert pipeline.counts.stalls == (stall >= 0.25)
    assert pipeline.counts.overruns == 0
    assert pipeline.dropped_ms == pytest.approx(1000 * stall, abs=2.5 * HOP_MS)
    assert pipeline.delay_ms == pytest.approx(before_ms, abs=HOP_MS / 2)


def test_pauses_are_dropped_before_speech() -> None:
    simulation = Simulation(signal=speech_like, stall_s=(4.0, 4.5))
    _, blocks = simulation.run(12.0)
    _, undisturbed = Simulation(signal=speech_like).run(12.0)
    loud = [np.abs(b).max(axis=1) > 0.1 for b in (blocks, undisturbed)]
    # Half a second of sound is gone; half of all sound is speech, yet all of it is there.
    assert loud[0].sum() >= loud[1].sum() - 4


def test_a_standstill_beyond_the_ring_is_an_overrun_and_recovers() -> None:
    simulation = Simulation(stall_s=(4.0, 10.0))
    simulation.run(15.0)
    assert simulation.pipeline.counts.overruns > 0
    assert simulation.pipeline.delay_ms == pytest.approx(simulation.pipeline.nominal_ms, abs=5)


def test_splices_do_not_click() -> None:
    def tone(samples, rate):
        return (0.5 * np.sin(2 * np.pi * 150 * samples / rate)).astype("f")

    simulation = Simulation(duplex=False, signal=tone, drift_ppm=2000.0)
    times, blocks = simulation.run(20.0)
    played = blocks[times > 0.5].ravel()
    assert simulation.pipeline.dropped_ms > 20
    steepest = 0.5 * 2 * np.pi * 150 / 16_000
    # A fade between two phases of the tone adds at most their distance over its length.
    assert np.abs(np.diff(played)).max() < steepest + 1 / 40


def test_chronic_gaps_raise_the_cushion_and_one_standstill_does_not() -> None:
    once = Simulation(stall_s=(2.0, 3.0))
    once.run(8.0)
    assert not once.pipeline.ease()
    shaky = Simulation(duplex=False, jitter_s=0.03, jitter_power=100)  # late now and then
    before_ms, eased = shaky.pipeline.cushion_ms, False
    for second in range(1, 60):
        shaky.run(second)
        eased = shaky.pipeline.ease() or eased
    assert eased
    assert shaky.pipeline.cushion_ms > before_ms


def test_a_burst_at_the_start_is_forgotten() -> None:
    simulation = Simulation(duplex=False)
    silence = np.zeros((80, 1), np.float32)
    simulation.pipeline.play(silence)
    for _ in range(200):  # a second of old sound
        simulation.pipeline.capture(silence)
    while simulation.pipeline.work():
        pass
    simulation.run(5.0)
    nominal_ms = simulation.pipeline.nominal_ms
    assert simulation.pipeline.delay_ms == pytest.approx(nominal_ms, abs=HOP_MS)
    assert simulation.pipeline.dropped_ms < 3 * HOP_MS


def test_restart_is_like_new() -> None:
    simulation = Simulation()
    simulation.run(1.0)
    simulation.pipeline.restart()
    block = np.ones((80, 1), np.float32)
    simulation.pipeline.exchange(np.zeros((80, 1), np.float32), block)
    assert (block == 0).all()
    simulation.run(3.0)
    assert simulation.pipeline.delay_ms == pytest.approx(simulation.pipeline.nominal_ms, abs=0.1)


def test_stereo_stays_apart_and_mono_goes_to_all_loudspeakers() -> None:
    rng = np.random.default_rng(4)
    for channels, loudspeakers in ((1, 2), (2, 2), (1, 1)):
        denoiser = Denoiser(16_000, FixedGain(1.0), channels=channels)
        pipeline = Pipeline(denoiser, in_block=160, out_block=160, cushion_ms=0, duplex=True)
        heard = rng.normal(size=(100, 160, channels)).astype(np.float32)
        played = np.full((100, 160, loudspeakers), np.nan, np.float32)
        for k in range(100):
            pipeline.exchange(heard[k], played[k])
            while pipeline.work():
                pass
        # Window and hop: what went in comes out 20 ms later.
        wanted = heard.reshape(-1, channels)[:-320]
        given = played.reshape(-1, loudspeakers)[320:]
        np.testing.assert_allclose(given, np.broadcast_to(wanted, given.shape), atol=1e-5)
