"""A trained network whose gains another one imitates.

What a large network has learnt reaches a small one this way (G. Hinton et al., "Distilling
the knowledge in a neural network", https://arxiv.org/abs/1503.02531). The teacher hears the
same noisy signal. It may look at what follows a frame, which its student never sees.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from rtdenoise.stft import StftConfig
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.networks import clip_gains
from rtdenoise.train.networks.resunet import PATCHES_AT_A_TIME, ResUNet


class Teacher:
    """A trained network, frozen.

    It is no module, so that nothing that is done to the student's modules reaches it.

    Args:
        path: a checkpoint, or a folder with ``checkpoint.pt`` or an exported ``model.onnx``.
        stft: windows and hop of the student.
        device: where both run.

    Raises:
        DataError: there is no trained network, or it has other windows.
    """

    def __init__(self, path: Path, stft: StftConfig, device: torch.device) -> None:
        network, own = _read(path)
        if own != stft:
            raise DataError(f"{path}: the teacher has other windows or another hop than this run")
        network.to(device, memory_format=torch.channels_last).requires_grad_(False)
        self._network = network.eval()

    @torch.no_grad()
    def __call__(self, spectrum: Tensor) -> Tensor:
        """Return the size of the gains that it would give.

        Shape:
            complex ``[clips, frames, bins]`` to float of that shape.
        """
        if isinstance(self._network, ResUNet):
            return best_gains(self._network, spectrum.abs())
        return clip_gains(self._network, spectrum).abs()


def _read(path: Path) -> tuple[nn.Module, StftConfig]:
    """Return a trained network, and its windows and hop."""
    if path.is_dir():
        if not (path / "checkpoint.pt").is_file():
            from rtdenoise.train.exported import read_exported  # onnx takes a while to import

            return read_exported(path)
        path = path / "checkpoint.pt"
    checkpoint = Checkpoint.load(path)
    try:
        return checkpoint.build(), checkpoint.stft
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def best_gains(network: ResUNet, magnitude: Tensor) -> Tensor:
    """Return gains from the middle of patches, where what comes before and after is seen.

    Patches overlap by half; each gives its middle half, and the outer ones also the ends. A
    clip shorter than a patch follows silence.

    Shape:
        float ``[clips, frames, bins]``, twice.
    """
    window, frames = network.window_frames, magnitude.shape[1]
    missing = max(0, window - frames)
    padded = nn.functional.pad(magnitude, (0, 0, missing, 0))
    last = padded.shape[1] - window
    begins = [*range(0, last, window // 2), last]
    patches = torch.cat([padded[:, begin : begin + window] for begin in begins])
    parts = [network.patch(part) for part in patches.split(PATCHES_AT_A_TIME)]
    given = torch.cat(parts).unflatten(0, (len(begins), -1))
    best = torch.empty_like(padded)
    for k, begin in enumerate(begins):
        # The next patch overwrites the last quarter of this one.
        left = window // 4 if k else 0
        best[:, begin + left : begin + window] = given[k, :, left:]
    return best[:, missing:]
