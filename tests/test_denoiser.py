"""Denoiser and denoise(), with models whose output can be foretold and with real ones."""

import math
from dataclasses import replace

import numpy as np
import pytest
from toys import FixedGain, Late, LowPass

from rtdenoise import AudioError, Denoiser, denoise, list_models
from rtdenoise.frontend import finite
from rtdenoise.gains import limited
from rtdenoise.stft import StftConfig

RATES = [8_000, 16_000, 22_050, 44_100, 48_000, 96_000]


def noise(seed, *shape):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def in_blocks(denoiser, signal, blocks):
    parts, place = [], 0
    for block in blocks:
        parts.append(denoiser.process(signal[..., place : place + block]))
        place += block
    return np.concatenate([*parts, denoiser.flush()], axis=-1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("config", [StftConfig(), StftConfig(32, 8, 4)], ids=str)
def test_gain_1_gives_the_input(rate, config):
    signal = noise(rate, 2, rate // 5 + 7)
    np.testing.assert_allclose(denoise(signal, rate, FixedGain(1.0, config)), signal, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 2, 159, 160, 161, 320, 12_345])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_length_and_shape_are_kept(samples, channels):
    signal = noise(samples, channels, samples)
    assert denoise(signal, 16_000, FixedGain()).shape == signal.shape
    assert denoise(signal[0], 16_000, FixedGain()).shape == (samples,)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", [*list_models()])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_any_blocks_give_the_same_signal(model, rate, seed):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3_000, 12)
    signal = noise(seed, 2, blocks.sum())
    whole = denoise(signal, rate, model)
    split = in_blocks(Denoiser(rate, model, channels=2), signal, blocks)
    assert split.shape == whole.shape
    np.testing.assert_allclose(split, whole, atol=2e-6)


@pytest.mark.parametrize("lookahead", [1, 3, 100])
def test_lookahead_gives_each_frame_its_own_gain(lookahead):
    signal = noise(lookahead, 1, 16_000)
    blocks = [100, 1_000, 5_000, 9_900]
    late = in_blocks(Denoiser(16_000, Late(lookahead)), signal, blocks)
    np.testing.assert_allclose(late, denoise(signal, 16_000, Late(0)), atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lookahead", [0, 2])
def test_latency_by_impulse_is_what_is_said(rate, lookahead):
    denoiser = Denoiser(rate, Late(lookahead))
    hop = denoiser.model.config.hop_samples(rate)
    place, given, taken = 5 * hop, 0, 0
    while given <= place:
        given += denoiser.process(np.zeros(1, np.float32)).size
        taken += 1
    assert taken - place == denoiser.latency_samples
    assert denoiser.latency_ms == pytest.approx(20 + 10 * lookahead, rel=0.01)


def test_reset_and_flush_forget():
    signal = noise(5, 8_000)
    denoiser = Denoiser(16_000, "wiener")
    first = in_blocks(denoiser, signal, [8_000])
    np.testing.assert_array_equal(in_blocks(denoiser, signal, [8_000]), first)
    denoiser.process(signal)
    denoiser.reset()
    np.testing.assert_array_equal(in_blocks(denoiser, signal, [8_000]), first)


@pytest.mark.parametrize("gain", [0.0, 0.01, 0.01j])
def test_limit_bounds_the_attenuation(gain):
    signal = noise(6, 16_000)
    limited = denoise(signal, 16_000, FixedGain(gain), limit_db=12.0)
    if gain == 0.01j:  # a quarter turn of phase: compare levels
        assert np.std(limited[800:-800]) == pytest.approx(np.std(signal) * 10**-0.6, rel=0.05)
    else:
        np.testing.assert_allclose(limited, signal * 10**-0.6, atol=1e-5)


def test_limit_keeps_complex_gains_whole_and_turns_small_ones_to_the_input():
    rng = np.random.default_rng(12)
    size = 10 ** rng.uniform(-6, 0.3, (1, 200, 161))
    gain = (size * np.exp(1j * rng.uniform(-np.pi, np.pi, size.shape))).astype(np.complex64)
    gain[0, 0, :3] = (0, -0.05, -0.0499)  # nothing, and what the turn nearly cancels
    size, least = np.abs(gain), np.float32(0.1)
    got = limited(gain, least)
    assert got.dtype == np.complex64
    np.testing.assert_array_equal(got[size >= least], gain[size >= least])
    np.testing.assert_allclose(np.abs(got[size < least]), 0.1, rtol=1e-4)
    np.testing.assert_allclose(got[size < 1e-5], 0.1, rtol=1e-3)
    # No step at the limit.
    edge = np.exp(1j * np.linspace(-3, 3, 50)).astype(np.complex64)[None, None]
    np.testing.assert_allclose(limited(0.0999 * edge, least), 0.1 * edge, atol=3e-4)


def test_limit_is_the_cards_unless_told_otherwise():
    signal = noise(11, 16_000)
    model = FixedGain(0.0)
    model.card = replace(model.card, limit_db=20.0)
    np.testing.assert_allclose(denoise(signal, 16_000, model), signal * 0.1, atol=1e-6)
    np.testing.assert_allclose(
        denoise(signal, 16_000, model, limit_db=40), signal * 0.01, atol=1e-6
    )
    assert not denoise(signal, 16_000, model, limit_db=math.inf).any()
    assert Denoiser(16_000, FixedGain()).limit_db == math.inf


def test_mix_blends_the_aligned_input():
    signal = noise(7, 16_000)
    np.testing.assert_allclose(
        denoise(signal, 16_000, FixedGain(0.0), mix=0.25), signal * 0.75, atol=1e-6
    )
    np.testing.assert_allclose(denoise(signal, 16_000, "wiener", mix=0.0), signal, atol=1e-6)


def test_mix_may_change_on_the_way():
    denoiser = Denoiser(16_000, FixedGain(0.0), mix=0.0)
    signal = np.full(16_000, 0.5, np.float32)
    first = denoiser.process(signal[:8_000])
    denoiser.mix = 1.0
    out = np.concatenate((first, denoiser.process(signal[8_000:]), denoiser.flush()))
    assert out[7_000] == pytest.approx(0.5, abs=1e-5)
    assert out[9_000] == pytest.approx(0.0, abs=1e-5)
    assert np.abs(np.diff(out)).max() < 0.01  # no click


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize(("cutoff_bin", "passes"), [(161, True), (120, False)])
def test_band_above_the_model_follows_its_highest_gains(rate, cutoff_bin, passes):
    time = np.arange(rate // 2) / rate
    tone = (0.5 * np.sin(2 * np.pi * 12_000 * time)).astype(np.float32)
    out = denoise(tone, rate, LowPass(cutoff_bin))[rate // 10 : -rate // 10]
    assert np.std(out) == pytest.approx(np.std(tone) if passes else 0.0, abs=1e-3)


def test_not_finite_samples_count_as_silence():
    signal = noise(8, 8_000)
    damaged, mended = signal.copy(), signal.copy()
    for place, value in ((100, np.nan), (3_000, np.inf), (5_000, -np.inf)):
        damaged[place], mended[place] = value, 0.0
    np.testing.assert_array_equal(
        denoise(damaged, 16_000, "wiener"), denoise(mended, 16_000, "wiener")
    )


def test_loud_samples_stay_and_only_damage_is_changed():
    loud = (1e5 * np.random.default_rng(3).normal(size=(2, 4_000))).astype(np.float32)
    np.testing.assert_array_equal(finite(loud), loud)
    for damage, want in ((np.nan, 0), (np.inf, 0), (3e6, 1e6), (-1e30, -1e6)):
        damaged, mended = loud * 1e-6, loud * 1e-6
        damaged[1, 7], mended[1, 7] = damage, want
        np.testing.assert_array_equal(finite(damaged), mended)
    assert finite(loud[:, :0]).shape == (2, 0)


@pytest.mark.parametrize("model", list_models())
@pytest.mark.parametrize("level", [0.0, 1e-30, 1e5, 3e38])
def test_extreme_levels_stay_finite(model, level):
    signal = noise(9, 8_000) * np.float32(level)
    clean = denoise(signal, 16_000, model)
    assert np.isfinite(clean).all()
    assert np.abs(clean).max() <= max(np.abs(signal).max() * 1.01, 1e-30)


def test_channels_do_not_mix():
    signal = noise(10, 3, 8_000)
    together = denoise(signal, 16_000, "wiener")
    for channel in range(3):
        alone = denoise(signal[channel], 16_000, "wiener")
        np.testing.assert_allclose(together[channel], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(10, np.int16), "floating point"),
        (np.zeros((480, 2), np.float32), "transpose"),
        (np.zeros((1, 1, 5), np.float32), "shape"),
        (np.float32(1.0), "shape"),
    ],
)
def test_wrong_arrays_are_named(audio, message):
    with pytest.raises(AudioError, match=message):
        denoise(audio, 16_000, FixedGain())


def test_blocks_with_other_channels_are_named():
    with pytest.raises(AudioError, match="2 channel"):
        Denoiser(16_000, FixedGain(), channels=2).process(np.zeros(160, np.float32))


@pytest.mark.parametrize(
    "options",
    [{"rate": 4_000}, {"channels": 0}, {"limit_db": -1.0}, {"mix": 1.5}, {"mix": float("nan")}],
)
def test_wrong_options_are_named(options):
    with pytest.raises(AudioError):
        Denoiser(**{"rate": 16_000, "model": FixedGain(), **options})
