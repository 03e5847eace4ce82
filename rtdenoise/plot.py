"""Spectrograms of one recording in several versions, side by side."""

from pathlib import Path

import numpy as np

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import Analysis, FloatArray, StftConfig

RANGE_DB = 70.0
"""From the loudest value of all panels down to black."""

DISPLAY = StftConfig(analysis_ms=32, synthesis_ms=16, hop_ms=8)
"""Long windows, so that the harmonics of a voice are lines."""


def draw_spectrograms(versions: dict[str, FloatArray], rate: int, path: Path) -> None:
    """Write a picture of spectrograms below each other, on one dB scale.

    Args:
        versions: title of each panel, and its audio, float32 ``[samples]``.
        rate: sample rate in Hz.
        path: image to write; its suffix is the format.

    Raises:
        RtdenoiseError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RtdenoiseError("pictures need a package: pip install 'rtdenoise[plot]'") from error
    spectra = {
        title: 20 * np.log10(np.abs(Analysis(DISPLAY, rate).push(audio[np.newaxis])[0]) + 1e-9)
        for title, audio in versions.items()
    }
    top = max(float(levels.max()) for levels in spectra.values())
    figure = Figure(figsize=(10, 2.2 * len(versions) + 0.5), layout="constrained")
    panels = figure.subplots(len(versions), sharex=True, squeeze=False)[:, 0]
    for panel, (title, levels) in zip(panels, spectra.items(), strict=True):
        seconds = levels.shape[0] * DISPLAY.hop_samples(rate) / rate
        image = panel.imshow(
            levels.T,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, rate / 2000),
            vmin=top - RANGE_DB,
            vmax=top,
            cmap="magma",
        )
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_ylabel("kHz")
    panels[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(panels), label="dB", shrink=0.8)
    figure.savefig(path, dpi=80)
