"""The training loop: any network, on CPU, one GPU or many.

Everything random follows from the seed and the number of the step, so a run that is
interrupted and resumed continues on the trajectory it would have taken.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils.tensorboard import SummaryWriter

from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.config import FitConfig, recipe
from rtdenoise.train.data import RATE_HZ, DataError, load_corpus
from rtdenoise.train.deepen import adopt
from rtdenoise.train.mix import Mixer
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.networks.resunet import ResUNet
from rtdenoise.train.norms import norms
from rtdenoise.train.objective import Objective
from rtdenoise.train.optimizer import let_only_learn, make_optimizer
from rtdenoise.train.teacher import Teacher
from rtdenoise.train.validate import Validation, overall

MOST_SKIPPED = 10
"""Steps without a finite gradient, one after the other, that end a run."""

NOT_FETCHED = "none, as they could not be fetched"
"""What a recipe says of encoder weights that a run was to begin with and did not."""


class Fit:
    """One training run in one folder.

    Args:
        config: what to train and how.
        folder: gets ``last.pt``, ``best.pt`` and TensorBoard logs.
        cache: folder for decoded audio.
        device: where to train; under torchrun each process takes its own GPU.
        console: where the first process shows progress.

    Raises:
        DataError: the data, the folder or the precision cannot be used.
    """

    def __init__(
        self, config: FitConfig, folder: Path, cache: Path, device: str, console: Console
    ) -> None:
        self.config, self.folder = config, folder
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.recipe = recipe(config, self.processes)
        self.process = int(os.environ.get("RANK", "0"))
        self.console = console if self.process == 0 else Console(quiet=True)
        self.device = self._claim(device)
        _check_precision(config.precision, self.device)
        corpus = load_corpus(config.sources, "train", cache).to(self.device)
        mix = replace(config.mix, clip_samples=config.clip_samples)
        self.mixer = Mixer(corpus, mix, config.seed)
        if self.process == 0:
            valid = load_corpus(config.sources, "valid", cache).to(self.device)
            self.validation = Validation(valid, config.valid_clips)
        torch.manual_seed(config.seed)
        try:
            network = NETWORKS[config.network](**config.arguments)
            if config.only is not None:
                let_only_learn(network, config.only)
            if isinstance(network, ResUNet) and network.window_frames != config.patch_frames:
                raise ValueError(f"its patches have {network.window_frames} frames")
        except ValueError as error:
            raise DataError(f"{config.network}: {error}") from error
        if config.start_from is not None:
            adopt(network, Path(config.start_from))
        elif config.encoder_weights != "none" and not (folder / "last.pt").exists():
            self._begin_with(network)
        teacher = None
        if config.teacher is not None:
            teacher = Teacher(Path(config.teacher), config.stft, self.device)
        # Convolutions in bfloat16 are twice as fast with their channels innermost.
        network.to(memory_format=torch.channels_last)
        self.objective = Objective(network, config, teacher).to(self.device)
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.optimizer = make_optimizer(config.optimizer, network, config.learning_rate, config.l2)
        self.total_steps = config.steps(self.processes)
        self.step = 0
        self.best = -math.inf
        self.skipped = 0

    def _claim(self, device: str) -> torch.device:
        if self.processes == 1:
            return torch.device(device)
        cuda = device.startswith("cuda")
        dist.init_process_group("nccl" if cuda else "gloo")
        return torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu")

    def _begin_with(self, network: nn.Module) -> None:
        """Give the encoder of a new network the weights that the configuration names."""
        if not isinstance(network, ResUNet):
            raise DataError(f"{self.config.network} has no encoder to begin with weights of")
        from rtdenoise.train.pretrained import begin_with  # its package takes seconds to import

        if not begin_with(network, self.config.encoder_weights, self.console):
            self.recipe["encoder_weights"] = NOT_FETCHED

    def run(
        self, on_check: Callable[[int, dict[str, float]], None] | None = None
    ) -> dict[str, float]:
        """Train to the end and return the last validation scores (on the first process).

        Args:
            on_check: called with the step and the scores after each validation; what it
                raises ends the run, whose checkpoint is written by then.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        scores = self._resume()
        if self.config.fixed_norms and self.config.norm_clips and self.step == 0:
            self._measure_norms()
        writer = SummaryWriter(str(self.folder)) if self.process == 0 else None
        try:
            return self._loop(scores, writer, on_check)
        finally:
            if writer is not None:
                writer.close()
            if self.processes > 1:
                dist.destroy_process_group()

    def _loop(
        self,
        scores: dict[str, float],
        writer: SummaryWriter | None,
        on_check: Callable[[int, dict[str, float]], None] | None,
    ) -> dict[str, float]:
        """Take all steps that are left and return the last scores, on the first process."""
        module: nn.Module = self.objective
        if self.processes > 1:
            module = nn.parallel.DistributedDataParallel(self.objective)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("training", total=self.total_steps, completed=self.step)
            since, seen_s = time.monotonic(), 0.0
            running = torch.zeros(2, device=self.device)
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
                    if on_check is not None:
                        on_check(self.step, scores)
                since, seen_s = time.monotonic(), 0.0
                running = torch.zeros_like(running)
        return scores if self.process == 0 else {}

    def _train_step(self, module: nn.Module) -> Tensor:
        """Take one step and return the loss and the SNR in dB."""
        config = self.config
        number = self.step * self.processes + self.process
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * self._schedule()
        torch.manual_seed(config.seed * 1_000_003 + number)  # for dropout
        noisy, clean = self.mixer.batch(number, config.batch_clips)
        self._set_modes(module)
        self.optimizer.zero_grad(set_to_none=True)
        loss, snr = module(noisy, clean, self.step / self.total_steps)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        if norm.isfinite():
            self.optimizer.step()
            self.skipped = 0
        else:  # one bad batch must not spoil the weights, nor many pass unseen
            self.skipped += 1
            self.console.print(f"step {self.step + 1}: gradient not finite, step left out")
            if self.skipped >= MOST_SKIPPED:
                raise DataError(
                    f"{MOST_SKIPPED} steps in a row had no finite gradient; "
                    "start again with a lower --learning-rate"
                )
        self.step += 1
        self._update_average()
        return torch.stack((loss.detach(), snr))

    def _set_modes(self, module: nn.Module) -> None:
        """Let all that learns behave as in training, and the rest as it will be used."""
        module.train()
        if self.config.only is not None:
            self.objective.network.eval().get_submodule(self.config.only).train()
        if self.config.fixed_norms:
            for layer in norms(self.objective.network):
                layer.eval()

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
        if self.config.norm_clips and not self.config.fixed_norms:
            self._measure_norms()
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

    def _measure_norms(self) -> None:
        """Measure the statistics of the averaged weights, which the network has."""
        config = self.config
        first = self.total_steps * self.processes  # what comes after all that it learns from
        numbers = range(first, first + math.ceil(config.norm_clips / config.batch_clips))
        torch.manual_seed(config.seed)
        self.objective.measure_norms(self.mixer.batch(k, config.batch_clips)[0] for k in numbers)
        self.average = {k: v.clone() for k, v in self.objective.network.state_dict().items()}

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
            recipe=self.recipe,
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
        wanted = self.recipe
        if self.config.encoder_weights != "none" and (
            saved.recipe.get("encoder_weights") == NOT_FETCHED
        ):
            wanted["encoder_weights"] = NOT_FETCHED
        if saved.recipe != wanted:
            names = dict.fromkeys((*wanted, *saved.recipe))
            changed = [k for k in names if saved.recipe.get(k) != wanted.get(k)]
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


def _check_precision(precision: str, device: torch.device) -> None:
    """Refuse what is slow on a processor, and of which it lacks the recurrences.

    Raises:
        DataError: the processor does not know ``bfloat16``.
    """
    known = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if precision == "bfloat16" and not known:
        raise DataError("this processor cannot train in bfloat16; use --precision float32")
