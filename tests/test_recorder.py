"""Recordings are whole, in step, and never replace what is there."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from simulation import Simulation

from rtdenoise.paths import FileError
from rtdenoise.recorder import Recorder


@pytest.mark.parametrize("out_rate", [16_000, 48_000])
def test_both_files_are_aligned_and_whole(tmp_path: Path, out_rate: int) -> None:
    raw, clean = tmp_path / "raw.wav", tmp_path / "clean.wav"

    def tones(samples, rate):
        return (0.4 * np.sin(2 * np.pi * 300 * samples / rate)).astype(np.float32)

    with Recorder(raw, clean, (16_000, out_rate), 1) as recorder:
        simulation = Simulation(
            16_000, out_rate, signal=tones, stall_s=(2.0, 2.5), recorder=recorder
        )
        simulation.run(4.0)
        simulation.pipeline.restart()
    noisy, rate = soundfile.read(raw, dtype="float32")
    heard, rate_out = soundfile.read(clean, dtype="float32")
    assert (rate, rate_out) == (16_000, out_rate)
    assert len(noisy) / rate == pytest.approx(4.0, abs=0.02)
    assert len(heard) * rate == len(noisy) * rate_out
    np.testing.assert_allclose(noisy, tones(np.arange(len(noisy)), rate), atol=1e-6)
    inner = slice(rate_out // 10, -rate_out // 10)
    wanted = tones(np.arange(len(heard)), rate_out)
    np.testing.assert_allclose(heard[inner], wanted[inner], atol=1e-3)


def test_existing_files_stay(tmp_path: Path) -> None:
    raw, clean = tmp_path / "raw.wav", tmp_path / "clean.wav"
    clean.write_text("dear to someone")
    with pytest.raises(FileError, match=r"clean\.wav exists; use --force"):
        Recorder(raw, clean, (16_000, 16_000), 1)
    assert not raw.exists()
    assert clean.read_text() == "dear to someone"
    Recorder(raw, clean, (16_000, 16_000), 1, force=True).close()
    assert soundfile.info(clean).frames == 0


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        Recorder(tmp_path / "no" / "raw.wav", tmp_path / "clean.wav", (16_000, 16_000), 1)
    with pytest.raises(FileError, match="two files"):
        Recorder(tmp_path / "a.wav", tmp_path / "." / "a.wav", (16_000, 16_000), 1)
