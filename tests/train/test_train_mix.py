from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from rtdenoise.errors import RtdenoiseError
from rtdenoise.train.augment import Augmentations, Strength
from rtdenoise.train.data import RATE_HZ, Corpus, Sources, load_corpus
from rtdenoise.train.draw import rms
from rtdenoise.train.mix import MixConfig, Mixer
from rtdenoise.train.responses import read_responses

Only = Callable[..., MixConfig]


def snr_db(noisy: Tensor, target: Tensor) -> Tensor:
    return 20 * torch.log10(rms(target) / rms(noisy - target)).squeeze(1)


def whole(pool) -> Tensor:
    """All of a pool of one file, as the mixer cuts it."""
    return pool.samples.float() / 32768.0


@pytest.fixture
def paired(corpus: Corpus) -> Corpus:
    return Corpus(corpus.speech, corpus.noise, paired=True)


class TestPlainMixture:
    @pytest.mark.parametrize("snr", [-8.0, 0.0, 15.5])
    def test_speech_plus_noise_at_exactly_the_snr(
        self, corpus: Corpus, only: Only, snr: float
    ) -> None:
        noisy, target = Mixer(corpus, only(snr_db=(snr, snr)), seed=1).batch(0, 4)
        assert noisy.dtype == target.dtype == torch.float32
        assert noisy.shape == target.shape == (4, 3200)
        torch.testing.assert_close(snr_db(noisy, target), torch.full((4,), snr), atol=1e-3, rtol=0)
        # Clips as long as the files: the target is the speech, the difference the noise.
        assert torch.equal(target, whole(corpus.speech).expand(4, -1))
        residual, noise = noisy - target, whole(corpus.noise)
        want = noise / rms(noise) * rms(residual)
        torch.testing.assert_close(residual, want, atol=1e-6, rtol=0)

    def test_snr_is_drawn_between_the_bounds(self, corpus: Corpus, only: Only) -> None:
        drawn = snr_db(*Mixer(corpus, only(snr_db=(-8.0, 22.0)), seed=2).batch(0, 200))
        assert -8.01 < float(drawn.min()) < -6 < 20 < float(drawn.max()) < 22.01

    def test_more_noise_keeps_the_snr(self, make_pool, corpus: Corpus, only: Only) -> None:
        rng = np.random.default_rng(3)
        two = make_pool(*(np.int16(3000 * rng.normal(size=3200)) for _ in range(2)))
        mixed = Corpus(corpus.speech, two, paired=False)
        noisy, target = Mixer(mixed, only(more_noise=1.0), seed=3).batch(0, 40)
        torch.testing.assert_close(snr_db(noisy, target), torch.full((40,), 6.0), atol=1e-3, rtol=0)
        residual = (noisy - target) / rms(noisy - target)
        files = whole(two).reshape(2, 3200)
        overlap = residual @ (files / rms(files)).T / 3200
        # Of both files, where the two draws fell on different ones.
        assert int((overlap > 0.2).all(1).sum()) > 5

    def test_babble_is_many_voices_and_none_of_the_noise(
        self, make_pool, corpus: Corpus, only: Only
    ) -> None:
        rng = np.random.default_rng(13)
        voices = make_pool(*(np.int16(3000 * rng.normal(size=3200)) for _ in range(30)))
        mixed = Corpus(voices, corpus.noise, paired=False)
        noisy, target = Mixer(mixed, only(babble=1.0), seed=13).batch(0, 40)
        torch.testing.assert_close(snr_db(noisy, target), torch.full((40,), 6.0), atol=1e-3, rtol=0)
        residual = (noisy - target) / rms(noisy - target)
        files = whole(voices).reshape(30, 3200)
        share = residual @ (files / rms(files)).T / 3200
        heard = (share > 0.12).sum(1)
        assert int(heard.min()) >= 3
        assert int(heard.max()) <= 8
        assert float((residual @ whole(corpus.noise) / 3200).abs().max()) < 0.02

    def test_reverberation_stays_in_the_target_when_asked(self, corpus: Corpus, only: Only) -> None:
        reverb = {"reverb": Strength(1.0, 0.3, 0.5)}
        config = only(reverb, speech_only=1.0, dereverberate=False)
        noisy, target = Mixer(corpus, config, seed=14).batch(0, 4)
        assert torch.equal(noisy, target)
        dry = Mixer(corpus, only(speech_only=1.0), seed=14).batch(0, 4)[1]
        assert (target != dry).any(1).all()


class TestReproducibility:
    def test_same_seed_and_number_same_batch(self, sources: Sources, cache: Path) -> None:
        corpus = load_corpus(sources, "train", cache)
        config = MixConfig(clip_samples=8000, rooms=3)
        first, again = (Mixer(corpus, config, seed=4) for _ in range(2))
        for ours, theirs in zip(first.batch(7, 6), again.batch(7, 6), strict=True):
            assert torch.equal(ours, theirs)
        # Nor does it matter which batches came before.
        again.batch(3, 6)
        assert torch.equal(first.batch(8, 6)[0], again.batch(8, 6)[0])

    def test_other_number_or_seed_other_batch(self, sources: Sources, cache: Path) -> None:
        corpus = load_corpus(sources, "train", cache)
        config = MixConfig(clip_samples=8000, rooms=3)
        mixer, other = (Mixer(corpus, config, seed=s) for s in (4, 5))
        noisy = mixer.batch(7, 6)[0]
        assert (noisy != mixer.batch(8, 6)[0]).any(1).all()
        assert (noisy != other.batch(7, 6)[0]).any(1).all()

    def test_batches_leave_the_recordings_alone(self, sources: Sources, cache: Path) -> None:
        corpus = load_corpus(sources, "train", cache)
        before = corpus.speech.samples.clone(), corpus.noise.samples.clone()
        every = Augmentations()
        for name in Augmentations.names():
            every = every.parse(f"{name}=1")
        config = MixConfig(clip_samples=8000, rooms=3, augmentations=every, gap=1.0)
        noisy, target = Mixer(corpus, config, seed=6).batch(0, 8)
        assert noisy.isfinite().all()
        assert target.isfinite().all()
        assert torch.equal(corpus.speech.samples, before[0])
        assert torch.equal(corpus.noise.samples, before[1])


class TestExtremes:
    def test_speech_only_passes_speech(self, corpus: Corpus, only: Only) -> None:
        noisy, target = Mixer(corpus, only(speech_only=1.0), seed=7).batch(0, 4)
        assert torch.equal(noisy, target)
        assert (rms(target) > 0.01).all()

    def test_noise_only_asks_for_silence(self, corpus: Corpus, only: Only) -> None:
        noisy, target = Mixer(corpus, only(noise_only=1.0), seed=8).batch(0, 4)
        assert not target.any()
        assert (rms(noisy) > 1e-3).all()

    def test_neither_is_finite(self, corpus: Corpus, only: Only) -> None:
        loud = {"volume": Strength(1.0, -20.0, -20.0), "clipping": Strength(1.0, 6.0, 6.0)}
        config = only(loud, noise_only=1.0, speech_only=1.0)
        noisy, target = Mixer(corpus, config, seed=9).batch(0, 4)
        assert not noisy.any()
        assert not target.any()

    def test_probabilities_choose_a_share(self, corpus: Corpus, only: Only) -> None:
        config = only(noise_only=0.3, speech_only=0.2)
        noisy, target = Mixer(corpus, config, seed=10).batch(0, 300)
        assert int((~target.any(1)).sum()) == pytest.approx(90, abs=30)
        assert int((noisy == target).all(1).sum()) == pytest.approx(60, abs=30)

    def test_gap_silences_one_stretch_of_the_speech(self, corpus: Corpus, only: Only) -> None:
        noisy, target = Mixer(corpus, only(gap=1.0), seed=11).batch(0, 50)
        speech = whole(corpus.speech)
        silenced = (target == 0) & (speech != 0)
        assert torch.equal(target[~silenced], speech.expand(50, -1)[~silenced])
        assert int(silenced.any(1).sum()) > 35
        for clip in silenced[silenced.any(1)]:
            place = torch.nonzero(clip).squeeze(1)
            stretch = slice(int(place[0]), int(place[-1]) + 1)
            assert int(place[-1] - place[0]) <= 2880
            assert (clip | (speech == 0))[stretch].all()
        # Talkers pause, noise does not.
        assert ((noisy - target)[:, 100:].square().mean(1) > 1e-6).all()


class TestPairs:
    def test_pass_through(self, paired: Corpus, only: Only) -> None:
        noisy, target = Mixer(paired, only(), seed=12).batch(0, 4)
        assert torch.equal(target, whole(paired.speech).expand(4, -1))
        want = whole(paired.noise).expand(4, -1)
        torch.testing.assert_close(noisy, want, atol=1e-6, rtol=0)

    def test_both_sides_are_cut_at_the_same_place(self, make_pool, only: Only) -> None:
        clean = make_pool(*(1000 * k + np.arange(n) for k, n in enumerate((300, 900, 70))))
        noisy_files = make_pool(
            *(1000 * k + np.arange(n) + 500 for k, n in enumerate((300, 900, 70)))
        )
        config = only(clip_samples=100)
        noisy, target = Mixer(Corpus(clean, noisy_files, paired=True), config, 13).batch(0, 50)
        torch.testing.assert_close(noisy - target, torch.full((50, 100), 500 / 32768))

    def test_remix_exchanges_the_noise_of_some(self, make_pool, only: Only) -> None:
        files = 20
        clean = make_pool(*(np.full(100, 100 * k) for k in range(files)))
        noisy_files = make_pool(*(np.full(100, 100 * k + 5000 + k) for k in range(files)))
        corpus = Corpus(clean, noisy_files, paired=True)

        def own_noise(remix: float) -> int:
            config = only(clip_samples=100, remix=remix)
            noisy, target = Mixer(corpus, config, seed=20).batch(0, 200)
            speech = (target[:, 0] * 327.68).round()
            noise = ((noisy - target)[:, 0] * 32768).round() - 5000
            assert ((noise >= 0) & (noise < files)).all()
            return int((speech == noise).sum())

        assert own_noise(0.0) == 200
        assert 80 < own_noise(0.5) < 135
        assert own_noise(1.0) < 30

    def test_time_shift_moves_them_together(self, paired: Corpus, only: Only) -> None:
        shift = {"time_shift": Strength(1.0, -0.05, -0.05)}
        noisy, target = Mixer(paired, only(shift), seed=14).batch(0, 1)
        assert torch.equal(target[0, :-800], whole(paired.speech)[800:])
        want = whole(paired.noise)[800:]
        torch.testing.assert_close(noisy[0, :-800], want, atol=1e-6, rtol=0)
        assert not noisy[0, -800:].any()

    def test_noise_only_leaves_what_was_added(self, paired: Corpus, only: Only) -> None:
        noisy, target = Mixer(paired, only(noise_only=1.0), seed=15).batch(0, 1)
        assert not target.any()
        added = whole(paired.noise) - whole(paired.speech)
        torch.testing.assert_close(noisy[0], added, atol=1e-6, rtol=0)


class TestResponseFiles:
    def test_begin_with_their_direct_sound_of_amplitude_one(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(16)
        tail = 0.3 * rng.normal(size=900).clip(-3, 3) * np.exp(-np.arange(900) / 200)
        # The direct sound: late, inverted, and not of unit size, as microphones deliver it.
        recorded = np.concatenate((0.001 * rng.normal(size=250), [-0.5], -0.5 * tail))
        soundfile.write(tmp_path / "a.wav", np.stack((recorded, 0 * recorded), 1), RATE_HZ, "FLOAT")
        soundfile.write(tmp_path / "b.wav", [0.0, 0.9, 0.45], RATE_HZ, "FLOAT")
        read = read_responses(tmp_path)
        assert read.shape == (2, 901)
        np.testing.assert_allclose(read[0], np.concatenate(([1.0], tail)), atol=1e-6)
        np.testing.assert_allclose(read[1, :2], [1.0, 0.5], atol=1e-6)
        assert not read[1, 2:].any()

    def test_other_rates_keep_their_time(self, tmp_path: Path) -> None:
        response = np.zeros(4800)
        response[480], response[480 + 1440] = 0.8, 0.4
        soundfile.write(tmp_path / "a.wav", response, 48_000, "FLOAT")
        read = read_responses(tmp_path)[0]
        assert float(read[0]) == pytest.approx(1.0)
        echo = int(read[100:].argmax()) + 100
        assert echo == 1440 // 3
        assert float(read[echo]) == pytest.approx(0.5, abs=0.01)

    def test_reverb_uses_them(self, tmp_path: Path, corpus: Corpus, only: Only) -> None:
        early, late = round(0.01 * RATE_HZ), round(0.1 * RATE_HZ)
        response = np.zeros(2000)
        response[0], response[early], response[late] = 0.5, 0.25, 0.125
        soundfile.write(tmp_path / "a.wav", response, RATE_HZ, "FLOAT")
        config = only({"reverb": Strength(1.0, 0.1, 0.8)}, responses=str(tmp_path), speech_only=1.0)
        noisy, target = Mixer(corpus, config, seed=17).batch(0, 1)
        dry = whole(corpus.speech).numpy()
        want = dry.copy()
        want[early:] += 0.5 * dry[:-early]
        np.testing.assert_allclose(target[0], want, atol=1e-5)
        want[late:] += 0.25 * dry[:-late]
        np.testing.assert_allclose(noisy[0], want, atol=1e-5)

    @pytest.mark.parametrize("case", ["none", "silent", "empty", "unreadable"])
    def test_useless_ones_are_refused(self, tmp_path: Path, case: str) -> None:
        if case == "unreadable":
            (tmp_path / "a.wav").write_bytes(b"no sound")
        elif case != "none":
            soundfile.write(tmp_path / "a.wav", np.zeros(0 if case == "empty" else 50), RATE_HZ)
        with pytest.raises(RtdenoiseError) as caught:
            read_responses(tmp_path)
        assert "\n" not in str(caught.value)
