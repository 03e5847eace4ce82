"""What the packages hold reaches the folder cut, levelled, and long enough to be of use."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from debs import build_debs

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import debian_noises
import debian_packages
from debian_noises import LOOP_S, NOISES, PEAK, RATE_HZ, collect, sound


def rustle(path: Path, seconds: float, *, gain=0.2, decay_s=np.inf, rate=RATE_HZ, seed=1) -> None:
    """Write noise between two tenths of a second of silence."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    samples = gain * rng.uniform(-1, 1, time_s.size) * np.exp(-time_s / decay_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.pad(samples, rate // 5), rate)


class TestSound:
    @pytest.mark.parametrize("gain", [0.05, 0.9])
    def test_it_is_cut_and_levelled(self, tmp_path: Path, gain: float) -> None:
        rustle(tmp_path / "a.wav", 6, gain=gain)
        heard = sound(tmp_path / "a.wav")
        assert heard.dtype == np.float32
        assert heard.size / RATE_HZ == pytest.approx(6, abs=0.02)
        assert np.abs(heard).max() == pytest.approx(PEAK, rel=1e-3)

    def test_what_hums_on_is_repeated(self, tmp_path: Path) -> None:
        rustle(tmp_path / "a.wav", 0.7)
        heard = sound(tmp_path / "a.wav")
        assert LOOP_S <= heard.size / RATE_HZ < LOOP_S + 1
        # No gap where one time ends and the next begins.
        frames = heard[: heard.size // 160 * 160].reshape(-1, 160)[1:-1]
        level = np.sqrt(np.mean(frames**2, axis=1))
        assert level.min() > 0.4 * np.median(level)

    def test_what_dies_away_and_a_click_are_heard_once(self, tmp_path: Path) -> None:
        rustle(tmp_path / "a.wav", 1, decay_s=0.1)
        rustle(tmp_path / "b.wav", 0.1)
        assert sound(tmp_path / "a.wav").size < RATE_HZ
        assert sound(tmp_path / "b.wav").size == pytest.approx(0.1 * RATE_HZ, abs=20)

    def test_a_faint_one_is_not_made_much_louder(self, tmp_path: Path) -> None:
        rustle(tmp_path / "a.wav", 6, gain=0.002)
        assert np.abs(sound(tmp_path / "a.wav")).max() < 0.1

    def test_what_is_narrow_silent_or_no_audio_is_left_out(self, tmp_path: Path) -> None:
        rustle(tmp_path / "a.wav", 1, rate=8000)
        soundfile.write(tmp_path / "b.wav", np.zeros(RATE_HZ), RATE_HZ)
        soundfile.write(tmp_path / "c.wav", np.zeros(0), RATE_HZ)
        (tmp_path / "d.wav").write_bytes(b"RIFF, or not")
        assert [sound(tmp_path / f"{name}.wav") for name in "abcd"] == [None] * 4


def test_only_what_the_pattern_names_is_taken(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    rustle(tree / "usr/share/7kaa/SOUND/RAIN.WAV", 5)
    rustle(tree / "usr/share/7kaa/SOUND/brain.wav", 5)
    rustle(tree / "usr/share/7kaa/SOUND/ready.wav", 5)
    (tree / "usr/share/7kaa/SOUND/rain.txt").write_text("rain")
    seconds = collect("7kaa-data", tree, tmp_path / "out")
    assert seconds == pytest.approx(5, abs=0.05)
    (file,) = (tmp_path / "out" / "7kaa-data").iterdir()
    assert soundfile.info(file).duration == pytest.approx(seconds)


def test_files_have_a_longest(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(debian_packages, "FILE_S", 8.0)
    for k in range(4):
        rustle(tmp_path / f"tree/rain.{k}.wav", 5, seed=k)
    seconds = collect("7kaa-data", tmp_path / "tree", tmp_path / "out")
    files = sorted((tmp_path / "out" / "7kaa-data").iterdir())
    lengths = [soundfile.info(f).duration for f in files]
    assert lengths[:2] == [8.0, 8.0]
    assert sum(lengths) == pytest.approx(seconds)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
def test_all_packages_end_in_one_folder(tmp_path: Path, capsys, monkeypatch) -> None:
    names = ["7kaa-data", "etw-data", "scratch"]
    monkeypatch.setattr(debian_noises, "NOISES", {name: NOISES[name] for name in names})
    rustle(tmp_path / "trees/7kaa-data/usr/share/rain.ogg", 5)
    rustle(tmp_path / "trees/etw-data/usr/share/crowd1.wav", 7)
    rustle(tmp_path / "trees/scratch/usr/share/renamed.wav", 5)
    debian_noises.main(tmp_path / "noises", build_debs(tmp_path / "trees", tmp_path / "debs"))
    told, warned = capsys.readouterr().out.splitlines()
    assert "from 2 packages" in told
    assert "scratch" in warned
    assert "7kaa-data" not in warned
    assert {p.name for p in (tmp_path / "noises").iterdir()} == {*names[:2], "licences"}


def test_patterns_are_lower_case() -> None:
    # They are matched without regard to case; a capital would only look as if it mattered.
    assert all(pattern == pattern.lower() for pattern in NOISES.values())
