import pytest
import torch

from rtdenoise.train.patches import cut_patches


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
