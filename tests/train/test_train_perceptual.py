from pathlib import Path

import pytest
import soundfile
import torch
from scipy.signal import butter
from torch import Tensor
from torchaudio.functional import lfilter

from rtdenoise.metrics import pesq_wb
from rtdenoise.train.perceptual import PesqTerm, recursive_filter

DEMO = Path(__file__).parents[2] / "examples" / "demo"


@pytest.fixture(scope="module")
def voice() -> Tensor:
    return torch.from_numpy(soundfile.read(DEMO / "clean.flac", dtype="float32", frames=64_000)[0])


@pytest.fixture(scope="module")
def noises() -> Tensor:
    return torch.randn(5, 64_000, generator=torch.Generator().manual_seed(1))


def noisy(voice: Tensor, noises: Tensor) -> Tensor:
    levels = torch.tensor([0.001, 0.003, 0.01, 0.03, 0.1])[:, None]
    return voice + levels * noises


@pytest.mark.parametrize("length", [1000, 51_200, 64_000])
def test_filters_are_those_of_the_package(noises: Tensor, length: int) -> None:
    above, below = (torch.from_numpy(c) for c in butter(5, [325, 3250], "band", fs=16_000))
    clips = noises[:, :length].clone().requires_grad_()
    # In single precision it is the package's way that is off, by a hundredth.
    one = lfilter(clips.double(), below, above, clamp=False)
    other = recursive_filter(clips, below, above, clamp=False)
    torch.testing.assert_close(other.double(), one, atol=1e-5, rtol=0)
    weight = noises.flip(0)[:, :length]
    gradients = [torch.autograd.grad((y * weight).sum(), clips)[0] for y in (one, other)]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=0)


def test_nothing_is_heard_of_nothing(voice: Tensor) -> None:
    assert float(PesqTerm()(voice[None], voice[None])) < 0.01


def test_more_noise_is_heard_more_as_pesq_hears_it(voice: Tensor, noises: Tensor) -> None:
    term = PesqTerm()
    clips = noisy(voice, noises)
    heard = torch.stack([term(clip[None], voice[None]) for clip in clips])
    scores = torch.tensor([pesq_wb(clip.numpy(), voice.numpy()) for clip in clips])
    assert (heard.diff() > 0).all()
    assert (scores.diff() < 0).all()


def test_level_does_not_matter(voice: Tensor, noises: Tensor) -> None:
    term, clips = PesqTerm(), noisy(voice, noises)
    want = term(clips, voice.expand(5, -1))
    torch.testing.assert_close(term(0.1 * clips, voice.expand(5, -1)), want, rtol=1e-3, atol=0)


def test_silent_clips_are_left_out(voice: Tensor, noises: Tensor) -> None:
    term, clips = PesqTerm(), noisy(voice, noises)
    target = voice.expand(5, -1).clone()
    target[1], clips[2] = 0.0, 0.0
    spoken = torch.tensor([0, 3, 4])
    torch.testing.assert_close(term(clips, target), term(clips[spoken], target[spoken]))
    assert float(term(clips, torch.zeros(5, 64_000))) == 0.0


def test_gradient_leads_to_better_speech(voice: Tensor, noises: Tensor) -> None:
    term = PesqTerm()
    clip = noisy(voice, noises)[3:4].requires_grad_()
    before = term(clip, voice[None])
    (gradient,) = torch.autograd.grad(before, clip)
    assert gradient.isfinite().all()
    step = 0.02 * clip.square().mean().sqrt() / gradient.square().mean().sqrt()
    assert float(term(clip - step * gradient, voice[None]).detach()) < float(before.detach())


def test_gradient_is_finite_where_speech_and_output_die_away(voice: Tensor, noises: Tensor) -> None:
    term = PesqTerm()
    fade = torch.ones(64_000)
    fade[16_000:24_000] = torch.logspace(0, -60, 8_000)
    fade[24_000:40_000] = 0.0
    for estimate in (voice * fade, noisy(voice, noises)[2] * fade):
        clip = estimate[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(term(clip, (voice * fade)[None]), clip)
        assert gradient.isfinite().all()
