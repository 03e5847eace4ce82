import pytest
import torch
from torch import Tensor

from rtdenoise.stft import StftConfig
from rtdenoise.train.patches import (
    column_weights,
    cut_patches,
    hide_beginnings,
    sample_weights,
)
from rtdenoise.train.stft import Stft


@pytest.mark.parametrize(("frames", "length", "count"), [(10, 5, 2), (14, 5, 2), (5, 5, 1)])
def test_patches_lie_end_to_end(frames: int, length: int, count: int) -> None:
    spectrum = torch.randn(3, frames, 7, generator=torch.Generator().manual_seed(1))
    patches = cut_patches(spectrum, length)
    assert patches.shape == (3 * count, length, 7)
    joined = patches.reshape(3, count * length, 7)
    assert torch.equal(joined, spectrum[:, : count * length])


def test_complex_spectra_stay_complex() -> None:
    assert cut_patches(torch.zeros(1, 4, 3, dtype=torch.complex64), 2).is_complex()


def test_clips_shorter_than_a_patch_are_refused() -> None:
    with pytest.raises(ValueError, match="4 frames hold no patch of 5"):
        cut_patches(torch.zeros(1, 4, 3), 5)


def test_newest_columns_count_more_by_hand() -> None:
    # Six columns of 1 and two of 5: 16 / 8 = 2 on average.
    want = torch.tensor([0.5] * 6 + [2.5] * 2)
    torch.testing.assert_close(column_weights(8, 2, 5.0), want)
    torch.testing.assert_close(column_weights(8, 2, 1.0), torch.ones(8))


@pytest.mark.parametrize("config", [StftConfig(), StftConfig(20.0, 10.0, 5.0)])
def test_samples_count_as_the_columns_around_them(config: StftConfig) -> None:
    stft = Stft(config, 16_000)
    columns = column_weights(64, 16, 4.0)
    samples = (64 - stft.overlaps + 1) * stft.hop
    weights = sample_weights(columns, samples, stft.size, stft.hop)
    assert weights.shape == stft.synthesis(torch.zeros(1, 64, stft.size // 2 + 1) + 0j)[0].shape
    assert float(weights.mean()) == pytest.approx(1, abs=1e-4)
    assert float(weights[-1] / weights[0]) == pytest.approx(4, rel=1e-5)
    # Half way, between the centres of the last plain column and the first of the newest.
    border = stft.hop * 48 + stft.hop // 2 - stft.size // 2
    assert float(weights[border] / weights[0]) == pytest.approx(2.5, rel=1e-5)


class TestHideBeginnings:
    def hide(self, share: float) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(3)
        noisy = 1 + torch.rand(400, 8, 5)
        hidden, clean = hide_beginnings(noisy, 2 * noisy, share)
        torch.testing.assert_close(clean, 2 * hidden)
        return noisy, hidden, (hidden == 0).all(2)

    def test_silence_is_at_the_beginning_of_some(self) -> None:
        noisy, hidden, silent = self.hide(0.25)
        assert 60 < int(silent.any(1).sum()) < 140
        assert not silent[:, -1].any()
        assert (silent[:, :-1] >= silent[:, 1:]).all()
        torch.testing.assert_close(hidden[~silent], noisy[~silent])
        assert silent.sum(1).unique().tolist() == list(range(8))

    def test_none_where_none_is_asked_for(self) -> None:
        noisy, hidden, _ = self.hide(0.0)
        torch.testing.assert_close(hidden, noisy)
