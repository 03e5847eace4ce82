"""Makes the recordings in examples/demo: a synthetic voice in synthetic noise.

    python scripts/make_demo_audio.py

Needs espeak-ng. The noise is a fan (coloured hiss), mains hum and typing (clicks).
"""

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, resample_poly, sosfilt

RATE_HZ = 16_000
SNR_DB = 5.0
FOLDER = Path(__file__).parents[1] / "examples" / "demo"
TEXT = (
    "Good morning, and thank you for calling. The fan is loud, the mains are humming, "
    "and someone is typing. All of that can go. Only the voice should stay."
)


def speak(text: str) -> np.ndarray:
    """Return text spoken by espeak-ng: float64 ``[samples]`` at 16 kHz."""
    command = ["espeak-ng", "-v", "en-gb", "-s", "150", "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    voice, rate = soundfile.read(io.BytesIO(wav))
    return resample_poly(voice, RATE_HZ, rate)


def make_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return fan, hum and typing: float64 ``[samples]``."""
    time = np.arange(samples) / RATE_HZ
    hiss = rng.normal(size=samples)
    fan = sosfilt(butter(1, 500, "low", fs=RATE_HZ, output="sos"), hiss) * 3 + 0.25 * hiss
    fan *= 1 + 0.15 * np.sin(2 * np.pi * 7.3 * time)
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5, 7))
    typing = np.zeros(samples)
    click = rng.normal(size=(400, 480)) * np.exp(-np.arange(480) / 60)
    for k, place in enumerate(np.cumsum(rng.uniform(0.09, 0.35, 400) * RATE_HZ).astype(int)):
        if place + 480 < samples:
            typing[place : place + 480] += click[k]
    return fan / np.std(fan) + 0.3 * hum + 3.0 * typing


def main() -> None:
    """Write clean.flac and noisy.flac."""
    rng = np.random.default_rng(11)
    silence = np.zeros(RATE_HZ // 2)
    clean = np.concatenate((silence, speak(TEXT), silence))
    clean *= 0.1 / np.std(clean)
    noise = make_noise(clean.size, rng)
    noise *= np.std(clean) / np.std(noise) * 10 ** (-SNR_DB / 20)
    FOLDER.mkdir(parents=True, exist_ok=True)
    scale = 0.9 / max(np.abs(clean + noise).max(), 0.9)
    soundfile.write(FOLDER / "clean.flac", clean * scale, RATE_HZ)
    soundfile.write(FOLDER / "noisy.flac", (clean + noise) * scale, RATE_HZ)


if __name__ == "__main__":
    main()
