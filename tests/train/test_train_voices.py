"""Speed and colour, which make new voices and new noises of those there are."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rtdenoise.train.augment import Strength, played_in
from rtdenoise.train.channel import BANDS, LOWEST_BAND_HZ, equalise
from rtdenoise.train.data import RATE_HZ, Corpus
from rtdenoise.train.draw import Draw, rms
from rtdenoise.train.mix import Mixer


def tone(hz: float, samples: int = RATE_HZ) -> Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(samples).double() / RATE_HZ)


@pytest.fixture
def voices(make_pool) -> Corpus:
    """Two seconds of a tone at 1 kHz as speech, and of one at 3 kHz as noise."""
    files = [np.int16(3000 * tone(hz, 2 * RATE_HZ).numpy()) for hz in (1000, 3000)]
    return Corpus(make_pool(files[0]), make_pool(files[1]), paired=False)


def peak_hz(samples: Tensor) -> float:
    power = torch.fft.rfft(samples * torch.hann_window(samples.shape[-1])).abs()
    return float(power.argmax()) * RATE_HZ / samples.shape[-1]


class TestPlayedIn:
    @pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25, 2.0])
    def test_a_tone_becomes_that_much_higher(self, factor: float) -> None:
        # 100 Hz has whole periods in what is taken at each of these factors.
        played = played_in(tone(100, round(factor * RATE_HZ)), RATE_HZ)
        torch.testing.assert_close(played, tone(100 * factor), atol=1e-6, rtol=0)

    def test_nothing_folds_down_from_above_the_band(self) -> None:
        assert float(played_in(tone(5000, 2 * RATE_HZ), RATE_HZ).abs().max()) < 1e-6


class TestEqualise:
    @pytest.mark.parametrize("band", range(BANDS))
    def test_each_band_moves_its_octave(self, band: int) -> None:
        octaves_db = torch.zeros(1, BANDS, dtype=torch.float64)
        octaves_db[0, band] = 6.0
        for away, gain_db in ((0.0, 6.0), (0.5, 3.0), (-0.5, 3.0), (1.0, 0.0), (-1.0, 0.0)):
            hz = LOWEST_BAND_HZ * 2 ** (band + away)
            if hz < LOWEST_BAND_HZ or hz >= RATE_HZ / 2:
                continue
            # Half a minute, so that the tone falls nearly on a bin.
            before = tone(hz, 30 * RATE_HZ)[None] * torch.hann_window(30 * RATE_HZ)
            after = equalise(before, octaves_db)
            moved_db = 20 * math.log10(float(rms(after) / rms(before)))
            assert moved_db == pytest.approx(gain_db, abs=0.02)

    def test_flat_is_the_clip_itself_and_each_clip_has_its_own(self) -> None:
        before = Draw(1, torch.device("cpu")).normal(2, 4000)
        after = equalise(before, torch.tensor([[0.0], [-20.0]]).expand(2, BANDS))
        torch.testing.assert_close(after, before * torch.tensor([[1.0], [0.1]]), atol=1e-5, rtol=0)


class TestMixing:
    def test_speech_and_noise_have_speeds_of_their_own(self, voices: Corpus, only) -> None:
        changed = {
            "speed": Strength(1.0, 0.8, 1.25),
            "noise_speed": Strength(1.0, 0.6, 1.7),
        }
        noisy, target = Mixer(voices, only(changed, clip_samples=8000), seed=1).batch(0, 40)
        speech = torch.tensor([peak_hz(t) for t in target])
        noise = torch.tensor([peak_hz(r) for r in noisy - target])
        for heard, hz, low, high in ((speech, 1000, 0.8, 1.25), (noise, 3000, 0.6, 1.7)):
            factor = heard / hz
            assert low - 0.01 < float(factor.min()) < low + 0.1
            assert high - 0.2 < float(factor.max()) < high + 0.01
        assert abs(float(torch.corrcoef(torch.stack((speech, noise)))[0, 1])) < 0.5

    def test_colour_changes_speech_and_target_alike(self, voices: Corpus, only) -> None:
        changed = {"colour": Strength(1.0, 10.0, 10.0)}
        config = only(changed, clip_samples=8000, speech_only=1.0)
        noisy, target = Mixer(voices, config, seed=2).batch(0, 40)
        assert torch.equal(noisy, target)
        level_db = 20 * torch.log10(rms(target) / (3000 / 32768 / math.sqrt(2)))
        assert -10.1 < float(level_db.min()) < -6
        assert 6 < float(level_db.max()) < 10.1

    def test_recorded_pairs_play_at_one_speed(self, voices: Corpus, only) -> None:
        pairs = Corpus(voices.speech, voices.speech, paired=True)
        changed = {"speed": Strength(1.0, 0.8, 1.25)}
        noisy, target = Mixer(pairs, only(changed, clip_samples=8000), seed=3).batch(0, 8)
        assert torch.equal(noisy, target)
        assert len({round(peak_hz(t)) for t in target}) > 4

    def test_one_that_is_off_leaves_all_others_as_they_were(self) -> None:
        plain, other = (Draw(5, torch.device("cpu")) for _ in range(2))
        assert other.chosen(100, 0.0).numel() == 0
        assert torch.equal(plain.uniform(4, 0, 1), other.uniform(4, 0, 1))
