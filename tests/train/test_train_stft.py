import numpy as np
import pytest
import torch

from rtdenoise.stft import Analysis, StftConfig, Synthesis
from rtdenoise.train.stft import Stft

CONFIGS = [
    pytest.param(StftConfig(), id="symmetric"),
    pytest.param(StftConfig(20.0, 20.0, 5.0), id="four hops"),
    pytest.param(StftConfig(20.0, 10.0, 5.0), id="asymmetric"),
    pytest.param(StftConfig(32.0, 8.0, 4.0), id="very asymmetric"),
]


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 9600)).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("config", CONFIGS)
class TestAgainstTheRuntime:
    def test_analysis(self, config: StftConfig, rate: int, samples: np.ndarray) -> None:
        ours = Stft(config, rate).analysis(torch.from_numpy(samples)).numpy()
        theirs = Analysis(config, rate, streams=3).push(samples)
        assert ours.dtype == theirs.dtype == np.complex64
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_synthesis(self, config: StftConfig, rate: int, samples: np.ndarray) -> None:
        spectrum = Analysis(config, rate, streams=3).push(samples)
        # Not a spectrum that any signal has: overlap-add must agree all the same.
        spectrum = spectrum * np.random.default_rng(2).uniform(0, 1, spectrum.shape)
        spectrum = spectrum.astype(np.complex64)
        ours = Stft(config, rate).synthesis(torch.from_numpy(spectrum)).numpy()
        theirs = Synthesis(config, rate, streams=3).push(spectrum)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_reconstruction(self, config: StftConfig, rate: int, samples: np.ndarray) -> None:
        stft = Stft(config, rate)
        clips = torch.from_numpy(samples)
        output = stft.synthesis(stft.analysis(clips))
        left_out = (config.synthesis_hops - 1) * config.hop_samples(rate)
        assert output.shape == (3, 9600 - left_out)
        torch.testing.assert_close(output, clips[:, : output.shape[1]], atol=1e-5, rtol=0)


def test_gradients_pass() -> None:
    stft = Stft(StftConfig(), 16_000)
    clips = torch.randn(1, 1600, generator=torch.Generator().manual_seed(3)).requires_grad_()
    stft.synthesis(stft.analysis(clips)).square().sum().backward()
    assert clips.grad is not None
    torch.testing.assert_close(clips.grad[:, :1440], 2 * clips[:, :1440], atol=1e-4, rtol=0)


def test_windows_are_no_weights() -> None:
    assert Stft(StftConfig(), 16_000).state_dict() == {}
