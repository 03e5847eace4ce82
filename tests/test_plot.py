"""Pictures: loud and quiet places land where they should."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib import image
from PIL import Image

from rtdenoise.errors import RtdenoiseError
from rtdenoise.plot import draw_comparison, draw_spectrograms
from rtdenoise.spectrogram import MOST_COLUMNS, gain_db, level_db, spectrogram


def tone(hz, rate=16_000, seconds=2.0, amplitude=0.5):
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def test_panels_are_drawn_on_one_scale(tmp_path):
    loud = tone(2_000)
    draw_spectrograms({"loud": loud, "quiet": loud / 1e4}, 16_000, tmp_path / "a.png")
    picture = image.imread(tmp_path / "a.png")[:, : -picture_margin(tmp_path), :3]
    upper, lower = np.array_split(picture.max(axis=2) - picture.min(axis=2), 2)
    # A tone 80 dB down is below the range of the scale: its panel stays black.
    assert (upper > 0.5).sum() > 10 * max(1, (lower > 0.5).sum())


def picture_margin(folder):
    """Columns at the right that hold the colour bar."""
    return image.imread(folder / "a.png").shape[1] // 6


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("seconds", [0.001, 0.5, 30.0])
def test_spectrogram_has_the_level_and_the_length_of_a_tone(rate, seconds):
    shown = spectrogram(tone(2_000, rate, seconds), rate)
    assert seconds <= shown.seconds < seconds + 2 * shown.column_s
    assert len(shown.db) <= MOST_COLUMNS
    if seconds >= 0.5:
        peak = np.unravel_index(shown.db[len(shown.db) // 2 :].argmax(), shown.db.shape)
        assert peak[1] * rate / 2 / (shown.db.shape[1] - 1) == pytest.approx(2_000, abs=32)
        assert shown.db.max() == pytest.approx(-6, abs=1)


def test_gain_is_what_was_applied_where_there_was_anything():
    rng = np.random.default_rng(1)
    noisy = rng.normal(0, 0.1, 16_000).astype(np.float32)
    noisy[8_000:] = 0
    before, after = (spectrogram(audio, 16_000) for audio in (noisy, 0.1 * noisy))
    gain = gain_db(after, before, audible_db=-90)
    heard = ~np.isnan(gain)
    np.testing.assert_allclose(gain[heard], -20, atol=0.1)
    assert heard[5:60].mean() > 0.99
    assert not heard[70:].any()


@pytest.mark.parametrize("samples", [0, 1, 100, 16_000, 3_000_001])
def test_level_is_the_rms(samples):
    seconds, db = level_db(np.full(samples, 0.1, np.float32), 16_000)
    assert len(seconds) == len(db) <= MOST_COLUMNS
    np.testing.assert_allclose(db, -180 if samples == 0 else -20, atol=0.01)
    assert (np.diff(seconds) > 0).all()


def test_comparison_shows_what_is_gone_as_dark():
    noisy = tone(1_000) + np.random.default_rng(2).normal(0, 0.01, 32_000).astype(np.float32)
    shares = {}
    for name, denoised in {"same": noisy, "less": noisy / 100}.items():
        file = BytesIO()
        draw_comparison({"noisy": noisy, name: denoised}, 16_000, file)
        picture = np.asarray(Image.open(file).convert("RGB")) / 255
        corner = picture[picture.shape[0] // 2 :, picture.shape[1] // 2 :]
        yellow = (corner[:, :, 0] > 0.9) & (corner[:, :, 1] > 0.8) & (corner[:, :, 2] < 0.3)
        shares[name] = yellow.mean()
    # In these colours a gain of 0 dB is yellow; a part of the colour bar always is.
    assert shares["same"] > 0.4
    assert shares["less"] < 0.05


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_any_number_of_versions_and_odd_titles(tmp_path, count, suffix):
    titles = ["a$b$_{c.wav", "noisy & <b>", "嘈杂 😀", "line\nbreak", "silent"][:count]
    draw_comparison({title: tone(500) for title in titles}, 16_000, tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").stat().st_size > 10_000


@pytest.mark.parametrize("title", ["noisy" + "W" * 100 + ".wav", "嘈杂" * 50, "i" * 250])
def test_a_long_title_stays_above_its_panel(tmp_path, title):
    draw_comparison({title: tone(500), "clean": tone(600)}, 16_000, tmp_path / "a.png")
    picture = image.imread(tmp_path / "a.png")[:, :, :3]
    height, width, _ = picture.shape
    band = picture[: height // 40]  # that of the titles, above the panels and their numbers
    assert (band[:, int(0.46 * width) : int(0.49 * width)] == 1).all()  # between the two
    assert (band[:, int(0.3 * width) : int(0.43 * width)] < 0.9).any()


@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_silence_can_be_drawn(tmp_path, samples):
    silent = np.zeros(samples, np.float32)
    draw_comparison({"noisy": silent, "denoised": silent}, 16_000, tmp_path / "a.png")


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(RtdenoiseError, match=r"use \.png"):
        draw_comparison({"noisy": tone(500)}, 16_000, tmp_path / "a.wav")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(RtdenoiseError, match="cannot be written"):
        draw_comparison({"noisy": tone(500)}, 16_000, tmp_path / "a.png")
