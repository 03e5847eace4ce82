"""Where the time of a hop goes: transforms, network, the rest of the path.

    python bench/hop_parts.py --out bench/results/hop_parts.md

Each part is timed on its own, the best of many repetitions, in one run: compare within a
table, not between tables.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rtdenoise.denoiser import Denoiser
from rtdenoise.model import list_models, load_model
from rtdenoise.stft import Analysis, Synthesis
from rtdenoise.tables import markdown

RATES_HZ = (16_000, 48_000)
REPETITIONS, PASSES = 200, 25


def best_us(work: Callable[[], object]) -> float:
    """Return microseconds that a call takes, in the fastest of many passes."""
    best = float("inf")
    for _ in range(PASSES):
        start = time.perf_counter()
        for _ in range(REPETITIONS):
            work()
        best = min(best, (time.perf_counter() - start) / REPETITIONS)
    return 1e6 * best


def parts(name: str, rate: int) -> dict[str, str]:
    """Return the parts of a hop of one model at one rate, as cells by column title."""
    model = load_model(name)
    denoiser = Denoiser(rate, model)
    hop = model.config.hop_samples(rate)
    rng = np.random.default_rng(1)
    block = (0.05 * rng.normal(size=(1, hop))).astype(np.float32)
    for _ in range(50):
        denoiser.process(block)
    analysis, synthesis = Analysis(model.config, rate), Synthesis(model.config, rate)
    spectrum = analysis.push(block)
    seen = np.zeros((1, 1, model.bins), np.complex64)
    low = min(model.bins, spectrum.shape[2])
    seen[:, :, :low] = spectrum[:, :, :low]
    state = model.start(1)
    window = rng.normal(size=(1, 1, model.config.analysis_samples(rate))).astype(np.float32)
    times = {
        "whole hop": best_us(lambda: denoiser.process(block)),
        "FFT and inverse": best_us(lambda: np.fft.irfft(np.fft.rfft(window))),
        "analysis, synthesis": best_us(lambda: synthesis.push(analysis.push(block))),
        "model": best_us(lambda: model.step(seen, state)),
    }
    times["analysis, synthesis"] -= times["FFT and inverse"]
    times["rest"] = times["whole hop"] - sum(v for k, v in times.items() if k != "whole hop")
    share = 100 * times["model"] / times["whole hop"]
    cells = {f"{k} us": f"{v:.0f}" for k, v in times.items()}
    return {"model": name, "rate Hz": str(rate), **cells, "model %": f"{share:.0f}"}


def main(
    out: Annotated[Path | None, typer.Option(help="Markdown file for the table.")] = None,
) -> None:
    """Measure all models that ship, and print or write the table."""
    rows = [parts(name, rate) for name in list_models() for rate in RATES_HZ]
    table = markdown(rows)
    print(table)
    if out is not None:
        out.write_text(
            "# Where the time of a 10 ms hop goes\n\n"
            "One stream on one core, best of many repetitions; written by `bench/hop_parts.py`.\n"
            f"\n{table}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    typer.run(main)
