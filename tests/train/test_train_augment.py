from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rtdenoise.train.augment import Augmentations, Strength, move_formants, time_shift
from rtdenoise.train.channel import (
    band_limit,
    clip_peaks,
    high_pass,
    low_pass,
    mu_law,
    transform_codec,
)
from rtdenoise.train.data import RATE_HZ, Corpus, DataError
from rtdenoise.train.draw import Draw, at_snr, rms
from rtdenoise.train.mix import MixConfig, Mixer
from rtdenoise.train.noises import (
    artificial_noise,
    begun_or_ended,
    clicks,
    hiss,
    hum,
    swell,
    tones,
    wind,
)
from rtdenoise.train.rooms import EARLY_S, reverberate

CPU = torch.device("cpu")
STRENGTHS = {
    "speed": Strength(1.0, 0.8, 0.8),
    "formants": Strength(1.0, 0.85, 0.85),
    "noise_speed": Strength(1.0, 0.8, 0.8),
    "noise_reverb": Strength(1.0, 0.3, 0.5),
    "noise_swell": Strength(1.0, 6.0, 6.0),
    "noise_onset": Strength(1.0, 0.1, 0.1),
    "tones": Strength(1.0, 0.0, 0.0),
    "colour": Strength(1.0, 10.0, 10.0),
    "artificial_noise": Strength(1.0, 12.0, 12.0),
    "reverb": Strength(1.0, 0.3, 0.5),
    "clipping": Strength(1.0, 6.0, 6.0),
    "low_pass": Strength(1.0, 2000.0, 2000.0),
    "band_limit": Strength(1.0, 4000.0, 4000.0),
    "high_pass": Strength(1.0, 300.0, 300.0),
    "phone": Strength(1.0, 3400.0, 3400.0),
    "codec": Strength(1.0, 10.0, 10.0),
    "time_shift": Strength(1.0, 0.05, 0.05),
    "volume": Strength(1.0, -30.0, -30.0),
}


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def db(ratio: Tensor) -> Tensor:
    return 20 * torch.log10(ratio)


class TestSwitches:
    """Each augmentation through the mixer, with all the others off."""

    def plain(self, corpus: Corpus, only: Callable[..., MixConfig], clips: int):
        return Mixer(corpus, only(), seed=1).batch(0, clips)

    def with_one(self, name: str, probability: float, corpus, only, clips: int):
        strength = STRENGTHS[name]
        changed = {name: Strength(probability, strength.low, strength.high)}
        return Mixer(corpus, only(changed), seed=1).batch(0, clips)

    @pytest.mark.parametrize("name", Augmentations.names())
    def test_probability(self, corpus: Corpus, only, name: str) -> None:
        clips = 60
        noisy, target = self.plain(corpus, only, clips)
        for probability, low, high in ((0.0, 0, 0), (0.5, 15, 55), (1.0, clips, clips)):
            changed, goal = self.with_one(name, probability, corpus, only, clips)
            acted = int((changed != noisy).any(1).sum())
            assert low <= acted <= high
            assert changed.isfinite().all()
            assert goal.isfinite().all()
        if name.startswith("noise_") or name in ("artificial_noise", "tones", "clipping", "codec"):
            assert torch.equal(goal, target)
        else:
            assert (goal != target).any(1).all()

    def test_artificial_noise_has_the_drawn_snr(self, corpus: Corpus, only) -> None:
        config = only({"artificial_noise": Strength(1.0, 12.0, 12.0)}, speech_only=1.0)
        noisy, target = Mixer(corpus, config, seed=2).batch(0, 8)
        snr = db(rms(target) / rms(noisy - target))
        torch.testing.assert_close(snr, torch.full((8, 1), 12.0), atol=0.01, rtol=0)

    def test_strength_is_drawn_between_the_bounds(self, corpus: Corpus, only) -> None:
        config = only({"artificial_noise": Strength(1.0, 0.0, 30.0)}, speech_only=1.0)
        noisy, target = Mixer(corpus, config, seed=3).batch(0, 100)
        snr = db(rms(target) / rms(noisy - target))
        assert -0.01 < float(snr.min()) < 3 < 27 < float(snr.max()) < 30.01

    def test_reverb_targets_speech_without_late_tail(self, corpus: Corpus, only) -> None:
        config = only({"reverb": STRENGTHS["reverb"]}, speech_only=1.0)
        mixer = Mixer(corpus, config, seed=4)
        noisy, target = mixer.batch(0, 8)
        late = noisy - target
        early = round(EARLY_S * RATE_HZ)
        # What comes within 50 ms of a sound is in the target; then the tail sets in.
        assert float(late[:, :early].abs().max()) < 1e-4
        assert (rms(late[:, early:]) > 1e-4).all()

    def test_noise_reverb_fills_the_pauses_of_noise(self, corpus: Corpus, only, make_pool) -> None:
        knocks = np.zeros(3200, np.int16)
        knocks[::800] = 16000
        knocking = Corpus(corpus.speech, make_pool(knocks), paired=False)
        silent = []
        for changed in ({}, {"noise_reverb": STRENGTHS["noise_reverb"]}):
            noisy, target = Mixer(knocking, only(changed), seed=5).batch(0, 8)
            heard = (noisy - target).abs()
            silent.append((heard < 1e-4 * heard.amax(1, keepdim=True)).float().mean(1))
        dry, wet = silent
        assert (dry > 0.99).all()
        assert (wet < 0.5).all()

    def test_clipping_acts_on_the_mixture_only(self, corpus: Corpus, only) -> None:
        noisy, target = self.plain(corpus, only, 8)
        clipped, goal = self.with_one("clipping", 1.0, corpus, only, 8)
        torch.testing.assert_close(clipped, clip_peaks(noisy, torch.full((8,), 6.0)))
        assert torch.equal(goal, target)

    def test_low_pass_muffles_both(self, corpus: Corpus, only) -> None:
        plain = self.plain(corpus, only, 8)
        muffled = self.with_one("low_pass", 1.0, corpus, only, 8)
        for before, after in zip(plain, muffled, strict=True):
            torch.testing.assert_close(after, low_pass(before, torch.full((8,), 2000.0)))

    def test_band_limit_leaves_nothing_above_in_both(self, corpus: Corpus, only) -> None:
        plain = self.plain(corpus, only, 8)
        limited = self.with_one("band_limit", 1.0, corpus, only, 8)
        for before, after in zip(plain, limited, strict=True):
            torch.testing.assert_close(after, band_limit(before, torch.full((8,), 4000.0)))

    def test_time_shift_moves_the_speech_against_the_noise(self, corpus: Corpus, only) -> None:
        noisy, target = self.plain(corpus, only, 8)
        _, moved = self.with_one("time_shift", 1.0, corpus, only, 8)
        assert torch.equal(moved[:, 800:], target[:, :-800])
        assert not moved[:, :800].any()
        alone = only({"time_shift": STRENGTHS["time_shift"]}, noise_only=1.0)
        heard, _ = Mixer(corpus, alone, seed=1).batch(0, 1)
        residual = (noisy - target)[:1]
        torch.testing.assert_close(heard / rms(heard), residual / rms(residual))

    def test_volume_scales_both_to_the_level(self, corpus: Corpus, only) -> None:
        noisy, target = self.plain(corpus, only, 8)
        louder, goal = self.with_one("volume", 1.0, corpus, only, 8)
        torch.testing.assert_close(db(rms(louder)), torch.full((8, 1), -30.0), atol=0.01, rtol=0)
        scale = rms(louder) / rms(noisy)
        torch.testing.assert_close(louder, noisy * scale)
        torch.testing.assert_close(goal, target * scale)


class TestArtificialNoise:
    def test_unit_rms_and_variety(self) -> None:
        made = artificial_noise(40, 8000, Draw(5, CPU))
        torch.testing.assert_close(rms(made), torch.ones(40, 1), atol=1e-4, rtol=0)
        power = torch.fft.rfft(made).abs().square()
        power[:, 0] = 0
        frequency = torch.fft.rfftfreq(8000, 1 / RATE_HZ)
        centroid_hz = (power * frequency).sum(1) / power.sum(1)
        # From brown, where all is at the bottom, to whiter than white.
        assert float(centroid_hz.min()) < 500
        assert float(centroid_hz.max()) > 3000
        # Some have a constant offset, some have none to speak of.
        assert float(made.mean(1).abs().max()) > 0.5
        assert float(made.mean(1).abs().min()) < 0.01

    def test_at_snr_sets_noise_against_a_usual_level_in_silence(self) -> None:
        scaled = at_snr(noise(7, 2, 4000), torch.zeros(2, 4000), torch.tensor([0.0, 20.0]))
        want = torch.tensor([[-26.0], [-46.0]])
        torch.testing.assert_close(db(rms(scaled)), want, atol=0.01, rtol=0)


class TestNoises:
    def power(self, samples: Tensor) -> Tensor:
        return torch.fft.rfft(samples).abs().square()

    def test_hum_is_mains_and_its_harmonics(self) -> None:
        lines = self.power(hum(40, RATE_HZ, Draw(6, CPU)))[:, 40:490]
        # One second: bin k is k Hz.
        peak_hz = lines.argmax(1) + 40
        off_50, off_60 = ((peak_hz + m // 2) % m - m // 2 for m in (50, 60))
        assert (torch.minimum(off_50.abs(), off_60.abs()) <= 2).all()
        assert int((off_50.abs() <= 2).sum()) > 8
        assert int((off_60.abs() <= 2).sum()) > 8

    def test_hiss_is_even_in_time(self) -> None:
        made = hiss(10, 4 * RATE_HZ, Draw(15, CPU))
        above = made - made.unfold(1, 801, 1).mean(-1).mean()
        halves = above.reshape(10, 4, -1).square().mean(-1)
        assert (halves.amax(1) / halves.amin(1) < 4).all()

    def test_clicks_are_rare_and_short(self) -> None:
        made = clicks(40, 4 * RATE_HZ, Draw(16, CPU))
        assert made.isfinite().all()
        silent = (made.abs() < 1e-4).float().mean(1)
        assert float(silent.median()) > 0.8
        heard = made.any(1)
        assert int(heard.sum()) > 30
        crest = made.abs().amax(1) / rms(made).squeeze(1).clamp(min=1e-9)
        assert (crest[heard] > 8).all()

    def test_wind_is_low_and_gusty(self) -> None:
        made = wind(20, 4 * RATE_HZ, Draw(17, CPU))
        power = self.power(made)
        frequency = torch.fft.rfftfreq(4 * RATE_HZ, 1 / RATE_HZ)
        low = power[:, frequency < 300].sum(1) / power.sum(1)
        assert (low > 0.8).all()
        pieces = made.reshape(20, 20, -1).square().mean(-1)
        assert float((pieces.amax(1) / pieces.amin(1)).median()) > 10

    def test_tones_are_thin_lines(self) -> None:
        made = tones(40, 4 * RATE_HZ, Draw(19, CPU))
        assert (rms(made) > 1e-3).all()
        frames = made.unfold(1, 2048, 2048) * torch.hann_window(2048)
        power = self.power(frames).sum(1)
        # Twelve partials of three bins each, of a thousand; more where they glide.
        loudest = power.sort(1, descending=True).values[:, :100].sum(1) / power.sum(1)
        assert float(loudest.median()) > 0.95
        peak_hz = power.argmax(1) * RATE_HZ / 2048
        assert float(peak_hz.min()) < 300
        assert float(peak_hz.max()) > 1500

    def test_half_of_the_tones_are_interrupted(self) -> None:
        made = tones(60, 4 * RATE_HZ, Draw(20, CPU))
        level = made.unfold(1, 800, 80).square().mean(-1).sqrt()
        silent = (level < 1e-3 * level.amax(1, keepdim=True)).any(1)
        assert 15 < int(silent.sum()) < 45

    @pytest.mark.parametrize("depth_db", [0.0, 3.0, 12.0])
    def test_swell_stays_within_its_depth_and_is_slow(self, depth_db: float) -> None:
        flat = torch.ones(20, 4 * RATE_HZ)
        level_db = db(swell(flat, torch.full((20,), depth_db), Draw(18, CPU)))
        assert float(level_db.abs().max()) <= depth_db + 1e-3
        assert (level_db.amax(1) - level_db.amin(1) >= depth_db).all()
        # From one end to the other in the 0.4 s between two points, at most.
        steepest = 2 * depth_db / (0.35 * RATE_HZ)
        assert float(level_db.diff().abs().max()) <= steepest + 1e-3

    def test_noise_begins_or_ends_once_and_in_the_time_given(self) -> None:
        flat = torch.ones(60, 2 * RATE_HZ)
        level = begun_or_ended(flat, torch.linspace(0.01, 0.3, 60), Draw(21, CPU))
        assert float(level.amin()) == 0
        assert float(level.amax()) == 1
        assert (level[:, 0] + level[:, -1] == 1).all()  # from silence to all of it, or back
        assert 15 < int(level[:, 0].sum()) < 45
        steps = level.diff() * (1 - 2 * level[:, :1])
        assert float(steps.amin()) >= 0
        fading_s = (steps > 0).sum(1) / RATE_HZ
        torch.testing.assert_close(fading_s, torch.linspace(0.01, 0.3, 60), atol=1e-3, rtol=0)


class TestReverb:
    def test_is_a_convolution_and_its_first_50_ms(self) -> None:
        speech, responses = noise(8, 3, 4000), noise(9, 3, 2500)
        heard, target = reverberate(speech, responses)
        for k in range(3):
            dry, wet = speech[k].double().numpy(), responses[k].double().numpy()
            np.testing.assert_allclose(heard[k], np.convolve(dry, wet)[:4000], atol=2e-3)
            np.testing.assert_allclose(target[k], np.convolve(dry, wet[:800])[:4000], atol=2e-3)

    def test_one_click_is_heard_as_direct_sound_and_tail(self) -> None:
        responses = noise(10, 1, 2000)
        responses[:, 0] = 1.0
        click = torch.zeros(1, 4000)
        click[:, 500] = 1.0
        heard, target = reverberate(click, responses)
        torch.testing.assert_close(heard[0, 500:2500], responses[0], atol=1e-5, rtol=0)
        assert float(heard[0, 500]) == pytest.approx(1.0, abs=1e-5)
        torch.testing.assert_close(target[0, 500:1300], responses[0, :800], atol=1e-5, rtol=0)
        assert float(target[0, 1300:].abs().max()) < 1e-5


class TestClipping:
    @pytest.mark.parametrize("excess_db", [1.0, 6.0, 15.0])
    def test_peaks_are_cut_and_the_rest_untouched(self, excess_db: float) -> None:
        before = noise(11, 4, 1000) * torch.tensor([[1.0], [0.1], [0.01], [3.0]])
        after = clip_peaks(before, torch.full((4,), excess_db))
        limit = before.abs().amax(1, keepdim=True) * 10 ** (-excess_db / 20)
        beyond = before.abs() > limit
        assert beyond.any(1).all()
        assert torch.equal(after[~beyond], before[~beyond])
        torch.testing.assert_close(after[beyond], (before.sign() * limit)[beyond])

    def test_each_clip_has_its_own_strength(self) -> None:
        before = noise(12, 1, 1000).repeat(3, 1)
        excess = torch.tensor([0.0, 3.0, 12.0])
        after = clip_peaks(before, excess)
        torch.testing.assert_close(db(before.abs().amax(1) / after.abs().amax(1)), excess)

    def test_silence_stays(self) -> None:
        assert not clip_peaks(torch.zeros(1, 100), torch.tensor([6.0])).any()


class TestLowPass:
    def gain_db(self, tone_hz: float, cutoff_hz: float) -> float:
        # One second holds whole periods of every whole frequency.
        tone = torch.sin(2 * torch.pi * tone_hz * torch.arange(RATE_HZ).double() / RATE_HZ)
        after = low_pass(tone[None], torch.tensor([cutoff_hz]))
        return float(db(rms(after) / rms(tone)))

    @pytest.mark.parametrize("cutoff_hz", [1500.0, 2500.0, 3500.0])
    def test_tones(self, cutoff_hz: float) -> None:
        assert self.gain_db(cutoff_hz / 2, cutoff_hz) == pytest.approx(0, abs=0.1)
        assert self.gain_db(cutoff_hz, cutoff_hz) == pytest.approx(-6.02, abs=0.01)
        assert self.gain_db(2 * cutoff_hz, cutoff_hz) < -40

    def test_slope_beyond_is_48_db_an_octave(self) -> None:
        slope = self.gain_db(4000, 1000) - self.gain_db(2000, 1000)
        assert slope == pytest.approx(-48, abs=0.5)

    def test_each_clip_has_its_own_cutoff(self) -> None:
        before = noise(13, 1, 4000).repeat(2, 1)
        after = low_pass(before, torch.tensor([1500.0, 7000.0]))
        assert float(rms(after)[0]) < 0.6 * float(rms(after)[1])


class TestBandLimit:
    def test_all_below_stays_and_nothing_above(self) -> None:
        before = noise(14, 2, RATE_HZ)
        after = torch.fft.rfft(band_limit(before, torch.tensor([3000.0, 6000.0])))
        # One second: the bins are whole Hertz.
        for clip, highest in enumerate((3000, 6000)):
            below = torch.fft.rfft(before)[clip, : highest + 1]
            torch.testing.assert_close(after[clip, : highest + 1], below, atol=1e-3, rtol=0)
            assert float(after[clip, highest + 1 :].abs().max()) < 1e-3


class TestHighPass:
    @pytest.mark.parametrize("cutoff_hz", [100.0, 300.0])
    def test_tones(self, cutoff_hz: float) -> None:
        for factor, gain_db in ((4.0, 0.0), (1.0, -6.02), (0.5, -24.6), (0.25, -48.2)):
            hz = factor * cutoff_hz
            tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE_HZ).double() / RATE_HZ)
            after = high_pass(tone[None], torch.tensor([cutoff_hz]))
            assert float(db(rms(after) / rms(tone))) == pytest.approx(gain_db, abs=0.1)

    def test_no_constant_offset_passes(self) -> None:
        assert float(high_pass(torch.ones(1, 4000), 60.0).abs().max()) < 1e-4


class TestCodecs:
    def test_mu_law_keeps_the_snr_over_a_wide_range_of_levels(self) -> None:
        speech = noise(18, 3, 8000).clamp(-3, 3) / 3 * torch.tensor([[1.0], [0.1], [0.03]])
        snr = db(rms(speech) / rms(mu_law(speech) - speech))
        assert (snr > 28).all()
        assert (snr < 42).all()

    @pytest.mark.parametrize("snr_db", [10.0, 20.0])
    def test_transform_codec_leaves_the_snr_at_any_level(self, snr_db: float) -> None:
        before = noise(19, 3, 16000) * torch.tensor([[1.0], [0.1], [0.001]])
        after = transform_codec(before, torch.full((3,), snr_db))
        snr = db(rms(before) / rms(after - before))
        torch.testing.assert_close(snr, torch.full((3, 1), snr_db), atol=1.5, rtol=0)

    def test_transform_codec_drops_what_is_weak_beside_a_tone(self) -> None:
        time = torch.arange(16000) / RATE_HZ
        tones = [torch.sin(2 * torch.pi * hz * time) for hz in (1000, 1156)]
        coded = transform_codec((tones[0] + 0.02 * tones[1])[None], torch.tensor([8.0]))[0]
        left = [float((coded * t).mean() / (t * t).mean()) for t in tones]
        assert left[0] == pytest.approx(1.0, abs=0.1)
        assert abs(left[1]) < 0.01

    def test_silence_stays(self) -> None:
        assert not transform_codec(torch.zeros(1, 4000), torch.tensor([8.0])).any()
        assert float(mu_law(torch.zeros(1, 100)).abs().max()) < 1e-3

    def test_phone_has_its_band_and_its_steps(self, corpus: Corpus, only) -> None:
        config = only({"phone": Strength(1.0, 3400.0, 3400.0)}, speech_only=1.0)
        noisy, target = Mixer(corpus, config, seed=12).batch(0, 4)
        power = torch.fft.rfft(target).abs().square()
        frequency = torch.fft.rfftfreq(target.shape[1], 1 / RATE_HZ)
        inside = (frequency > 280) & (frequency < 3700)
        assert (power[:, ~inside].sum(1) < 0.02 * power.sum(1)).all()
        torch.testing.assert_close(noisy, mu_law(target))


class TestFormants:
    """On a buzz of 100 Hz through one resonance at 1500 Hz."""

    PITCH_HZ = 100
    RESONANCE_HZ = 1500.0

    def vowel(self) -> Tensor:
        harmonics = torch.arange(1, RATE_HZ // 2 // self.PITCH_HZ)
        frequency = self.PITCH_HZ * harmonics[:, None]
        size = 1 / (1 + ((frequency - self.RESONANCE_HZ) / 200) ** 2)
        time_s = torch.arange(2 * RATE_HZ) / RATE_HZ
        return (size * torch.cos(2 * torch.pi * frequency * time_s)).sum(0, keepdim=True)

    def harmonics(self, samples: Tensor) -> Tensor:
        """Return the magnitudes of 0, 100, 200 Hz and so on, away from the ends."""
        middle = samples[0, RATE_HZ // 2 : -RATE_HZ // 2]
        return torch.fft.rfft(middle).abs()[:: self.PITCH_HZ]

    @pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
    def test_the_resonance_moves_by_the_factor(self, factor: float) -> None:
        moved = move_formants(self.vowel(), torch.tensor([factor]))
        peak_hz = float(self.harmonics(moved).argmax()) * self.PITCH_HZ
        assert abs(peak_hz - factor * self.RESONANCE_HZ) <= self.PITCH_HZ

    def test_the_pitch_stays(self) -> None:
        moved = move_formants(self.vowel(), torch.tensor([1.2]))
        middle = moved[0, RATE_HZ // 2 : -RATE_HZ // 2]
        power = torch.fft.rfft(middle).abs().square()
        at_harmonics = sum(power[k :: self.PITCH_HZ].sum() for k in (0, 1, self.PITCH_HZ - 1))
        assert float(at_harmonics / power.sum()) > 0.99

    def test_a_factor_of_one_changes_nothing(self) -> None:
        speech = noise(21, 2, 8000)
        torch.testing.assert_close(move_formants(speech, torch.ones(2)), speech)

    def test_each_clip_has_its_own_factor(self) -> None:
        speech = noise(22, 3, 8000)
        factors = torch.tensor([0.85, 1.0, 1.18])
        together = move_formants(speech, factors)
        for k in range(3):
            torch.testing.assert_close(
                together[k : k + 1], move_formants(speech[k : k + 1], factors[k : k + 1])
            )

    def test_silence_stays_silent(self) -> None:
        assert not move_formants(torch.zeros(1, 8000), torch.tensor([1.2])).any()


class TestTimeShift:
    @pytest.mark.parametrize("shift", [0, 1, 37, 499, 500, 700, -1, -37, -499, -500, -700])
    def test_is_exact_with_silence_moved_in(self, shift: int) -> None:
        before = noise(14, 2, 500)
        after = time_shift(before, torch.tensor([shift, 0]))
        want = torch.zeros(500)
        for n in range(500):
            if 0 <= n - shift < 500:
                want[n] = before[0, n - shift]
        assert torch.equal(after[0], want)
        assert torch.equal(after[1], before[1])


class TestParse:
    @pytest.mark.parametrize(
        ("text", "name", "strength"),
        [
            ("clipping=0.5:3..9", "clipping", Strength(0.5, 3.0, 9.0)),
            ("reverb=0", "reverb", Strength(0.0, 0.2, 0.8)),
            ("volume=1:-30..-30", "volume", Strength(1.0, -30.0, -30.0)),
            ("time_shift=.25:-0.5..0.5", "time_shift", Strength(0.25, -0.5, 0.5)),
        ],
    )
    def test_changes_one(self, text: str, name: str, strength: Strength) -> None:
        changed = Augmentations().parse(text)
        assert getattr(changed, name) == strength
        others = {k: v for k, v in vars(changed).items() if k != name}
        assert others == {k: v for k, v in vars(Augmentations()).items() if k != name}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "clipping",
            "clipping=",
            "clipping=often",
            "clipping=0.5:3",
            "clipping=0.5:9..3",
            "clipping=0.5:a..b",
            "clipping=0.5:nan..nan",
            "clipping=1.1",
            "clipping=-0.1",
            "clipping=nan",
            "echo=0.5",
            "echo=0.5:1..2",
            "names=0.5:1..2",
            "__class__=0.5:1..2",
        ],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(DataError, match="augmentation") as caught:
            Augmentations().parse(text)
        assert "\n" not in str(caught.value)

    def test_all_are_tested(self) -> None:
        assert set(Augmentations.names()) == set(STRENGTHS)


class TestDraw:
    def test_same_seed_same_numbers(self) -> None:
        one, two, other = Draw(1, CPU), Draw(1, CPU), Draw(2, CPU)
        for make in (
            lambda d: d.uniform(50, -1, 3),
            lambda d: d.normal(3, 20),
            lambda d: d.chosen(50, 0.5),
        ):
            first, second, third = make(one), make(two), make(other)
            assert torch.equal(first, second)
            assert not torch.equal(first, third)

    def test_uniform_keeps_its_bounds(self) -> None:
        drawn = Draw(3, CPU).uniform(2000, -3.0, 5.0)
        assert -3 <= float(drawn.min()) < -2.9
        assert 4.9 < float(drawn.max()) <= 5
        assert float(drawn.mean()) == pytest.approx(1.0, abs=0.2)
