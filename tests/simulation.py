"""A live run in virtual time: two callbacks with clocks of their own, and a worker."""

import numpy as np
from toys import FixedGain

from rtdenoise.denoiser import Denoiser
from rtdenoise.pipeline import Pipeline


def seconds_since_start(sample, rate):
    """The signal that tells its own time: how old it is when played is the delay."""
    return (sample / rate).astype(np.float32)


class Simulation:
    """Runs a pipeline for some seconds and logs what the output callback played.

    Args:
        rate, out_rate: in Hz.
        block_ms: of both callbacks.
        duplex: one callback for both.
        drift_ppm: by how much slower the output's clock is.
        phase_s: the output callback comes so much after the input callback.
        jitter_s: a callback comes up to so much late.
        jitter_power: the higher, the rarer is much of it.
        stall_s: from when to when no work is done.
        signal: what is heard, from sample numbers and rate.
        model: a toy; one whose ``on_burst`` can be set calls it for as long as its work takes.
        burst_s: how long that is.
        told_ms: what the pipeline is told of it; by default the truth.
    """

    def __init__(
        self,
        rate=16_000,
        out_rate=None,
        block_ms=5.0,
        duplex=True,
        cushion_ms=5.0,
        drift_ppm=0.0,
        phase_s=0.003,
        jitter_s=0.0,
        jitter_power=1,
        stall_s=(np.inf, np.inf),
        signal=seconds_since_start,
        model=None,
        burst_s=0.0,
        told_ms=None,
        recorder=None,
        seed=0,
    ):
        self.rate, self.out_rate = rate, out_rate or rate
        self.in_block = round(rate * block_ms / 1000)
        self.out_block = round(self.out_rate * block_ms / 1000)
        self.now = 0.0
        self.pipeline = Pipeline(
            Denoiser(rate, model or FixedGain(1.0), out_rate=self.out_rate),
            in_block=self.in_block,
            out_block=self.out_block,
            cushion_ms=cushion_ms,
            duplex=duplex,
            burst_ms=1000 * burst_s if told_ms is None else told_ms,
            recorder=recorder,
            clock=lambda: self.now,
        )
        self._duplex, self._signal, self._stall_s = duplex, signal, stall_s
        self._in_s = self.in_block / rate
        self._out_s = self.out_block / self.out_rate * (1 + 1e-6 * drift_ppm)
        self._phase_s, self._jitter_s, self._jitter_power = phase_s, jitter_s, jitter_power
        self._rng = np.random.default_rng(seed)
        self._heard = self._played = 0
        self._late_s = [self._draw(), self._draw()]
        if burst_s:
            model.on_burst = lambda: self._go_on(self.now + burst_s)

    def _draw(self):
        """Return how late the next callback is."""
        return self._jitter_s * self._rng.random() ** self._jitter_power

    def run(self, seconds):
        """Return times of output callbacks and what each played: ``[n]``, ``[n, samples]``."""
        self._log = []
        while self._call_back(seconds):
            if not self._stall_s[0] <= self.now < self._stall_s[1]:
                while self.pipeline.work():
                    pass
        return np.array([at for at, _ in self._log]), np.array([block for _, block in self._log])

    def _go_on(self, until):
        """Let callbacks come while the worker is at work."""
        while self._call_back(until):
            pass
        self.now = until

    def _call_back(self, until):
        """Do the next callback, unless it comes later than ``until``; return whether."""
        hear_s = (self._heard + 1) * self._in_s + self._late_s[0]
        play_s = (self._played + 1) * self._out_s + self._phase_s + self._late_s[1]
        if self._duplex:
            play_s = hear_s
        if min(hear_s, play_s) > until:
            return False
        self.now = max(self.now, min(hear_s, play_s))
        to_play = np.full((self.out_block, 1), np.nan, np.float32)
        samples = np.arange(self._heard * self.in_block, (self._heard + 1) * self.in_block)
        heard = self._signal(samples, self.rate)[:, np.newaxis]
        if self._duplex:
            self.pipeline.exchange(heard, to_play)
        elif hear_s <= play_s:
            self.pipeline.capture(heard)
        else:
            self.pipeline.play(to_play)
        if self._duplex or hear_s <= play_s:
            self._heard += 1
            self._late_s[0] = self._draw()
        if self._duplex or hear_s > play_s:
            self._played += 1
            self._late_s[1] = self._draw()
            self._log.append((self.now, to_play[:, 0]))
        return True

    def delays_ms(self, times, blocks):
        """Return how old the last sample of each block was, for a signal that tells its time."""
        return 1000 * (times - blocks[:, -1])
