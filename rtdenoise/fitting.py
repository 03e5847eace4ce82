"""Whether this machine keeps up with a model, and which one it would keep up with."""

import time

import numpy as np

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import Model, list_models, load_model

WARM_UP_S = 0.3
"""Audio that is denoised before the devices open: first calls allocate and are slow."""

COMFORTABLE = 0.5
"""Share of a hop's time that a model may take to be recommended."""


def warm_up(denoiser: Denoiser, seconds: float) -> float:
    """Denoise noise hop by hop and return the median time of a hop over its duration.

    The denoiser is reset afterwards.
    """
    config = denoiser.model.config
    hop = config.hop_samples(denoiser.rate)
    rng = np.random.default_rng(1)
    noise = (0.05 * rng.normal(size=(denoiser.channels, hop))).astype(np.float32)
    times_s = []
    for _ in range(max(1, round(1000 * seconds / config.hop_ms))):
        begin = time.perf_counter()
        denoiser.process(noise)
        times_s.append(time.perf_counter() - begin)
    denoiser.reset()
    return float(np.median(times_s)) * denoiser.rate / hop


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
        name: warm_up(Denoiser(rate, load_model(name)), WARM_UP_S)
        for name in list_models()
        if name != model.card.name
    }
    # list_models() has the trained ones first; of those that fit, more work does better.
    fits = [name for name, cost in costs.items() if cost < COMFORTABLE]
    if not fits:
        return f"{line}; no other model fits either: close other programs"
    return f"{line}; use --model {fits[0]}"
