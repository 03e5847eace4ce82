"""The harder conditions: each does what its name says, and nothing else."""

import numpy as np
import pytest
from scipy.signal import welch

from rtdenoise.pairs import PairAudio
from rtdenoise.stress import CONDITIONS, EARLY_S, level_reduction_db, rms, room_response

RATES_HZ = (16_000, 48_000)


def pair(seed=1, rate=16_000, seconds=2.0):
    """White bursts in white noise."""
    rng = np.random.default_rng(seed)
    size = round(seconds * rate)
    bursts = np.sin(2 * np.pi * 3 * np.arange(size) / rate) > 0
    clean = (0.1 * rng.normal(size=size) * bursts).astype(np.float32)
    noise = (0.03 * rng.normal(size=size)).astype(np.float32)
    return PairAudio(clean + noise, clean, rate)


def gain_db(after, before):
    return 20 * np.log10(rms(after) / rms(before))


def snr_db(audio):
    return gain_db(audio.clean, audio.noisy - audio.clean)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("name", CONDITIONS)
def test_pairs_stay_pairs_and_are_always_the_same(name, rate):
    one, other = pair(1, rate), pair(2)
    before = one.noisy.copy(), one.clean.copy()
    first, second = (CONDITIONS[name].apply(one, other) for _ in range(2))
    assert first.noisy.dtype == first.clean.dtype == np.float32
    assert first.noisy.shape == first.clean.shape == (2 * first.rate,)
    assert np.isfinite(first.noisy).all()
    np.testing.assert_array_equal(first.noisy, second.noisy)
    np.testing.assert_array_equal(first.clean, second.clean)
    np.testing.assert_array_equal(one.noisy, before[0])
    np.testing.assert_array_equal(one.clean, before[1])


@pytest.mark.parametrize("name", CONDITIONS)
def test_silence_does_no_harm(name):
    silence = np.zeros(1600, np.float32)
    nothing = PairAudio(silence, silence, 16_000)
    made = CONDITIONS[name].apply(nothing, nothing)
    assert not made.noisy.any()
    assert not made.clean.any()


@pytest.mark.parametrize(("name", "level_db"), [("quiet", -15), ("loud", 15)])
def test_levels_change_together(name, level_db):
    made = CONDITIONS[name].apply(pair(), pair(2))
    assert gain_db(made.noisy, pair().noisy) == pytest.approx(level_db, abs=1e-3)
    assert gain_db(made.clean, pair().clean) == pytest.approx(level_db, abs=1e-3)


def test_peaks_are_cut_at_full_scale():
    one = pair()
    made = CONDITIONS["clipped"].apply(one, pair(2))
    assert np.abs(made.noisy).max() == 1.0
    gain = made.clean @ one.clean / (one.clean @ one.clean)
    assert 20 * np.log10(gain * np.abs(one.noisy).max()) == pytest.approx(10, abs=1e-3)
    whole = np.abs(made.noisy) < 1
    np.testing.assert_allclose(made.noisy[whole], gain * one.noisy[whole], rtol=1e-4)
    assert 0.01 < 1 - whole.mean() < 0.3


@pytest.mark.parametrize("rate", RATES_HZ)
def test_low_pass_leaves_nothing_above_4_khz(rate):
    one = pair(rate=rate)
    made = CONDITIONS["low-passed"].apply(one, pair(2))
    for after, before in ((made.noisy, one.noisy), (made.clean, one.clean)):
        frequency, power = welch(after, rate, nperseg=2048)
        power_db = 10 * np.log10(power / welch(before, rate, nperseg=2048)[1])
        # A bin's window lets in a little of its neighbours.
        assert power_db[frequency > 4050].max() < -60
        assert np.abs(power_db[(frequency > 50) & (frequency < 3750)]).max() < 0.1


def test_low_pass_does_not_delay():
    impulse = np.zeros(3200, np.float32)
    impulse[1600] = 1
    made = CONDITIONS["low-passed"].apply(PairAudio(impulse, impulse, 16_000), pair(2))
    assert np.argmax(made.noisy) == 1600


@pytest.mark.parametrize("rate", [8_000, *RATES_HZ])
@pytest.mark.parametrize("rt60_s", [0.3, 0.8])
def test_reverberation_time_by_backward_integration(rt60_s, rate):
    response = room_response(rt60_s, rate).astype(np.float64)
    left = np.cumsum(response[::-1] ** 2)[::-1]
    left_db = 10 * np.log10(left / left[0])
    fit = (left_db < -5) & (left_db > -35)
    slope_db_per_s = np.polyfit(np.flatnonzero(fit) / rate, left_db[fit], 1)[0]
    assert -60 / slope_db_per_s == pytest.approx(rt60_s, rel=0.2)
    assert np.argmax(np.abs(response)) == 0
    assert left[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["reverb-0.3s", "reverb-0.8s"])
def test_room_leaves_noise_level_and_early_sound(name):
    one = pair()
    made = CONDITIONS[name].apply(one, pair(2))
    dry = PairAudio(one.clean, one.clean, one.rate)
    wet = CONDITIONS[name].apply(dry, pair(2))
    np.testing.assert_allclose(made.noisy - wet.noisy, one.noisy - one.clean, atol=1e-6)
    assert gain_db(wet.noisy, one.clean) == pytest.approx(0, abs=1)
    # Of an impulse the reference has what comes within 50 ms, and all of that.
    impulse = np.zeros(16_000, np.float32)
    impulse[0] = 1
    heard = CONDITIONS[name].apply(PairAudio(impulse, impulse, 16_000), pair(2))
    early = round(EARLY_S * 16_000)
    np.testing.assert_allclose(heard.clean[:early], heard.noisy[:early], atol=1e-7)
    assert np.abs(heard.clean[early:]).max() < 1e-7
    assert np.abs(heard.noisy[early:]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "rate"), [("8kHz", 8_000), ("44.1kHz", 44_100), ("48kHz", 48_000)]
)
def test_rates_change_and_tones_survive(name, rate):
    def tone(at):
        return np.sin(2 * np.pi * 440 * np.arange(at) / at).astype(np.float32)

    made = CONDITIONS[name].apply(PairAudio(tone(16_000), tone(16_000), 16_000), pair(2))
    assert made.rate == rate
    inside = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(made.noisy[inside], tone(rate)[inside], atol=2e-3)


@pytest.mark.parametrize("other_rate", RATES_HZ)
@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.0])
def test_second_talker_is_5_db_below(other_rate, seconds):
    one = pair()
    made = CONDITIONS["second-talker"].apply(one, pair(2, other_rate, seconds))
    np.testing.assert_array_equal(made.clean, one.clean)
    assert gain_db(one.clean, made.noisy - one.noisy) == pytest.approx(5, abs=0.01)


def test_sudden_noise_is_20_db_lower_in_the_first_half_only():
    one = pair()
    made = CONDITIONS["sudden-noise"].apply(one, pair(2))
    before, after = one.noisy - one.clean, made.noisy - made.clean
    half = before.size // 2
    np.testing.assert_array_equal(made.clean, one.clean)
    np.testing.assert_allclose(after[:half], 0.1 * before[:half], atol=1e-7)
    np.testing.assert_allclose(after[half:], before[half:], atol=1e-7)


def test_each_part_alone():
    one = pair()
    clean = CONDITIONS["clean"].apply(one, pair(2))
    np.testing.assert_array_equal(clean.noisy, one.clean)
    np.testing.assert_array_equal(clean.clean, one.clean)
    noise = CONDITIONS["noise"].apply(one, pair(2))
    np.testing.assert_array_equal(noise.noisy, one.noisy - one.clean)
    assert not noise.clean.any()
    assert [name for name, condition in CONDITIONS.items() if condition.silent] == ["noise"]


def test_low_pass_at_a_low_rate_changes_nothing():
    one = pair(rate=8_000)
    assert CONDITIONS["low-passed"].apply(one, pair(2)) is one


def test_level_reduction():
    noise = pair().noisy
    assert level_reduction_db(noise, 0.1 * noise) == pytest.approx(20, abs=1e-3)
    assert level_reduction_db(noise, 2 * noise) == pytest.approx(-6.02, abs=0.01)
    assert level_reduction_db(noise, 0 * noise) == pytest.approx(120, abs=0.01)
    assert level_reduction_db(0 * noise, 0 * noise) == 0


def test_snr_is_kept_by_levels_and_rates():
    for name in ("quiet", "loud", "48kHz"):
        made = CONDITIONS[name].apply(pair(), pair(2))
        assert snr_db(made) == pytest.approx(snr_db(pair()), abs=0.1)
