from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from rtdenoise.dnsmos import SEGMENT_SAMPLES, dnsmos
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import DataError, Sources
from rtdenoise.train.mos import MosTerm
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.objective import Objective

DEMO = Path(__file__).parents[2] / "examples" / "demo"


@pytest.fixture(scope="module")
def voice() -> Tensor:
    samples, _ = soundfile.read(DEMO / "clean.flac", dtype="float32", frames=64_000)
    return torch.from_numpy(np.resize(samples, SEGMENT_SAMPLES))


@pytest.fixture(scope="module")
def clips(voice: Tensor) -> Tensor:
    """The voice with more and more noise."""
    noise = torch.randn(SEGMENT_SAMPLES, generator=torch.Generator().manual_seed(1))
    return voice + torch.tensor([0.001, 0.005, 0.03])[:, None] * noise


@pytest.mark.parametrize(("precision", "apart"), [("float32", 0.02), ("bfloat16", 0.05)])
def test_rating_is_that_of_the_evaluation(clips: Tensor, precision: str, apart: float) -> None:
    rated = MosTerm(precision).rating(clips)
    want = torch.tensor([dnsmos(clip.numpy()).overall for clip in clips])
    torch.testing.assert_close(rated, want, atol=apart, rtol=0)
    assert (want.diff() < -0.2).all()


def test_term_is_what_lacks_of_the_best_rating(clips: Tensor, voice: Tensor) -> None:
    term = MosTerm()
    lacking = torch.stack([term(clip[None], voice[None]) for clip in clips])
    assert (lacking > 0).all()
    assert (lacking.diff() > 0.2).all()
    torch.testing.assert_close(term(clips, voice.expand(3, -1)), lacking.mean())


def test_level_does_not_matter(clips: Tensor, voice: Tensor) -> None:
    term = MosTerm()
    quiet = term(0.05 * clips[1:], 0.05 * voice.expand(2, -1))
    torch.testing.assert_close(quiet, term(clips[1:], voice.expand(2, -1)), rtol=1e-4, atol=0)


def test_clips_without_speech_are_left_out(clips: Tensor, voice: Tensor) -> None:
    term = MosTerm()
    target = torch.stack((voice, torch.zeros_like(voice), voice))
    torch.testing.assert_close(term(clips, target), term(clips[::2], target[::2]))
    assert float(term(clips, torch.zeros_like(clips))) == 0.0


@pytest.mark.parametrize("silent", [slice(0, 0), slice(16_000, 40_000)])
def test_gradient_leads_to_a_better_rating(clips: Tensor, voice: Tensor, silent: slice) -> None:
    term = MosTerm()
    clip = clips[1:2].clone()
    clip[:, silent] = 0.0
    clip.requires_grad_()
    before = term(clip, voice[None])
    (gradient,) = torch.autograd.grad(before, clip)
    assert gradient.isfinite().all()
    step = 0.02 * clip.square().mean().sqrt() / gradient.square().mean().sqrt()
    assert float(term(clip - step * gradient, voice[None]).detach()) < float(before.detach())


def test_nothing_in_it_learns() -> None:
    term = MosTerm()
    assert not any(p.requires_grad for p in term.parameters())


class TestInTheLoss:
    @pytest.fixture
    def losses(self, sources: Sources) -> list[Objective]:
        """The same loss without ratings and with."""
        shape = {"width": 8, "depth": 2}
        config = FitConfig("dncnn", shape, sources, loss="perceptual", pesq_from=0.5)
        network = NETWORKS["dncnn"](**shape)
        return [Objective(network, replace(config, mos_weight=w)).eval() for w in (0.0, 1.0)]

    @staticmethod
    def added(losses: list[Objective], clips: Tensor, target: Tensor, done: float) -> float:
        """Return what ratings add."""
        with torch.no_grad():
            plain, rated = (float(loss(clips, target, done)[0]) for loss in losses)
        return rated - plain

    def test_ratings_count_when_pesq_does(
        self, losses: list[Objective], clips: Tensor, voice: Tensor
    ) -> None:
        target = voice.expand(3, -1)
        assert self.added(losses, clips, target, 0.49) == 0
        assert 1 < self.added(losses, clips, target, 0.5) < 4

    def test_one_in_eight_clips_is_rated(
        self, losses: list[Objective], clips: Tensor, voice: Tensor
    ) -> None:
        short = 3 * 16_000
        target = voice[:short].expand(8, -1)
        batches = [clips[order, :short] for order in ([1] + [2] * 7, [1] * 8, [2] * 8)]
        first, all_better, all_worse = (self.added(losses, b, target, 1.0) for b in batches)
        assert first == pytest.approx(all_better, abs=1e-3)
        assert first < all_worse - 0.05


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install speechmos"):
        MosTerm()
