"""A ring of samples between two threads: one writes, one reads, and nobody waits."""

import numpy as np

from rtdenoise.stft import FloatArray


class RingBuffer:
    """Samples on their way from one producer to one consumer.

    Neither side takes a lock or allocates, so either may be an audio callback. Each count
    is changed by one side only, and after the samples it counts are in place: what the
    other side sees is old at worst, never wrong.

    Args:
        capacity_samples: what it holds at most, of each channel.
        channels: number of channels.

    Example:
        >>> import numpy as np
        >>> ring = RingBuffer(capacity_samples=4, channels=1)
        >>> ring.write(np.ones((1, 3), np.float32)), ring.readable, ring.writable
        (3, 3, 1)
    """

    def __init__(self, capacity_samples: int, channels: int = 1) -> None:
        self._samples = np.zeros((channels, capacity_samples), np.float32)
        self._written = 0
        self._taken = 0

    @property
    def capacity_samples(self) -> int:
        """What it holds at most."""
        return int(self._samples.shape[1])

    @property
    def readable(self) -> int:
        """Samples that wait to be read."""
        return self._written - self._taken

    @property
    def writable(self) -> int:
        """Samples that there is room for."""
        return self.capacity_samples - self.readable

    def write(self, block: FloatArray) -> int:
        """Append samples, as many as there is room for; the producer's call.

        Args:
            block: float32 ``[channels, samples]``, in any memory order.

        Returns:
            how many were taken.
        """
        count = min(int(block.shape[1]), self.writable)
        start = self._written % self.capacity_samples
        first = min(count, self.capacity_samples - start)
        self._samples[:, start : start + first] = block[:, :first]
        self._samples[:, : count - first] = block[:, first:count]
        self._written += count
        return count

    def read(self, into: FloatArray) -> int:
        """Take the oldest samples, as many as there are; the consumer's call.

        Args:
            into: float32 ``[channels, samples]`` to be filled from its beginning, in any
                memory order.

        Returns:
            how many were given.
        """
        count = min(int(into.shape[1]), self.readable)
        start = self._taken % self.capacity_samples
        first = min(count, self.capacity_samples - start)
        into[:, :first] = self._samples[:, start : start + first]
        into[:, first:count] = self._samples[:, : count - first]
        self._taken += count
        return count

    def discard(self, count: int) -> None:
        """Forget the oldest samples, as many as there are; the consumer's call."""
        self._taken += min(count, self.readable)
