"""Patches: spectrograms cut along time into pieces of equal size, and what their parts count."""

import numpy as np
import torch
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


def column_weights(frames: int, newest: int, weight: float) -> Tensor:
    """Return what each column of a patch counts: the newest ones more, 1 on average.

    A patch network gives the gains of the newest columns only, when it streams. The others
    still teach it, and a frame that is seen with what follows is easier.

    Args:
        frames: columns of the patch.
        newest: columns at its end that streaming gives.
        weight: what one of them counts against one of the others.

    Shape:
        ``[frames]``.

    Example:
        >>> column_weights(4, 1, 3.0).tolist()
        [0.6666666865348816, 0.6666666865348816, 0.6666666865348816, 2.0]
    """
    weights = torch.ones(frames)
    weights[-newest:] = weight
    return weights / weights.mean()


def sample_weights(columns: Tensor, samples: int, size: int, hop: int) -> Tensor:
    """Return what each sample of a resynthesised patch counts, 1 on average.

    It is what the columns count whose windows have their centres before and after it.

    Args:
        columns: what the columns count.
        samples: length of the resynthesised patch.
        size: samples of the analysis window, which for column 0 ends with the first hop.
        hop: samples from one column to the next.

    Shape:
        ``[frames]`` to ``[samples]``.
    """
    centres = hop * (1 + np.arange(columns.numel())) - size / 2
    weights = np.interp(np.arange(samples), centres, columns.numpy()).astype(np.float32)
    return torch.from_numpy(weights / weights.mean())


def hide_beginnings(noisy: Tensor, clean: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Silence some patches up to a drawn column, as in the first moments of a stream.

    Args:
        noisy: patches.
        clean: what they should become.
        share: of the patches, which begin with silence.

    Shape:
        two tensors ``[patches, frames, bins]``, twice.
    """
    patches, frames, _ = noisy.shape
    chosen = torch.rand(patches, 1, device=noisy.device) < share
    begin = torch.randint(1, frames, (patches, 1), device=noisy.device)
    heard = ~chosen | (torch.arange(frames, device=noisy.device) >= begin)
    return noisy * heard[..., None], clean * heard[..., None]
