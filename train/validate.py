"""Scores a network during training on a fixed set of mixtures of held-out talkers."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from rtdenoise.errors import RtdenoiseError
from rtdenoise.metrics import pesq_wb, si_sdr_db
from rtdenoise.stft import FloatArray
from rtdenoise.train.augment import Augmentations
from rtdenoise.train.data import RATE_HZ, Corpus
from rtdenoise.train.losses import snr_db
from rtdenoise.train.mix import MixConfig, Mixer

SEED = 20_000_003
CLIP_SAMPLES = 4 * RATE_HZ


class Validation:
    """A set of noisy clips from the valid split, the same in every run.

    Args:
        corpus: the valid split.
        clips: how many mixtures.
    """

    def __init__(self, corpus: Corpus, clips: int) -> None:
        plain = Augmentations()
        for name in Augmentations.names():
            plain = plain.parse(f"{name}=0")
        plain = replace(plain, volume=replace(plain.volume, probability=1.0))
        config = MixConfig(
            clip_samples=CLIP_SAMPLES,
            snr_db=(-5.0, 15.0),
            more_noise=0.0,
            babble=0.0,
            remix=0.0,
            gap=0.0,
            speech_only=0.0,
            noise_only=0.0,
            augmentations=plain,
        )
        self.noisy, self.clean = Mixer(corpus, config, SEED).batch(0, clips)
        self._with_pesq = importlib.util.find_spec("pesq") is not None

    def score(self, denoise: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return mean scores of ``denoise`` over the set.

        PESQ is among them where the package ``pesq`` is installed.

        Args:
            denoise: takes and returns float ``[clips, samples]``; the output may be shorter.
        """
        estimate = denoise(self.noisy)
        clean = self.clean[:, : estimate.shape[1]]
        scores = {"snr_db": float(snr_db(estimate, clean).mean())}
        pairs = list(zip(estimate.cpu().numpy(), clean.cpu().numpy(), strict=True))
        scores["si_sdr_db"] = float(np.mean([si_sdr_db(e, c) for e, c in pairs]))
        if self._with_pesq:
            scores["pesq_wb"] = float(np.mean([_pesq(e, c) for e, c in pairs]))
        return scores


def _pesq(estimate: FloatArray, clean: FloatArray) -> float:
    """Return PESQ, or its lowest value where one side is silent and it has none."""
    try:
        return pesq_wb(estimate, clean)
    except RtdenoiseError:
        return 1.0


def overall(scores: dict[str, float]) -> float:
    """Return one number to choose checkpoints by: PESQ, or SI-SDR / 10 without it.

    SI-SDR breaks near-ties: 1 dB counts as 0.02 PESQ.
    """
    if "pesq_wb" in scores:
        return scores["pesq_wb"] + 0.02 * scores["si_sdr_db"]
    return scores["si_sdr_db"] / 10
