"""The ring gives back what went in, in order, whatever the portions, also between threads."""

import threading

import numpy as np
import pytest

from rtdenoise.ring import RingBuffer


@pytest.mark.parametrize("capacity", [1, 7, 64])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_a_queue_with_a_list_agrees(capacity: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ring, waiting = RingBuffer(capacity, channels), np.zeros((channels, 0), np.float32)
    for _ in range(300):
        block = rng.normal(size=(channels, rng.integers(0, 2 * capacity))).astype(np.float32)
        taken = ring.write(block)
        assert taken == min(block.shape[1], capacity - waiting.shape[1])
        waiting = np.concatenate((waiting, block[:, :taken]), 1)
        into = np.full((channels, rng.integers(0, 2 * capacity)), np.nan, np.float32)
        given = ring.read(into)
        assert given == min(into.shape[1], waiting.shape[1])
        np.testing.assert_array_equal(into[:, :given], waiting[:, :given])
        assert np.isnan(into[:, given:]).all()
        waiting = waiting[:, given:]
        assert (ring.readable, ring.writable) == (waiting.shape[1], capacity - waiting.shape[1])


def test_interleaved_device_buffers_fit() -> None:
    ring, rng = RingBuffer(50, 2), np.random.default_rng(1)
    heard, to_play = rng.normal(size=(40, 2)).astype(np.float32), np.empty((40, 2), np.float32)
    for _ in range(5):  # beyond the end
        ring.write(heard.T)
        ring.read(to_play.T)
        np.testing.assert_array_equal(to_play, heard)


def test_discard_forgets_the_oldest() -> None:
    ring = RingBuffer(10)
    ring.write(np.arange(7, dtype=np.float32)[np.newaxis])
    ring.discard(5)
    assert (ring.readable, ring.writable) == (2, 8)
    into = np.zeros((1, 2), np.float32)
    ring.read(into)
    np.testing.assert_array_equal(into, [[5, 6]])
    ring.write(np.ones((1, 4), np.float32))
    ring.discard(100)
    assert (ring.readable, ring.writable) == (0, 10)


def test_two_threads_see_every_sample_in_order() -> None:
    ring, total = RingBuffer(97), 20_000
    numbers = np.arange(total, dtype=np.float32)[np.newaxis]

    def produce() -> None:
        rng, done = np.random.default_rng(2), 0
        while done < total:
            done += ring.write(numbers[:, done : done + int(rng.integers(1, 120))])

    producer = threading.Thread(target=produce)
    producer.start()
    rng, done = np.random.default_rng(3), 0
    into = np.empty((1, 120), np.float32)
    while done < total:
        given = ring.read(into[:, : int(rng.integers(1, 120))])
        np.testing.assert_array_equal(into[:, :given], numbers[:, done : done + given])
        done += given
    producer.join()
    assert ring.readable == 0
