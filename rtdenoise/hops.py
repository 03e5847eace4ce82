"""Cuts the samples of many streams, which begin at different moments, into common hops."""

import numpy as np

from rtdenoise.stft import FloatArray


class Hops:
    """Collects samples until they make whole hops, for streams that begin one by one.

    All streams have their hops at the same moments, and each stream's first hop begins with
    its first sample: so a stream that begins within a hop of the others is delayed until
    the next one begins.

    Args:
        hop_samples: length of a hop.
        slots: number of streams that there is room for.

    Attributes:
        fresh: slots of streams whose first sample comes with the second hop from now; the
            first is the silence before it.
    """

    def __init__(self, hop_samples: int, slots: int) -> None:
        self._hop = hop_samples
        self.fresh: list[int] = []
        self._late = np.zeros(slots, np.intp)
        # What makes no whole hop yet, and before that, while any stream is late, a hop more.
        self._past = np.zeros((slots, 0), np.float32)
        self._lead = 0

    def begin(self, slot: int) -> bool:
        """Let a stream begin with the next sample; return whether it is fresh."""
        phase = self._past.shape[1] - self._lead
        if not phase:
            return False
        if not self._lead:
            self._lead = self._hop
            self._past = np.pad(self._past, ((0, 0), (self._lead, 0)))
        self._past[slot] = 0
        self._late[slot] = self._hop - phase
        self.fresh.append(slot)
        return True

    def end(self, slot: int) -> None:
        """Forget a stream."""
        self._past[slot] = 0
        self._late[slot] = 0
        self.fresh = [other for other in self.fresh if other != slot]
        if self._lead and not self._late.any():
            self._past, self._lead = self._past[:, self._lead :], 0

    def push(self, samples: FloatArray) -> FloatArray:
        """Take samples and return the whole hops that there are.

        Args:
            samples: float32 ``[slots, samples]``.

        Returns:
            float32 ``[slots, samples]``.
        """
        if self._past.shape[1]:
            samples = np.concatenate((self._past, samples), axis=1)
        ready = samples.shape[1] - self._lead
        ready -= ready % self._hop
        self._past = samples[:, ready:].copy()
        if not self._lead:
            return samples[:, :ready]
        places = (self._lead - self._late)[:, np.newaxis] + np.arange(ready)
        return np.take_along_axis(samples, places, axis=1)

    def waiting(self, slot: int) -> FloatArray:
        """Return what :meth:`push` has not given yet of a stream; the hop of a fresh one too."""
        return self._past[slot, self._lead - self._late[slot] :]
