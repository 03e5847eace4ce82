"""`rtdenoise plot`: what it draws, where to, and what it refuses."""

import os

import numpy as np
import pytest
import soundfile
import typer
from matplotlib import image

from rtdenoise import cli_plot
from rtdenoise.errors import RtdenoiseError

app = typer.Typer()
app.command()(cli_plot.plot)


def write(path, seed=0, seconds=1.0, rate=16_000, channels=1, **options):
    rng = np.random.default_rng(seed)
    soundfile.write(path, rng.normal(0, 0.1, (round(seconds * rate), channels)), rate, **options)
    return path


def plot(*arguments):
    app([str(a) for a in arguments], standalone_mode=False)


def check_refused(arguments, *parts):
    """The command line prints such an error as one line, with exit code 2."""
    with pytest.raises(RtdenoiseError) as caught:
        plot(*arguments)
    (line,) = str(caught.value).splitlines()
    for part in parts:
        assert part in line


@pytest.fixture
def drawn(monkeypatch):
    """What is handed to the drawing, which goes on as always."""
    from rtdenoise import plot as drawing

    seen = {}
    real = drawing.draw_comparison

    def draw(versions, rate, target):
        seen.update(versions=versions, rate=rate)
        real(versions, rate, target)

    monkeypatch.setattr(drawing, "draw_comparison", draw)
    return seen


def test_one_file_is_denoised_and_compared(tmp_path, drawn, capfd):
    source = write(tmp_path / "in.wav", channels=2)
    plot(source, "--model", "wiener")
    assert capfd.readouterr().out == f"{source} -> {tmp_path / 'in.png'}\n"
    assert image.imread(tmp_path / "in.png").shape[1] > 500
    assert list(drawn["versions"]) == ["in.wav", "denoised by wiener"]
    noisy, denoised = drawn["versions"].values()
    np.testing.assert_allclose(noisy, soundfile.read(source)[0].mean(axis=1), atol=1e-6)
    assert np.std(denoised) < np.std(noisy)


def test_files_are_versions_by_name(tmp_path, drawn):
    noisy, clean = write(tmp_path / "noisy.wav"), write(tmp_path / "clean.flac", seed=1)
    out = tmp_path / "new" / "picture.svg"
    plot(noisy, clean, "-o", out)
    assert out.read_text().startswith("<?xml")
    assert list(drawn["versions"]) == ["noisy.wav", "clean.flac"]


def test_namesakes_are_told_apart_by_their_folders(tmp_path, drawn):
    paths = [tmp_path / folder / "a.wav" for folder in ("noisy", "clean")]
    for path in paths:
        path.parent.mkdir()
        write(path)
    plot(*paths)
    assert list(drawn["versions"]) == [str(path) for path in paths]
    assert (tmp_path / "noisy" / "a.png").exists()


def test_lengths_are_cut_to_the_shortest_with_a_note(tmp_path, drawn, capfd):
    long, short = write(tmp_path / "long.wav", seconds=2), write(tmp_path / "short.wav")
    plot(long, short)
    assert capfd.readouterr().err.splitlines() == [
        "rtdenoise: lengths differ: all are cut to the shortest, 1.00 s"
    ]
    assert {audio.size for audio in drawn["versions"].values()} == {16_000}


def test_damaged_samples_count_as_silence(tmp_path, drawn):
    samples = np.full(8_000, 0.1, np.float32)
    samples[100:102] = np.nan, np.inf
    soundfile.write(tmp_path / "in.wav", samples, 16_000, subtype="FLOAT")
    plot(tmp_path / "in.wav", tmp_path / "in.wav")
    assert np.isfinite(next(iter(drawn["versions"].values()))).all()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_drawn(tmp_path, drawn):
    source = tmp_path / os.fsdecode(b"\xff$x$.wav")
    source.write_bytes(write(tmp_path / "a.wav").read_bytes())
    plot(source, "-o", tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
    assert next(iter(drawn["versions"])) == "\ufffd$x$.wav"


def test_nothing_is_replaced_unasked(tmp_path):
    source = write(tmp_path / "in.wav")
    (tmp_path / "in.png").write_text("mine")
    check_refused([source, "--model", "wiener"], "in.png exists", "--force")
    assert (tmp_path / "in.png").read_text() == "mine"
    plot(source, "--model", "wiener", "--force")
    assert image.imread(tmp_path / "in.png").size


def test_what_cannot_be_drawn_is_told_in_one_line(tmp_path):
    first = write(tmp_path / "a.wav")
    other = write(tmp_path / "b.wav", rate=48_000)
    check_refused([first, other], "b.wav: has 48000 Hz, but", "a.wav has 16000 Hz")
    check_refused([first, "-o", first, "--force"], "a.wav: a picture ends in")
    check_refused([first, "-o", tmp_path], "is a folder")
    check_refused([tmp_path], "is a folder; give audio files")
    check_refused([first, first, "--model", "wiener"], "--model")
    check_refused([first, "--model", "wienner"], "unknown")
    check_refused([tmp_path / "none.wav"], "none.wav: No such file")
    empty = write(tmp_path / "c.wav", seconds=0)
    fast = write(tmp_path / "d.wav", rate=192_000)
    check_refused([fast, "--model", "wiener"], "d.wav", "192000 Hz", "convert")
    check_refused([empty], "c.wav: holds no samples")
    assert not list(tmp_path.glob("*.png"))
