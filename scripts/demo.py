"""Denoises the recording that ships, measures it, and draws it.

    make demo

Writes demo-out/denoised.flac and demo-out/spectrograms.png.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.metrics import si_sdr_db
from rtdenoise.plot import draw_spectrograms

ROOT = Path(__file__).parents[1]
RECORDINGS = ROOT / "examples" / "demo"
RESULTS = ROOT / "demo-out"


def pause_level_db(audio: np.ndarray, clean: np.ndarray, rate: int) -> float:
    """Return the level in dBFS of the parts in which the voice rests.

    Args:
        audio: float32 ``[samples]``.
        clean: the voice alone, float32 ``[samples]``.
        rate: sample rate in Hz.
    """
    frame = rate // 50
    count = clean.size // frame
    voice = clean[: count * frame].reshape(count, frame).std(axis=1)
    rests = audio[: count * frame].reshape(count, frame)[voice < 1e-3 * voice.max()]
    return float(10 * np.log10(np.mean(rests**2) + 1e-12))


def main() -> None:
    """Run the command that the README shows, and report."""
    RESULTS.mkdir(exist_ok=True)
    denoised = RESULTS / "denoised.flac"
    command = [sys.executable, "-m", "rtdenoise", "file", str(RECORDINGS / "noisy.flac")]
    subprocess.run([*command, "-o", str(denoised), "--force"], check=True)
    clean, rate = soundfile.read(RECORDINGS / "clean.flac", dtype="float32")
    versions = {
        "before": soundfile.read(RECORDINGS / "noisy.flac", dtype="float32")[0],
        "after": soundfile.read(denoised, dtype="float32")[0],
    }
    print(f"{'':8}{'SI-SDR':>10}{'noise in pauses':>20}")
    for name, audio in versions.items():
        level = pause_level_db(audio, clean, rate)
        print(f"{name:8}{si_sdr_db(audio, clean):7.1f} dB{level:15.1f} dBFS")
    picture = RESULTS / "spectrograms.png"
    draw_spectrograms({**versions, "the voice alone": clean}, rate, picture)
    print(f"listen to {denoised}, look at {picture}")


if __name__ == "__main__":
    main()
