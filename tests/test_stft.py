"""The front end, by its properties: reconstruction, block sizes, latency, scaling."""

import numpy as np
import pytest

from rtdenoise.stft import Analysis, StftConfig, Synthesis, check_rate

RATES = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
CONFIGS = [
    StftConfig(),
    StftConfig(32, 32, 8),
    StftConfig(32, 16, 8),
    StftConfig(32, 8, 4),
    StftConfig(15, 15, 5),
    StftConfig(20, 15, 5),
]


def through(config, rate, signal, blocks):
    """Push a signal through analysis and synthesis in blocks of the given lengths."""
    analysis = Analysis(config, rate, signal.shape[0])
    synthesis = Synthesis(config, rate, signal.shape[0])
    out, place = [], 0
    for block in blocks:
        out.append(synthesis.push(analysis.push(signal[:, place : place + block])))
        place += block
    return np.concatenate(out, axis=1)


def noise(seed, streams, samples):
    return np.random.default_rng(seed).uniform(-1, 1, (streams, samples)).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("rate", RATES)
def test_perfect_reconstruction(config, rate):
    signal = noise(rate, 2, rate // 4)
    out = through(config, rate, signal, [signal.shape[1]])
    held = config.synthesis_samples(rate)
    assert out.shape[1] > signal.shape[1] - held - config.hop_samples(rate)
    assert np.abs(out - signal[:, : out.shape[1]]).max() < 1e-6


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [16_000, 22_050])
@pytest.mark.parametrize("config", CONFIGS[:4], ids=str)
def test_any_blocks_give_the_same_samples(config, rate, seed):
    rng = np.random.default_rng(seed)
    signal = noise(seed, 3, 4_000)
    blocks = rng.integers(0, 3 * config.hop_samples(rate), 60)
    split = through(config, rate, signal, blocks)
    whole = through(config, rate, signal[:, : blocks.sum()], [blocks.sum()])
    np.testing.assert_array_equal(split, whole)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_latency_by_impulse_is_what_the_config_says(config, rate):
    hop, size = config.hop_samples(rate), config.analysis_samples(rate)
    worst = 0
    for offset in (0, 1, hop // 2, hop - 1):  # places that an impulse can have within a hop
        place = 2 * size + offset
        analysis, synthesis = Analysis(config, rate), Synthesis(config, rate)
        signal = np.zeros((1, place + 2 * size), np.float32)
        signal[0, place] = 1.0
        given = taken = 0
        while given <= place:
            given += synthesis.push(analysis.push(signal[:, taken : taken + 1])).shape[1]
            taken += 1
        worst = max(worst, taken - place)
    assert worst == config.latency_samples(rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_tone_has_the_same_bin_and_magnitude_at_every_rate(config, rate):
    bin_number = 20
    frequency = bin_number * rate / config.analysis_samples(rate)
    time = np.arange(rate // 4) / rate
    tone = 0.3 * np.sin(2 * np.pi * frequency * time).astype(np.float32)
    frame = np.abs(Analysis(config, rate).push(tone[None]))[0, -1]
    assert frame.argmax() == bin_number
    assert frame[bin_number] == pytest.approx(0.3, rel=0.01)
    # Rounding the hop moves the bins a little where the rate does not divide.
    assert frequency == pytest.approx(bin_number * 1000 / config.analysis_ms, rel=0.005)


def test_streams_are_independent():
    signal = noise(1, 4, 2_000)
    together = Analysis(StftConfig(), 16_000, 4).push(signal)
    for stream in range(4):
        alone = Analysis(StftConfig(), 16_000).push(signal[stream : stream + 1])
        np.testing.assert_array_equal(together[stream], alone[0])


def test_reset_forgets():
    config = StftConfig()
    analysis, synthesis = Analysis(config, 16_000), Synthesis(config, 16_000)
    signal = noise(2, 1, 3_210)
    first = synthesis.push(analysis.push(signal))
    analysis.reset()
    synthesis.reset()
    np.testing.assert_array_equal(synthesis.push(analysis.push(signal)), first)


def test_types_stay_single_precision():
    spectrum = Analysis(StftConfig(), 16_000).push(noise(3, 1, 800))
    assert spectrum.dtype == np.complex64
    assert Synthesis(StftConfig(), 16_000).push(spectrum).dtype == np.float32


@pytest.mark.parametrize(
    "sizes", [(20, 20, 0), (20, 20, 15), (20, 10, 10), (20, 30, 10), (25, 20, 10)]
)
def test_lengths_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match="must be"):
        StftConfig(*sizes)


@pytest.mark.parametrize("rate", [7_999, 96_001, 0, 16_000.5])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match="sample rate"):
        check_rate(rate)
