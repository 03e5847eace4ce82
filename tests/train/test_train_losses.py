from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from rtdenoise.metrics import estoi
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import Sources
from rtdenoise.train.losses import (
    intelligibility_loss,
    log_cosh,
    resynthesis_loss,
    snr_db,
    teacher_loss,
)
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.objective import Objective

DEMO = Path(__file__).parents[2] / "examples" / "demo"


def voice() -> np.ndarray:
    """Return three seconds of speech: float32 ``[samples]``."""
    return soundfile.read(DEMO / "clean.flac", dtype="float32", frames=48_000)[0]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestLogCosh:
    def test_is_the_formula(self) -> None:
        estimate, target = 3 * noise(1, 4, 50), noise(2, 4, 50)
        want = np.mean(np.log(np.cosh((estimate - target).double().numpy())))
        assert float(log_cosh(estimate, target)) == pytest.approx(want, rel=1e-5)

    def test_does_not_overflow(self) -> None:
        estimate = torch.tensor([1e4, -1e4], requires_grad=True)
        loss = log_cosh(estimate, torch.zeros(2))
        loss.backward()
        assert loss.item() == pytest.approx(1e4 - np.log(2))
        torch.testing.assert_close(estimate.grad, torch.tensor([0.5, -0.5]))

    def test_is_square_near_zero(self) -> None:
        small = torch.tensor([1e-2], dtype=torch.float64)
        assert float(log_cosh(small, 0 * small)) == pytest.approx(0.5e-4, rel=1e-3)
        assert float(log_cosh(small, small)) == 0


class TestSnr:
    def test_by_hand(self) -> None:
        target = torch.tensor([[2.0, -2.0, 2.0, -2.0], [1.0, 1.0, 1.0, 1.0]])
        estimate = target + torch.tensor([[0.2, 0.2, -0.2, -0.2], [1.0, -1.0, 1.0, -1.0]])
        # Powers 4 against 0.04, and 1 against 1.
        torch.testing.assert_close(snr_db(estimate, target), torch.tensor([20.0, 0.0]))

    def test_silence_has_a_value(self) -> None:
        silent = torch.zeros(1, 100)
        assert float(snr_db(silent, silent)) == 0
        assert float(snr_db(silent + 0.1, silent)) == pytest.approx(-60, abs=0.01)


class TestResynthesisLoss:
    @pytest.fixture
    def clean(self) -> Tensor:
        return 0.1 * noise(3, 2, 4000)

    def test_is_lowest_at_the_target(self, clean: Tensor) -> None:
        noisy = clean + 0.05 * noise(4, 2, 4000)
        best = float(resynthesis_loss(clean, clean, noisy))
        # All that is left is the reward for the SNR, which a floor 30 dB below the noisy
        # clip keeps finite.
        speech_share = clean.square().mean(1) / noisy.square().mean(1)
        reward = 0.01 * 10 * torch.log10((speech_share + 1e-3) / 1e-3)
        assert best == pytest.approx(-float(reward.clamp(max=0.3).mean()), abs=1e-4)
        perturbed = [
            clean + 0.01 * noise(5, 2, 4000),
            0.8 * clean,
            1.2 * clean,
            -clean,
            clean.roll(3, dims=1),
            0 * clean,
            noisy,
        ]
        assert all(float(resynthesis_loss(p, clean, noisy)) > best + 1e-3 for p in perturbed)

    def test_grows_with_the_error(self, clean: Tensor) -> None:
        error = 0.1 * noise(6, 2, 4000)
        losses = [
            float(resynthesis_loss(clean + share * error, clean, clean + error))
            for share in (0.0, 0.1, 0.3, 0.6, 1.0)
        ]
        assert losses == sorted(losses)

    def test_sees_the_phase(self, clean: Tensor) -> None:
        noisy = clean + 0.05 * noise(7, 2, 4000)
        # Same magnitudes throughout, opposite phase.
        flipped = float(resynthesis_loss(-clean, clean, noisy))
        assert flipped > float(resynthesis_loss(clean, clean, noisy)) + 0.1

    @pytest.mark.parametrize("volume_db", [-30.0, 20.0])
    def test_does_not_depend_on_the_volume(self, clean: Tensor, volume_db: float) -> None:
        noisy, estimate = clean + 0.05 * noise(8, 2, 4000), clean + 0.02 * noise(9, 2, 4000)
        volume = 10 ** (volume_db / 20)
        one = resynthesis_loss(estimate, clean, noisy)
        other = resynthesis_loss(volume * estimate, volume * clean, volume * noisy)
        torch.testing.assert_close(other, one, rtol=0.01, atol=0)

    @pytest.mark.parametrize("silent", ["all", "target", "estimate"])
    def test_gradients_are_finite_in_silence(self, clean: Tensor, silent: str) -> None:
        estimate = torch.zeros_like(clean) if silent in ("all", "estimate") else clean.clone()
        target = torch.zeros_like(clean) if silent in ("all", "target") else clean
        noisy = torch.zeros_like(clean) if silent == "all" else clean
        estimate.requires_grad_()
        loss = resynthesis_loss(estimate, target, noisy)
        loss.backward()
        assert loss.isfinite()
        assert estimate.grad is not None
        assert estimate.grad.isfinite().all()


class TestIntelligibility:
    """The term that follows extended STOI."""

    def test_orders_noise_as_estoi_does(self) -> None:
        rng = np.random.default_rng(5)
        clean = voice()
        noise = rng.normal(size=clean.size).astype(np.float32)
        losses, scores = [], []
        for level in (0.0, 0.01, 0.05, 0.2):
            noisy = clean + level * noise
            pair = torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None]
            losses.append(float(intelligibility_loss(*pair)))
            scores.append(estoi(noisy, clean))
        assert losses == sorted(losses)
        assert scores == sorted(scores, reverse=True)
        assert losses[0] < 0.02
        assert losses[-1] > 0.4

    def test_volume_does_not_matter(self) -> None:
        rng = np.random.default_rng(6)
        clean = torch.from_numpy(voice())[None]
        noisy = clean + 0.05 * torch.from_numpy(rng.normal(size=clean.shape)).float()
        loud, quiet = (
            float(intelligibility_loss(noisy * scale, clean * scale)) for scale in (1.0, 0.02)
        )
        assert quiet == pytest.approx(loud, abs=2e-3)

    def test_silence_asks_for_nothing(self) -> None:
        estimate = torch.rand(2, 16_000, generator=torch.Generator().manual_seed(7))
        estimate.requires_grad_()
        loss = intelligibility_loss(estimate, torch.zeros(2, 16_000))
        loss.backward()
        assert float(loss.detach()) == 1.0
        assert not estimate.grad.any()

    def test_counts_as_its_weight_says(self, sources: Sources) -> None:
        clean = torch.from_numpy(voice())[None]
        noisy = clean + 0.05 * noise(7, *clean.shape)
        shape = {"width": 8, "depth": 2}
        network = NETWORKS["dncnn"](**shape)
        config = FitConfig("dncnn", shape, sources, loss="intelligibility")

        def loss(config: FitConfig) -> float:
            with torch.no_grad():
                return float(Objective(network, config).eval()(noisy, clean)[0])

        without, once, thrice = (loss(replace(config, estoi_weight=w)) for w in (0.0, 1.0, 3.0))
        assert without == loss(replace(config, loss="resynthesis"))
        assert 0.01 < once - without < 1
        assert thrice - without == pytest.approx(3 * (once - without), abs=1e-5)


class TestWeights:
    def test_columns_by_hand(self) -> None:
        weights = torch.tensor([1.0, 1.0, 6.0])
        losses = []
        for column in range(3):
            estimate = torch.zeros(2, 3, 4)
            estimate[:, column] = 1.0
            losses.append(float(log_cosh(estimate, torch.zeros(2, 3, 4), weights)))
        one = np.log(np.cosh(1.0))
        assert losses == pytest.approx([one / 8, one / 8, 6 * one / 8], rel=1e-5)

    @pytest.mark.parametrize("loss", ["resynthesis", "intelligibility"])
    def test_an_error_counts_by_when_it_is(self, loss: str) -> None:
        clean = torch.from_numpy(voice())[None, 8000:24_000]
        weights = torch.linspace(0.2, 1.8, clean.shape[1])
        ramp = torch.linspace(0, 1, clean.shape[1])
        hiss = 0.05 * noise(21, *clean.shape)
        early, late = clean + hiss * (ramp < 0.5), clean + hiss * (ramp >= 0.5)

        def value(estimate: Tensor, weights: Tensor | None) -> float:
            if loss == "resynthesis":
                return float(resynthesis_loss(estimate, clean, clean, 0.0, weights))
            return float(intelligibility_loss(estimate, clean, weights))

        plain = value(late, None) / value(early, None)
        assert value(late, weights) / value(early, weights) > 1.5 * plain
        ones = torch.ones_like(weights)
        assert value(late, ones) == pytest.approx(value(late, None), rel=1e-5)

    def test_snr_counts_by_when_it_is(self) -> None:
        clean = 0.1 * noise(22, 1, 8000)
        weights = torch.full((8000,), 2.0)
        weights[:4000] = 0.0
        spoilt = clean.clone()
        spoilt[:, :4000] = 0.0
        both = [
            float(resynthesis_loss(spoilt, clean, clean, 1.0, w))
            - float(resynthesis_loss(spoilt, clean, clean, 0.0, w))
            for w in (None, weights)
        ]
        # Half of the power is lost, or nothing that counts: 3 dB against the bound of 30.
        assert both == pytest.approx([-3, -30], abs=0.2)


class TestTeacherLoss:
    def test_is_zero_for_the_teachers_gains_only(self) -> None:
        gain, noisy = torch.rand(2, 5, 7), torch.rand(2, 5, 7)
        assert float(teacher_loss(gain, gain, noisy)) == 0
        assert float(teacher_loss(gain, gain.flip(0), noisy)) > 0

    def test_hears_what_is_loud(self) -> None:
        noisy = torch.ones(1, 2, 3)
        noisy[:, 0] = 0.01
        wanted = torch.full((1, 2, 3), 0.5)
        soft, loud = wanted.clone(), wanted.clone()
        soft[:, 0], loud[:, 1] = 0.1, 0.1
        ratio = float(teacher_loss(loud, wanted, noisy) / teacher_loss(soft, wanted, noisy))
        assert ratio == pytest.approx(100**0.6, rel=1e-3)

    @pytest.mark.parametrize("volume", [0.1, 10.0])
    def test_does_not_depend_on_the_volume(self, volume: float) -> None:
        gain, wanted, noisy = (noise(k, 2, 5, 7).abs() for k in (31, 32, 33))
        one, other = (teacher_loss(gain, wanted, v * noisy) for v in (1.0, volume))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0)

    def test_compares_the_size_of_complex_gains(self) -> None:
        wanted, noisy = torch.rand(2, 5, 7), torch.rand(2, 5, 7)
        assert float(teacher_loss(1j * wanted, wanted, noisy)) < 1e-10

    def test_has_a_gradient_where_nothing_is_left(self) -> None:
        gain = torch.zeros(1, 2, 3, requires_grad=True)
        teacher_loss(gain, torch.ones(1, 2, 3), torch.ones(1, 2, 3)).backward()
        assert gain.grad is not None
        assert gain.grad.isfinite().all()
