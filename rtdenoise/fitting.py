"""Whether this machine keeps up with a model, how it does, and which other one it would."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Model, list_models, load_model
from rtdenoise.patch_model import PatchModel

WARM_UP_S = 0.3
"""Audio that is denoised before the devices open: first calls allocate and are slow."""

WARM_UP_BURSTS = 4
"""So many times at least a model whose work comes in bursts has one then."""

COMFORTABLE = 0.5
"""Share of a hop's time that a model may take to be recommended."""

BURST_RESERVE = 1.5
"""What is held in reserve for a burst, over what the longest took to warm up."""

EMIT_FRAMES = (1, 2, 4, 8, 16, 32)
"""Frames between two passes of a patch model, of which the fewest are chosen that it can keep."""


@dataclass(frozen=True)
class Cost:
    """What a model costs on this machine.

    Attributes:
        factor: time that its work takes, over the duration of the audio.
        burst_ms: time to hold in reserve for the hop that has the work of many; 0 for a model
            all of whose hops cost the same.
    """

    factor: float
    burst_ms: float


def warm_up(denoiser: Denoiser, seconds: float) -> Cost:
    """Denoise noise hop by hop and return what it costs; the denoiser is reset afterwards."""
    model = denoiser.model
    hop, every = model.config.hop_samples(denoiser.rate), model.hops_per_burst
    rng = np.random.default_rng(1)
    noise = (0.05 * rng.normal(size=(denoiser.channels, hop))).astype(np.float32)
    times_s = []
    hops = max(1, round(1000 * seconds / model.config.hop_ms))
    for _ in range(hops if every == 1 else max(hops, WARM_UP_BURSTS * every)):
        begin = time.perf_counter()
        denoiser.process(noise)
        times_s.append(time.perf_counter() - begin)
    denoiser.reset()
    usual = times_s if every == 1 else times_s[every:]  # the first burst is like no other
    return Cost(
        factor=hop_time_s(usual, every) * denoiser.rate / hop,
        burst_ms=0.0 if every == 1 else BURST_RESERVE * 1000 * max(usual),
    )


def hop_time_s(times_s: Sequence[float], every: int) -> float:
    """Return what a hop costs, the median over hops or, of such with a burst, groups of them.

    Args:
        times_s: of hops that followed each other.
        every: one of so many has the burst.

    Example:
        >>> round(hop_time_s([0.001, 0.001, 0.001, 0.013], 4), 6)
        0.004
    """
    whole = len(times_s) // every * every
    if not whole:
        return 0.0
    groups = np.reshape(times_s[len(times_s) - whole :], (-1, every))
    return float(np.median(groups.mean(axis=1)))


def keeping_up(model: Model, streams: int) -> Model:
    """Return a model that this machine keeps up with, if how often it works is free.

    That is so for a patch model that nobody has said it of: then it has passes as often as
    takes half of the time, so that its latency is the least.

    Args:
        model: a loaded model; others than patch models are returned as they are.
        streams: that it works on at once.
    """
    if not isinstance(model, PatchModel) or model.is_chosen:
        return model
    pass_ms = _pass_ms(model, streams)
    possible = [emit for emit in EMIT_FRAMES if emit < model.window_frames]
    enough = [e for e in possible if pass_ms <= COMFORTABLE * e * model.config.hop_ms]
    return model.with_emit_frames(enough[0] if enough else possible[-1])


def _pass_ms(model: PatchModel, streams: int) -> float:
    """Return the median time of a pass."""
    state = model.start(streams)
    noise = np.random.default_rng(1).normal(size=(streams, model.emit_frames, model.bins))
    spectrum = (1e-3 * noise).astype(np.complex64)
    times_s = []
    for _ in range(WARM_UP_BURSTS):
        begin = time.perf_counter()
        _, state = model.step(spectrum, state)
        times_s.append(time.perf_counter() - begin)
    return 1000 * float(np.median(times_s[1:]))


def advice(model: Model, rate: int, factor: float) -> str:
    """Return a line for a user whose machine is too slow: by how much, and what fits.

    Args:
        model: that is too slow.
        rate: sample rate in Hz.
        factor: time that its work takes over the time it may take.
    """
    line = f"this machine is {factor:.1f} times too slow for {model.card.name}"
    if factor < 1:
        line = f"{model.card.name} takes {100 * factor:.0f} % of the time there is on this machine"
    costs = {
        name: warm_up(Denoiser(rate, keeping_up(load_model(name), 1)), WARM_UP_S).factor
        for name in list_models()
        if name != model.card.name
    }
    # list_models() has the trained ones first; of those that fit, more work does better.
    fits = [name for name, cost in costs.items() if cost < COMFORTABLE]
    if not fits:
        return f"{line}; no other model fits either: close other programs"
    return f"{line}; use --model {fits[0]}"
