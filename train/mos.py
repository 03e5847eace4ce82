"""The rating that listeners would give, as guessed by DNSMOS, with gradients."""

import importlib.util
from pathlib import Path

import onnx
import torch
from onnx.numpy_helper import to_array
from torch import Tensor, nn
from torch.nn import functional

from rtdenoise.dnsmos import OVERALL
from rtdenoise.train.data import RATE_HZ, DataError

WINDOW_SAMPLES, HOP_SAMPLES = RATE_HZ // 50, RATE_HZ // 100

SPEECH_RMS = 10 ** (-27 / 20)
"""Level of speech for which the rating depends on it least."""

LEAST_RMS = 1e-4
"""Clips below -80 dBFS hold no speech to be rated."""

LEAST_POWER = 1e-6
"""Of a bin of the spectrum, below the noise of any room: what is weaker has no gradient."""

CONVOLUTIONS = ("conv2d", *(f"conv2d_{number}" for number in range(1, 7)))
DENSE = ("dense", "dense_1", "dense_3")
POOLED = ("conv2d_3", "conv2d_4", "conv2d_5")
"""Layers whose output is halved in time and frequency by its maxima."""


class MosTerm(nn.Module):
    """How far the overall rating of DNSMOS P.835 (OVRL) is from 5.

    The network is the one of :mod:`rtdenoise.dnsmos`, with the same weights. It hears clips
    of any length, all at one level of speech.

    Args:
        precision: of the convolutions: ``bfloat16`` (mixed) or ``float32``.

    References:
        C. Reddy, V. Gopal and R. Cutler, "DNSMOS P.835: a non-intrusive perceptual objective
        speech quality metric to evaluate noise suppressors", ICASSP 2022.

    Raises:
        DataError: the package ``speechmos``, which holds the weights, is missing.
    """

    _bases: Tensor

    def __init__(self, precision: str = "float32") -> None:
        super().__init__()
        weights = _weights()
        parts = [weights[f"time2freq/stft-{part}/kernel:0"][..., 0] for part in ("real", "imag")]
        self.register_buffer("_bases", torch.cat(parts), persistent=False)
        self._layers = nn.ModuleDict({name: _convolution(weights, name) for name in CONVOLUTIONS})
        # On CPUs convolutions in bfloat16 take a quarter of the time this way.
        self._layers.to(memory_format=torch.channels_last)
        self._dense = nn.ModuleList(_dense(weights, name) for name in DENSE)
        self.requires_grad_(False)
        self._mixed = precision == "bfloat16"

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the mean over those clips that hold speech.

        Args:
            estimate: what is rated.
            target: clean speech, which only tells the level.

        Shape:
            two ``[clips, samples]``, at least 0.2 s long, to a scalar.
        """
        level = target.square().mean(1, keepdim=True).sqrt()
        speech = level[:, 0] > LEAST_RMS
        if not bool(speech.any()):
            return estimate.new_zeros(())
        return 5.0 - self.rating(estimate[speech] * (SPEECH_RMS / level[speech])).mean()

    def rating(self, samples: Tensor) -> Tensor:
        """Return the overall ratings, 1 to 5: ``[clips]`` of ``[clips, samples]``."""
        frames = samples.clamp(-1.0, 1.0).unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)
        real, imaginary = functional.linear(frames, self._bases).chunk(2, dim=2)
        power = real.square() + imaginary.square()
        with torch.autocast(samples.device.type, torch.bfloat16, enabled=self._mixed):
            hidden = (power + LEAST_POWER).log10().unsqueeze(1)
            for name, layer in self._layers.items():
                hidden = functional.relu(layer(hidden))
                if name in POOLED:
                    hidden = functional.max_pool2d(hidden, 2)
            hidden = hidden.amax((2, 3)).float()
        first, second, last = self._dense
        raw = last(functional.relu(second(functional.relu(first(hidden)))))[:, 2]
        low, slope, bend = (float(c) for c in OVERALL.coef)
        overall: Tensor = low + (slope + bend * raw) * raw
        return overall


def _weights() -> dict[str, Tensor]:
    """Return the weights in the package by name."""
    found = importlib.util.find_spec("speechmos")
    if found is None or found.origin is None:
        raise DataError("a rating in the loss needs a package: pip install speechmos")
    path = Path(found.origin).with_name("dnsmos_models") / "sig_bak_ovr.onnx"
    return {w.name: torch.tensor(to_array(w)) for w in onnx.load(path).graph.initializer}


def _convolution(weights: dict[str, Tensor], name: str) -> nn.Conv2d:
    kernel = weights[f"{name}/kernel:0"]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
    layer.weight, layer.bias = nn.Parameter(kernel), nn.Parameter(weights[f"{name}/bias:0"])
    return layer


def _dense(weights: dict[str, Tensor], name: str) -> nn.Linear:
    kernel, bias = (
        weights[f"mos_estimator_logpow/{name}/{part}/ReadVariableOp/resource:0"]
        for part in ("MatMul", "BiasAdd")
    )
    layer = nn.Linear(*kernel.shape)
    layer.weight, layer.bias = nn.Parameter(kernel.T.contiguous()), nn.Parameter(bias)
    return layer
