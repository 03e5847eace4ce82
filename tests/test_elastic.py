"""Splicing leaves out or adds as much as asked, where it is quiet, and joins smoothly."""

import numpy as np
import pytest

from rtdenoise.elastic import Elastic

PIECE = 80


def pieces(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.normal(size=(count, 2, PIECE)).astype(np.float32))


def run(elastic: Elastic, signal: list[np.ndarray], excess: int) -> tuple[np.ndarray, list[int]]:
    out, lengths = [], []
    for piece in signal:
        out.append(elastic.push(piece, excess - elastic.removed_samples))
        lengths.append(out[-1].shape[1])
    return np.concatenate(out, 1), lengths


@pytest.mark.parametrize("excess", [0, 39, -39])
def test_small_errors_are_left_alone(excess: int) -> None:
    signal = pieces(1, 2000)
    out, _ = run(Elastic(PIECE, 200), signal, excess)
    np.testing.assert_array_equal(out, np.concatenate(signal, 1))


@pytest.mark.parametrize("excess", [40, 53, 80, 200, 20_000, -40, -75, -80, -333, -8000])
@pytest.mark.parametrize("seed", range(3))
def test_errors_are_gone_in_time(excess: int, seed: int) -> None:
    elastic = Elastic(PIECE, 200, recover_s=3.0)
    signal = pieces(seed, 2000)
    out, lengths = run(elastic, signal, excess)
    left = excess - elastic.removed_samples
    assert abs(left) < elastic.tolerance_samples
    assert elastic.removed_samples == elastic.dropped_samples - elastic.repeated_samples
    assert out.shape[1] == 2000 * PIECE - elastic.removed_samples
    # Of that much, 3 s of pieces are played; the rest is what had to go.
    last = max(k for k, length in enumerate(lengths) if length != PIECE)
    assert last <= 600 + max(0, excess) / PIECE + 4


def test_quiet_places_go_first() -> None:
    signal = pieces(2, 1000)
    for k in range(300, 340):
        signal[k] = 0.01 * signal[k]
    elastic = Elastic(PIECE, 200)
    run(elastic, signal[:290], 0)
    _, lengths = run(elastic, signal[290:], 10 * PIECE)
    changed = {k + 290 for k, length in enumerate(lengths) if length != PIECE}
    assert len(changed) >= 10
    assert sum(300 <= k < 341 for k in changed) >= 7


def test_in_a_hurry_every_place_will_do() -> None:
    elastic = Elastic(PIECE, 200)
    for piece in pieces(3, 14):
        elastic.push(piece, 10 * PIECE - elastic.removed_samples, hurry=True)
    assert elastic.removed_samples == 10 * PIECE


def test_what_is_forgotten_is_not_heard_again() -> None:
    elastic = Elastic(PIECE, 200)
    for _ in range(3):  # the second is held back, for one
        elastic.push(np.ones((2, PIECE), np.float32), 2 * PIECE, hurry=True)
        elastic.forget()
        assert elastic.removed_samples == elastic.dropped_samples
    silence = np.zeros((2, PIECE), np.float32)
    np.testing.assert_array_equal(elastic.push(silence, 0), silence)


@pytest.mark.parametrize("excess", [-80, -60, 60, 80, 240])
def test_a_slow_signal_stays_smooth(excess: int) -> None:
    t = np.arange(1000 * PIECE)
    wave = np.sin(2 * np.pi * t / 2000).astype(np.float32)
    signal = list(np.stack([wave, wave]).reshape(2, -1, PIECE).transpose(1, 0, 2))
    out, _ = run(Elastic(PIECE, 200), signal, excess)
    assert out.shape[1] != len(wave)
    # A fade of 60 samples between values less than one cycle of 80 apart.
    assert np.abs(np.diff(out)).max() < 0.02
