"""A chirp is found where it was put, and not where there is none."""

import numpy as np
import pytest

from rtdenoise.loopback import LoopbackError, chirp, delay_samples


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("seed", range(4))
def test_the_delay_is_found_in_noise(rate: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    period = chirp(rate)
    delay = int(rng.integers(0, rate * 9 // 10))
    heard = np.tile(period, 8)
    heard = np.concatenate((np.zeros(delay, np.float32), heard))[: heard.size]
    # Turned down, upside down, through a room that smears it a little, in noise as loud.
    room = np.r_[1.0, 0.3 * rng.normal(size=20) * np.exp(-np.arange(20) / 5)]
    heard = np.convolve(-0.1 * heard, room)[: heard.size]
    heard += 0.03 * rng.normal(size=heard.size)
    assert delay_samples(heard.astype(np.float32), period) == pytest.approx(delay, abs=10)


def test_a_shift_now_and_then_does_not_count() -> None:
    period = chirp(16_000)
    parts = [np.roll(period, 3000 if k == 4 else 1000) for k in range(9)]
    assert delay_samples(np.concatenate(parts), period) == 1000


@pytest.mark.parametrize("what", ["silence", "noise", "too short"])
def test_without_a_chirp_there_is_no_delay(what: str) -> None:
    period = chirp(16_000)
    heard = {
        "silence": np.zeros(8 * period.size, np.float32),
        "noise": np.random.default_rng(1).normal(size=8 * period.size).astype(np.float32),
        "too short": period,
    }[what]
    with pytest.raises(LoopbackError, match="not heard on the input"):
        delay_samples(heard, period)
