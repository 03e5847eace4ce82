"""Small synthetic corpora: several talkers of vowel-like sounds, and bursts of noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from small_runs import with_steps

from rtdenoise.train.augment import Augmentations, Strength
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ, Corpus, Pool, Sources
from rtdenoise.train.mix import MixConfig

Samples = npt.NDArray[np.float64]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # The tensors here are so small that a second thread only adds waiting.
    torch.set_num_threads(1)


def talk(rng: np.random.Generator, seconds: float) -> Samples:
    """A voice: harmonics of a gliding pitch that come and go four times a second."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = rng.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 16))
    syllables = np.clip(np.sin(2 * np.pi * 2 * time + rng.uniform(0, 6)), 0, None)
    return 0.2 * voice * syllables


def rustle(rng: np.random.Generator, seconds: float) -> Samples:
    """Noise whose level changes ten times a second."""
    count = round(seconds * RATE_HZ)
    level = np.interp(
        np.arange(count), np.arange(0, count, 1600), rng.uniform(0.2, 1, -(-count // 1600))
    )
    return 0.1 * level * rng.normal(size=count)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Four talkers with two recordings each, and three recordings of noise."""
    rng = np.random.default_rng(1)
    root = tmp_path_factory.mktemp("corpus")
    for talker in "abcd":
        (root / "speech" / talker).mkdir(parents=True)
        for take in range(2):
            soundfile.write(root / "speech" / talker / f"{take}.wav", talk(rng, 2.0), RATE_HZ)
    (root / "noise").mkdir()
    for name in ("fan", "rain", "street"):
        soundfile.write(root / "noise" / f"{name}.wav", rustle(rng, 2.0), RATE_HZ)
    return Sources(speech=str(root / "speech"), noise=str(root / "noise"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def pool(*files: npt.NDArray[np.int16]) -> Pool:
    lengths = torch.tensor([len(f) for f in files])
    samples = torch.from_numpy(np.concatenate(files).astype(np.int16))
    return Pool(samples, torch.cumsum(lengths, 0) - lengths, lengths)


@pytest.fixture(scope="session")
def make_pool() -> Callable[..., Pool]:
    """Make a pool of int16 arrays, one a file."""
    return pool


@pytest.fixture
def corpus() -> Corpus:
    """One file of speech and one of noise, 0.2 s each: a clip of 3200 samples is all of it."""
    rng = np.random.default_rng(2)
    return Corpus(
        pool(np.int16(32768 * 0.1 * rng.normal(size=3200).clip(-3, 3))),
        pool(np.int16(32768 * 0.1 * rng.normal(size=3200).clip(-3, 3))),
        paired=False,
    )


@pytest.fixture(scope="session")
def only() -> Callable[..., MixConfig]:
    """Make a configuration with everything that is drawn by chance off but what is named."""

    def configure(augmentations: dict[str, Strength] | None = None, **mix: object) -> MixConfig:
        chosen = Augmentations()
        for name in Augmentations.names():
            chosen = chosen.parse(f"{name}=0")
        chosen = Augmentations(**{**vars(chosen), **(augmentations or {})})
        chances = ("more_noise", "babble", "remix", "gap", "speech_only", "noise_only")
        quiet = dict.fromkeys(chances, 0.0)
        values = {"clip_samples": 3200, "snr_db": (6.0, 6.0), "rooms": 4, **quiet, **mix}
        return MixConfig(**values, augmentations=chosen)

    return configure


@pytest.fixture
def config(sources: Sources) -> FitConfig:
    """A run of ten steps with two validations on the way."""
    return with_steps(
        FitConfig(
            network="dncnn",
            arguments={"width": 8, "depth": 2, "dropout": 0.1},
            sources=sources,
            mix=MixConfig(rooms=2),
            patch_frames=20,
            patches=2,
            batch_clips=4,
            warmup_steps=2,
            check_steps=4,
            valid_clips=1,
        ),
        10,
    )
