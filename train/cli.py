"""`rtdenoise train`: the command line of the trainer."""

import re
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from rtdenoise.stft import StftConfig
from rtdenoise.train.augment import Augmentations
from rtdenoise.train.config import ENCODER_WEIGHTS, LOSSES, FitConfig
from rtdenoise.train.data import DataError, Sources
from rtdenoise.train.fit import Fit
from rtdenoise.train.memory import keep_freed_memory
from rtdenoise.train.mix import MixConfig
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.optimizer import OPTIMIZERS
from rtdenoise.train.recipes import list_recipes, read_recipe
from rtdenoise.train.shape import SQUARE_FRAMES, network_arguments, windows, with_patches

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _pick(device: str) -> str:
    """Return the torch device that a user's word stands for."""
    count = torch.cuda.device_count()
    if device == "auto":
        return "cuda" if count else "cpu"
    known = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if known is None:
        raise DataError(f"device {device!r} is unknown; use auto, cpu, cuda or cuda:N")
    if device != "cpu" and int(known[1] or 0) >= count:
        raise DataError(f"device {device!r}: there are {count} CUDA devices; use --device auto")
    return device


def _apply(context: typer.Context, preset: str | None) -> str | None:
    """Let a recipe's options stand in for those that are not given."""
    if preset is None:
        return None
    values = read_recipe(preset)
    known = {str(p.name) for p in context.command.params} - {"preset"}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise DataError(f"{preset}: {unknown[0]!r} is no option of rtdenoise train")
    context.default_map = {**(context.default_map or {}), **values}
    return preset


@app.command(no_args_is_help=True)
def train(
    network: Annotated[str, typer.Argument(help=f"What to train: {', '.join(NETWORKS)}.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Recipe whose options hold where you give none: a TOML file, or "
            + ", ".join(list_recipes()),
            is_eager=True,
            callback=_apply,
        ),
    ] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder of clean speech.")] = None,
    noise: Annotated[Path | None, typer.Option(help="Folder of noise.")] = None,
    noisy: Annotated[Path | None, typer.Option(help="Folder of noisy files of pairs.")] = None,
    clean: Annotated[Path | None, typer.Option(help="Folder of their clean partners.")] = None,
    run: Annotated[
        Path,
        # torchrun takes --run for the beginning of an option of its own.
        typer.Option("--run", "--run-folder", help="Folder of this run; resumed if it exists."),
    ] = Path("runs/latest"),
    cache: Annotated[Path, typer.Option(help="Folder for decoded audio.")] = Path("runs/cache"),
    hours: Annotated[float, typer.Option(help="Hours of audio to show.", min=0)] = 200.0,
    batch: Annotated[int, typer.Option(help="Clips a step (on each process).", min=1)] = 8,
    patch_frames: Annotated[
        int | None,
        typer.Option(
            help=f"Frames of a patch; {SQUARE_FRAMES}, which makes it square, or resunet's 64.",
            min=2,
        ),
    ] = None,
    patches: Annotated[int, typer.Option(help="Patches cut from a clip.", min=1)] = 2,
    analysis_ms: Annotated[
        float,
        typer.Option(help="Analysis window: finer frequencies when longer, at equal latency."),
    ] = StftConfig().analysis_ms,
    width: Annotated[
        int | None,
        typer.Option(help="Channels of the middle layers, the blocks, or the decoder.", min=1),
    ] = None,
    depth: Annotated[int | None, typer.Option(help="dncnn: middle layers.", min=1)] = None,
    dropout: Annotated[
        float | None, typer.Option(help="dncnn: dropout of middle layers.", min=0, max=1)
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="dualpath: channels of encoder and decoder.", min=1)
    ] = None,
    blocks: Annotated[int | None, typer.Option(help="dualpath: blocks.", min=1)] = None,
    heads: Annotated[int | None, typer.Option(help="dualpath: attention heads.", min=1)] = None,
    merge: Annotated[
        int | None,
        typer.Option(help="dualpath: 200 Hz bands that make one of the blocks' bands.", min=1),
    ] = None,
    low: Annotated[
        int | None,
        typer.Option(help="dualpath: units of a recurrence over all bins below 1 kHz.", min=0),
    ] = None,
    attentions: Annotated[
        int | None,
        typer.Option(
            help="dualpath: blocks with attention, the first ones; all by default.", min=1
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="resunet: resnet18, resnet34, resnet50, resnet101, ...")
    ] = None,
    encoder_depth: Annotated[
        int | None, typer.Option(help="resunet: times that the encoder halves a patch, 3 to 5.")
    ] = None,
    encoder_weights: Annotated[
        str, typer.Option(help=f"resunet: {' or '.join(ENCODER_WEIGHTS)}, to begin with.")
    ] = "none",
    emit_frames: Annotated[
        int | None, typer.Option(help="resunet: frames from one patch to the next.", min=1)
    ] = None,
    newest_weight: Annotated[
        float, typer.Option(help="resunet: what a patch's newest frames count.", min=0)
    ] = 4.0,
    streamed: Annotated[
        bool, typer.Option("--streamed", help="resunet: train on what streaming gives of a clip.")
    ] = False,
    teacher: Annotated[
        Path | None, typer.Option(help="Trained model to imitate: a checkpoint, or its folder.")
    ] = None,
    teacher_weight: Annotated[float, typer.Option(help="What imitating it counts.", min=0)] = 1.0,
    optimizer: Annotated[str, typer.Option(help=" or ".join(OPTIMIZERS) + ".")] = "adam",
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-3,
    l2: Annotated[float, typer.Option("--l2", help="L2 penalty on weights.", min=0)] = 0.0,
    warmup_steps: Annotated[int, typer.Option(help="Steps of the warm-up.", min=0)] = 500,
    ema: Annotated[
        float, typer.Option(help="Decay of the weight average per step.", min=0, max=1)
    ] = 0.999,
    loss: Annotated[str, typer.Option(help=", ".join(LOSSES))] = "resynthesis",
    snr_weight: Annotated[float, typer.Option(help="What a dB of SNR counts.", min=0)] = 0.01,
    estoi_weight: Annotated[
        float, typer.Option(help="What extended STOI (0 to 1) counts.", min=0)
    ] = 1.0,
    pesq_weight: Annotated[
        float, typer.Option(help="What PESQ counts in the perceptual loss.", min=0)
    ] = 0.2,
    pesq_from: Annotated[
        float, typer.Option(help="Share of the steps after which it counts.", min=0, max=1)
    ] = 0.6,
    mos_weight: Annotated[
        float, typer.Option(help="What a point of DNSMOS OVRL counts, likewise.", min=0)
    ] = 0.0,
    snr: Annotated[tuple[float, float], typer.Option(help="SNR bounds in dB.")] = (-8.0, 22.0),
    augment: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=PROBABILITY[:LOW..HIGH], repeatable; names: "
            + ", ".join(Augmentations.names())
        ),
    ] = None,
    more_noise: Annotated[
        float, typer.Option(help="Probability of a second, and then a third noise.", min=0, max=1)
    ] = 0.3,
    babble: Annotated[
        float, typer.Option(help="Probability that other talkers are the noise.", min=0, max=1)
    ] = 0.08,
    remix: Annotated[
        float, typer.Option(help="Of pairs: probability of another one's noise.", min=0, max=1)
    ] = 0.5,
    keep_reverb: Annotated[
        bool, typer.Option("--keep-reverb", help="Denoise only; leave reverberation as it is.")
    ] = False,
    rooms: Annotated[int, typer.Option(help="Simulated rooms for reverb.", min=1)] = 200,
    responses: Annotated[
        Path | None, typer.Option(help="Folder of impulse responses instead of simulated rooms.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Checkpoint whose weights to begin with.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Part of the network that learns, such as low; all else stays."),
    ] = None,
    fixed_norms: Annotated[
        bool,
        typer.Option("--fixed-norms", help="Train with the batch statistics of --start-from."),
    ] = False,
    norm_clips: Annotated[
        int,
        typer.Option(
            help="Measure batch statistics on so many clips, first or before validation.", min=0
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16 (mixed).")] = "float32",
    compile: Annotated[bool, typer.Option(help="Fuse the network with torch.compile.")] = False,
    check_steps: Annotated[int, typer.Option(help="Steps between validations.", min=1)] = 1000,
    valid_clips: Annotated[int, typer.Option(help="Mixtures to validate on.", min=1)] = 48,
    tune: Annotated[
        int | None,
        typer.Option(help="Search hyperparameters: trials in all, each of --hours.", min=1),
    ] = None,
    workers: Annotated[int, typer.Option(help="Trials of a search at a time.", min=1)] = 1,
) -> None:
    """Train a network, resume a run, or search its hyperparameters.

    For several GPUs start it with torchrun -m rtdenoise.train, and spell --run as --run-folder.
    """
    shape: dict[str, float | str | None] = {
        "width": width,
        "depth": depth,
        "dropout": dropout,
        "channels": channels,
        "blocks": blocks,
        "heads": heads,
        "merge": merge,
        "low": low,
        "attentions": attentions,
        "encoder": encoder,
        "encoder_depth": encoder_depth,
        "emit_frames": emit_frames,
    }
    stft = windows(analysis_ms)
    arguments = network_arguments(network, shape, stft)
    arguments, frames = with_patches(network, arguments, patch_frames)
    augmentations = Augmentations()
    for text in augment or ():
        augmentations = augmentations.parse(text)
    config = FitConfig(
        network=network,
        arguments=arguments,
        sources=Sources(*(str(p) if p else None for p in (speech, noise, noisy, clean))),
        mix=MixConfig(
            snr_db=snr,
            more_noise=more_noise,
            babble=babble,
            remix=remix,
            dereverberate=not keep_reverb,
            augmentations=augmentations,
            rooms=rooms,
            responses=str(responses) if responses else None,
        ),
        stft=stft,
        patch_frames=frames,
        patches=patches,
        batch_clips=batch,
        hours=hours,
        loss=loss,
        snr_weight=snr_weight,
        estoi_weight=estoi_weight,
        pesq_weight=pesq_weight,
        pesq_from=pesq_from,
        mos_weight=mos_weight,
        newest_weight=newest_weight,
        streamed=streamed,
        encoder_weights=encoder_weights,
        teacher=str(teacher) if teacher else None,
        teacher_weight=teacher_weight,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        ema=ema,
        optimizer=optimizer,
        l2=l2,
        precision=precision,
        compile=compile,
        start_from=str(start_from) if start_from else None,
        only=only,
        fixed_norms=fixed_norms,
        norm_clips=norm_clips,
        seed=seed,
        check_steps=check_steps,
        valid_clips=valid_clips,
    )
    console = Console()
    place = _pick(device)
    if place == "cpu":
        keep_freed_memory()
    if tune is not None:
        from rtdenoise.train.trials import options
        from rtdenoise.train.tune import tune as search  # Optuna takes a while to import

        best = search(config, run, cache, place, tune, workers, console)[0]
        console.print(f"all trials: {run / 'trials.md'}, {run / 'trials.png'}", highlight=False)
        console.print(f"best: trial {best.number}, {options(best)}", highlight=False)
        return
    scores = Fit(config, run, cache, place, console).run()
    if scores:  # under torchrun, the first process has them
        console.print(f"best checkpoint: {run / 'best.pt'}", highlight=False)
        console.print("last scores: " + "  ".join(f"{k} {v:.3f}" for k, v in scores.items()))
