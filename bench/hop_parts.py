"""Where the time of a hop goes: transforms, network, the rest of the path.

    python bench/hop_parts.py --out bench/results/hop_parts.md

The parts are timed where they run, inside the path, hop after hop; medians are shown. The
machine's speed drifts, so compare within a table, not between tables.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import list_models, load_model, read_card
from rtdenoise.tables import markdown

RATES_HZ = (16_000, 48_000)
HOPS = 4000

Times = dict[str, list[float]]


def timed(work: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    """Return a function that does the same and notes how long it took, in microseconds."""

    def run(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments, **options)
        times.append(1e6 * (time.perf_counter() - start))
        return result

    return run


def hop_times(name: str, rate: int) -> Times:
    """Return how long each part of the path took, hop by hop."""
    model = load_model(name)
    times: Times = defaultdict(list)
    hop = model.config.hop_samples(rate)
    blocks = (0.05 * np.random.default_rng(1).normal(size=(HOPS, hop))).astype(np.float32)
    denoiser = Denoiser(rate, model)
    for part, owner, method in (
        ("fft", denoiser._end._analysis, "_rfft"),
        ("ifft", denoiser._end._synthesis, "_irfft"),
        ("transforms", denoiser._end._analysis, "push"),
        ("inverse", denoiser._end._synthesis, "push"),
        ("model", model, "step"),
    ):
        setattr(owner, method, timed(getattr(owner, method), times[part]))
    process = timed(denoiser.process, times["whole"])
    for block in blocks:
        process(block)
    return times


def parts(name: str, rate: int) -> dict[str, str]:
    """Return the parts of a hop of one model at one rate, as cells by column title."""
    median = {part: float(np.median(values)) for part, values in hop_times(name, rate).items()}
    fft = median["fft"] + median["ifft"]
    framing = median["transforms"] + median["inverse"] - fft
    rest = median["whole"] - median["model"] - fft - framing
    return {
        "model": name,
        "rate Hz": str(rate),
        "whole hop us": f"{median['whole']:.0f}",
        "FFTs us": f"{fft:.0f}",
        "framing us": f"{framing:.0f}",
        "model us": f"{median['model']:.0f}",
        "rest us": f"{rest:.0f}",
        "model %": f"{100 * median['model'] / median['whole']:.0f}",
    }


def main(
    out: Annotated[Path | None, typer.Option(help="Markdown file for the table.")] = None,
) -> None:
    """Measure the models that ship and run at every hop, and print or write the table."""
    names = [name for name in list_models() if "patch" not in read_card(name).details]
    rows = [parts(name, rate) for name in names for rate in RATES_HZ]
    table = markdown(rows)
    print(table)
    if out is not None:
        out.write_text(
            "# Where the time of a 10 ms hop goes\n\n"
            "One stream on one core, medians over 4000 hops; written by `bench/hop_parts.py`.\n"
            "Framing is windows, overlap-add and their buffers; rest is checks and gains.\n"
            f"\n{table}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    typer.run(main)
