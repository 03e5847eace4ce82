"""Patches: spectrograms cut along time into pieces of equal size."""

from torch import Tensor


def cut_patches(spectrum: Tensor, frames: int) -> Tensor:
    """Cut spectrograms into patches that lie end to end over the whole band.

    With ``frames`` equal to the number of bins the patches are square. Frames left over
    at the end are dropped. The patches of one clip follow each other.

    Args:
        spectrum: any dtype ``[clips, frames, bins]``.
        frames: length of a patch.

    Raises:
        ValueError: the clips are shorter than one patch.

    Shape:
        ``[clips * (frames // patch_frames), patch_frames, bins]``.

    Example:
        >>> import torch
        >>> cut_patches(torch.zeros(2, 400, 161), 161).shape
        torch.Size([4, 161, 161])
    """
    count = spectrum.shape[1] // frames
    if count == 0:
        raise ValueError(f"clips of {spectrum.shape[1]} frames hold no patch of {frames}")
    return spectrum[:, : count * frames].reshape(-1, frames, spectrum.shape[2])
