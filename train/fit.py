"""The training loop: any network of magnitudes, on CPU, one GPU or many.

Everything random follows from the seed and the number of the step, so a run that is
interrupted and resumed continues on the trajectory it would have taken.
"""

import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils.tensorboard import SummaryWriter

from rtdenoise.stft import StftConfig
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import RATE_HZ, DataError, Sources, load_corpus
from rtdenoise.train.losses import log_cosh, resynthesis_loss, snr_db
from rtdenoise.train.mix import MixConfig, Mixer
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.patches import cut_patches
from rtdenoise.train.stft import Stft
from rtdenoise.train.validate import Validation, overall


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
        loss: ``resynthesis`` or ``log-cosh``.
        learning_rate: peak of the schedule: a linear warm-up, then a half cosine to zero.
        warmup_steps: steps of the warm-up.
        l2: weight of the squared weights in Adam's gradient.
        ema: decay of the weight average per step.
        precision: ``float32`` or ``bfloat16`` (mixed).
        compile: fuse the network's operations: a minute to start, then faster steps.
        seed: what every random number follows from.
        check_steps: steps between validations, each of which saves a checkpoint.
        valid_clips: mixtures in the validation set.
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
    learning_rate: float = 2e-3
    warmup_steps: int = 500
    l2: float = 0.0
    ema: float = 0.999
    precision: str = "float32"
    compile: bool = False
    seed: int = 1
    check_steps: int = 1000
    valid_clips: int = 48

    @property
    def clip_samples(self) -> int:
        """Length of a clip."""
        return self.patches * self.patch_frames * self.stft.hop_samples(RATE_HZ)

    def steps(self, processes: int) -> int:
        """Return how many steps show the wanted hours of audio."""
        batch_s = processes * self.batch_clips * self.clip_samples / RATE_HZ
        return max(1, math.ceil(self.hours * 3600 / batch_s))


class Objective(nn.Module):
    """From noisy and clean clips to the loss: front end, patches, network, resynthesis."""

    def __init__(self, network: nn.Module, config: FitConfig) -> None:
        super().__init__()
        self.network = network
        self._fused = torch.compile(network) if config.compile else network
        self.stft = Stft(config.stft, RATE_HZ)
        self._config = config

    def forward(self, noisy: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the mean SNR in dB of the resynthesised patches.

        Shape:
            two float ``[clips, samples]`` to two scalars.
        """
        noisy_patches = cut_patches(self.stft.analysis(noisy), self._config.patch_frames)
        clean_patches = cut_patches(self.stft.analysis(clean), self._config.patch_frames)
        estimate = self._gain(noisy_patches) * noisy_patches
        heard, wanted = self.stft.synthesis(estimate), self.stft.synthesis(clean_patches)
        if self._config.loss == "log-cosh":
            loss = log_cosh(estimate.abs(), clean_patches.abs())
        else:
            loss = resynthesis_loss(heard, wanted, self.stft.synthesis(noisy_patches))
        return loss, snr_db(heard.detach(), wanted).mean()

    def _gain(self, spectrum: Tensor) -> Tensor:
        state = self.network.start(spectrum.shape[0], spectrum.device)
        mixed = self._config.precision == "bfloat16"
        with torch.autocast(spectrum.device.type, torch.bfloat16, enabled=mixed):
            # Whole clips in validation have other shapes: not worth compiling for.
            network = self._fused if self.training else self.network
            gain, _ = network(spectrum.abs(), state)
        return gain

    @torch.no_grad()
    def denoise(self, noisy: Tensor) -> Tensor:
        """Return whole clips denoised, for validation."""
        spectrum = self.stft.analysis(noisy)
        return self.stft.synthesis(self._gain(spectrum) * spectrum)


class Fit:
    """One training run in one folder.

    Args:
        config: what to train and how.
        folder: gets ``last.pt``, ``best.pt`` and TensorBoard logs.
        cache: folder for decoded audio.
        device: where to train; under torchrun each process takes its own GPU.
        console: where progress is shown.

    Raises:
        DataError: the data or the folder cannot be used.
    """

    def __init__(
        self, config: FitConfig, folder: Path, cache: Path, device: str, console: Console
    ) -> None:
        if config.loss not in ("resynthesis", "log-cosh"):
            raise DataError(f"loss {config.loss!r} is unknown; use resynthesis or log-cosh")
        self.config, self.folder, self.console = config, folder, console
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.process = int(os.environ.get("RANK", "0"))
        self.device = self._claim(device)
        corpus = load_corpus(config.sources, "train", cache).to(self.device)
        mix = _with_clip_samples(config.mix, config.clip_samples)
        self.mixer = Mixer(corpus, mix, config.seed)
        if self.process == 0:
            valid = load_corpus(config.sources, "valid", cache).to(self.device)
            self.validation = Validation(valid, config.valid_clips)
        torch.manual_seed(config.seed)
        network = NETWORKS[config.network](**config.arguments)
        # Convolutions in bfloat16 are twice as fast with their channels innermost.
        network.to(memory_format=torch.channels_last)
        self.objective = Objective(network, config).to(self.device)
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.optimizer = torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, weight_decay=config.l2
        )
        self.total_steps = config.steps(self.processes)
        self.step = 0
        self.best = -math.inf

    def _claim(self, device: str) -> torch.device:
        if self.processes == 1:
            return torch.device(device)
        cuda = device.startswith("cuda")
        dist.init_process_group("nccl" if cuda else "gloo")
        return torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu")

    def run(self) -> dict[str, float]:
        """Train to the end and return the last validation scores (on the first process)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scores = self._resume()
        writer = SummaryWriter(str(self.folder)) if self.process == 0 else None
        module: nn.Module = self.objective
        if self.processes > 1:
            module = nn.parallel.DistributedDataParallel(self.objective)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, disable=self.process > 0) as progress:
            task = progress.add_task("training", total=self.total_steps, completed=self.step)
            since, seen_s = time.monotonic(), 0.0
            running = torch.zeros(2)
            while self.step < self.total_steps:
                running += self._train_step(module)
                seen_s += self.config.batch_clips * self.config.clip_samples / RATE_HZ
                progress.update(task, completed=self.step)
                if self.step % self.config.check_steps and self.step < self.total_steps:
                    continue
                if self.process == 0:
                    speed = self.processes * seen_s / (time.monotonic() - since)
                    count = seen_s * RATE_HZ / self.config.clip_samples / self.config.batch_clips
                    scores = self._check(writer, running / count, speed)
                since, seen_s, running = time.monotonic(), 0.0, torch.zeros(2)
        if writer is not None:
            writer.close()
        if self.processes > 1:
            dist.destroy_process_group()
        return scores

    def _train_step(self, module: nn.Module) -> Tensor:
        """Take one step and return the loss and the SNR in dB."""
        config = self.config
        number = self.step * self.processes + self.process
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * self._schedule()
        torch.manual_seed(config.seed * 1_000_003 + number)  # for dropout
        noisy, clean = self.mixer.batch(number, config.batch_clips)
        module.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, snr = module(noisy, clean)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return torch.stack((loss.detach(), snr)).cpu()

    def _schedule(self) -> float:
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup_steps))
        return warm * 0.5 * (1 + math.cos(math.pi * self.step / self.total_steps))

    @torch.no_grad()
    def _update_average(self) -> None:
        # A young average follows closely, or it would keep the random start.
        decay = min(self.config.ema, self.step / (self.step + 10))
        for name, value in self.objective.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)

    def _check(
        self, writer: SummaryWriter | None, running: Tensor, speed: float
    ) -> dict[str, float]:
        """Validate the averaged weights, log, and save."""
        network = self.objective.network
        current = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.average)
        self.objective.eval()
        scores = self.validation.score(self.objective.denoise)
        network.load_state_dict(current)
        logged = {"loss": float(running[0]), "train_snr_db": float(running[1]), **scores}
        if writer is not None:
            for name, value in logged.items():
                writer.add_scalar(name, value, self.step)
        text = "  ".join(f"{k} {v:.4f}" for k, v in logged.items())
        self.console.print(
            f"step {self.step}/{self.total_steps}  {text}  {speed:.0f}x real time", highlight=False
        )
        better = overall(scores) > self.best
        self.best = max(self.best, overall(scores))
        # The best first: last.pt tells a resumed run that this one has been saved.
        if better:
            self._save("best.pt", scores, resumable=False)
        self._save("last.pt", scores, resumable=True)
        return scores

    def _save(self, name: str, scores: dict[str, float], resumable: bool) -> None:
        config = self.config
        resume = {
            "current": self.objective.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
        }
        Checkpoint(
            network=config.network,
            arguments=config.arguments,
            stft=config.stft,
            rate_hz=RATE_HZ,
            weights={k: v.cpu() for k, v in self.average.items()},
            recipe=recipe(config),
            step=self.step,
            scores=scores,
            resume=resume if resumable else {},
        ).save(self.folder / name)

    def _resume(self) -> dict[str, float]:
        """Go on from ``last.pt`` if there is one, and return the scores it has."""
        path = self.folder / "last.pt"
        if not path.exists():
            return {}
        saved = Checkpoint.load(path)
        if saved.recipe != recipe(self.config):
            changed = [k for k, v in recipe(self.config).items() if saved.recipe.get(k) != v]
            raise DataError(
                f"{self.folder}: holds a run with another recipe ({', '.join(changed)} differ); "
                "give the same options to resume it, or another --run folder"
            )
        self.objective.network.load_state_dict(saved.resume["current"])
        self.optimizer.load_state_dict(saved.resume["optimizer"])
        self.average = {k: v.to(self.device) for k, v in saved.weights.items()}
        self.best, self.step = saved.resume["best"], saved.step
        self.console.print(f"resuming {self.folder} at step {self.step}", highlight=False)
        return saved.scores


def recipe(config: FitConfig) -> dict[str, Any]:
    """Return the configuration as plain values, without the folders of one machine."""
    values = asdict(config)
    values["sources"] = config.sources.describe()
    values["mix"]["clip_samples"] = config.clip_samples
    if config.mix.responses is not None:
        values["mix"]["responses"] = Path(config.mix.responses).name
    return values


def _with_clip_samples(mix: MixConfig, clip_samples: int) -> MixConfig:
    return MixConfig(**{**vars(mix), "clip_samples": clip_samples})
