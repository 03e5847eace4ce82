"""Pictures: loud and quiet places land where they should."""

import numpy as np
from matplotlib import image

from rtdenoise.plot import draw_spectrograms


def test_panels_are_drawn_on_one_scale(tmp_path):
    time = np.arange(32_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 2_000 * time)).astype(np.float32)
    draw_spectrograms({"loud": tone, "quiet": tone / 1e4}, 16_000, tmp_path / "a.png")
    picture = image.imread(tmp_path / "a.png")[:, : -picture_margin(tmp_path), :3]
    upper, lower = np.array_split(picture.max(axis=2) - picture.min(axis=2), 2)
    # A tone 80 dB down is below the range of the scale: its panel stays black.
    assert (upper > 0.5).sum() > 10 * max(1, (lower > 0.5).sum())


def picture_margin(folder):
    """Columns at the right that hold the colour bar."""
    return image.imread(folder / "a.png").shape[1] // 6
