"""What a training run is: everything that its result depends on."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtdenoise.stft import StftConfig
from rtdenoise.train.data import RATE_HZ, DataError, Sources
from rtdenoise.train.losses import LONGEST_SEGMENT, RESOLUTIONS
from rtdenoise.train.mix import MixConfig
from rtdenoise.train.optimizer import OPTIMIZERS

LOSSES = ("resynthesis", "intelligibility", "perceptual", "log-cosh")
PRECISIONS = ("float32", "bfloat16")
ENCODER_WEIGHTS = ("none", "imagenet")


@dataclass(frozen=True)
class FitConfig:
    """A training run.

    Attributes:
        network: name of the network.
        arguments: what its constructor takes.
        sources: where the data lies.
        mix: how clips are mixed; its clip length is the patch length times ``patches``.
        stft: windows and hop of the model.
        patch_frames: frames of a patch; the number of bins makes it square.
        patches: patches cut from each clip.
        batch_clips: clips a step, on each process.
        hours: hours of audio to show in all.
        loss: ``resynthesis``; the same with ``intelligibility``; both with PESQ:
            ``perceptual``; or ``log-cosh``.
        snr_weight: what a dB of SNR counts in the loss.
        estoi_weight: what extended STOI counts there, which lies between 0 and 1.
        pesq_weight: what PESQ's disturbance counts in the perceptual loss.
        pesq_from: share of the steps after which it counts: it teaches little to a
            network that still leaves much noise.
        mos_weight: what a point of DNSMOS's overall rating counts there from then on, too;
            one in eight clips is rated.
        newest_weight: of a network that sees patches: what one of the columns that
            streaming gives counts against one of the others (PESQ judges whole patches).
        streamed: train such a network on what streaming gives of a clip, where each patch counts
            by its newest columns alone, instead of on each of the clip's patches as a whole.
        encoder_weights: of such a network: what its encoder begins with, ``none`` (random
            weights) or ``imagenet``.
        teacher: file or folder of a trained model whose gains are imitated too.
        teacher_weight: what the distance from the teacher's gains counts.
        optimizer: ``adam``, or ``muon`` for matrices with ``adam`` for the rest.
        learning_rate: peak of the schedule: a linear warm-up, then a half cosine to zero.
        warmup_steps: steps of the warm-up.
        l2: weight of the squared weights in Adam's gradient; Muon's weight decay.
        ema: decay of the weight average per step.
        precision: ``float32`` or ``bfloat16`` (mixed).
        compile: fuse the network's operations: a minute to start, then faster steps.
        start_from: checkpoint whose weights to begin with, instead of random ones.
        only: part of the network that learns, while all else stays as it begins; None for all.
        fixed_norms: batch norm keeps the means and variances that it begins with, and uses them
            in training too, as a network that runs does, not those of each batch.
        norm_clips: on so many clips each validation first measures what batch norm keeps, for the
            averaged weights; with ``fixed_norms`` the training does, once, before its first
            step. 0 takes what is there.
        seed: what every random number follows from.
        check_steps: steps between validations, each of which saves a checkpoint.
        valid_clips: mixtures in the validation set.

    Raises:
        DataError: a choice is unknown, or patches are too short for the loss.
    """

    network: str
    arguments: dict[str, Any]
    sources: Sources
    mix: MixConfig = field(default_factory=MixConfig)
    stft: StftConfig = field(default_factory=StftConfig)
    patch_frames: int = 161
    patches: int = 2
    batch_clips: int = 8
    hours: float = 200.0
    loss: str = "resynthesis"
    snr_weight: float = 0.01
    estoi_weight: float = 1.0
    pesq_weight: float = 0.2
    pesq_from: float = 0.6
    mos_weight: float = 0.0
    newest_weight: float = 4.0
    streamed: bool = False
    encoder_weights: str = "none"
    teacher: str | None = None
    teacher_weight: float = 1.0
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    warmup_steps: int = 500
    l2: float = 0.0
    ema: float = 0.999
    precision: str = "float32"
    compile: bool = False
    start_from: str | None = None
    only: str | None = None
    fixed_norms: bool = False
    norm_clips: int = 0
    seed: int = 1
    check_steps: int = 1000
    valid_clips: int = 48

    def __post_init__(self) -> None:
        known = {
            "loss": LOSSES,
            "precision": PRECISIONS,
            "encoder_weights": ENCODER_WEIGHTS,
            "optimizer": OPTIMIZERS,
        }
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise DataError(
                    f"{name} {getattr(self, name)!r} is unknown; use {' or '.join(choices)}"
                )
        if self.fixed_norms and self.start_from is None:
            raise DataError("--fixed-norms needs a trained network: give --start-from")
        if self.norm_clips and self.only is not None:
            raise DataError("--norm-clips changes what --only keeps; leave out one of them")
        if self.streamed and self.network != "resunet":
            raise DataError(f"--streamed is for resunet; {self.network} is always trained so")
        hop = self.stft.hop_samples(RATE_HZ)
        lost = self.stft.synthesis_hops - 1
        by_ear = self.loss in ("intelligibility", "perceptual")
        needed = LONGEST_SEGMENT if by_ear else RESOLUTIONS[-1][0]
        shortest = needed // hop + lost + 1
        if self.patch_frames < shortest:
            raise DataError(f"patches of {self.patch_frames} frames are too short; use {shortest}")

    @property
    def clip_samples(self) -> int:
        """Length of a clip."""
        return self.patches * self.patch_frames * self.stft.hop_samples(RATE_HZ)

    def steps(self, processes: int) -> int:
        """Return how many steps show the wanted hours of audio."""
        batch_s = processes * self.batch_clips * self.clip_samples / RATE_HZ
        return max(1, math.ceil(self.hours * 3600 / batch_s))


def recipe(config: FitConfig, processes: int) -> dict[str, Any]:
    """Return all that the result follows from as plain values, without folders' places."""
    values = asdict(config) | {"processes": processes}
    values["sources"] = config.sources.describe()
    values["mix"]["clip_samples"] = config.clip_samples
    if config.mix.responses is not None:
        values["mix"]["responses"] = Path(config.mix.responses).name
    if config.start_from is not None:
        values["start_from"] = Path(config.start_from).name
    if config.only is None:
        del values["only"]
    if not config.fixed_norms:
        del values["fixed_norms"]
    if not config.norm_clips:
        del values["norm_clips"]
    if config.teacher is None:
        del values["teacher"], values["teacher_weight"]
    else:
        values["teacher"] = Path(config.teacher).name
    if config.mos_weight == 0:
        del values["mos_weight"]
    if config.optimizer == "adam":
        del values["optimizer"]
    if config.network != "resunet":
        del values["newest_weight"], values["encoder_weights"]
    if not config.streamed:
        del values["streamed"]
    return values
