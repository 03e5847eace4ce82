"""`make demo`: its recording is what its script makes, and the demo cleans it."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]


def test_demo_measures_cleans_and_draws(tmp_path):
    for name in ("scripts", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "scripts" / "demo.py")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    gained_db = float(rows["after"][1]) - float(rows["before"][1])
    quieter_db = float(rows["before"][3]) - float(rows["after"][3])
    assert gained_db > 2
    assert quieter_db > 15
    assert (tmp_path / "demo-out" / "spectrograms.png").stat().st_size > 10_000
    noisy = soundfile.info(tmp_path / "examples" / "demo" / "noisy.flac")
    assert soundfile.info(tmp_path / "demo-out" / "denoised.flac").frames == noisy.frames


def test_demo_recording_is_made_by_the_project(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "make_demo_audio.py", tmp_path / "scripts")
    command = [sys.executable, str(tmp_path / "scripts" / "make_demo_audio.py")]
    subprocess.run(command, check=True, timeout=120)
    for name in ("clean.flac", "noisy.flac"):
        made, rate = soundfile.read(tmp_path / "examples" / "demo" / name)
        shipped, shipped_rate = soundfile.read(ROOT / "examples" / "demo" / name)
        assert rate == shipped_rate
        # Another version of the voice may speak a little differently.
        assert abs(made.size - shipped.size) < rate
        assert (
            np.std(made) == np.float64(np.std(shipped))
            or abs(20 * np.log10(np.std(made) / np.std(shipped))) < 1
        )
