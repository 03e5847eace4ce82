"""The live path between two audio callbacks: ring, denoiser, elastic, ring.

The callbacks only copy; :meth:`Pipeline.work` does one hop of the rest, from a thread of
its own. What the output has in reserve when a callback has been served is its *margin*.
The least margin of the last second says whether sound waits too long or comes too late,
whatever the sizes, phases and clocks of the devices are; it is held at the cushion.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rtdenoise.denoiser import Denoiser
from rtdenoise.elastic import Elastic
from rtdenoise.meters import KEPT_HOPS, Levels
from rtdenoise.recorder import Recorder
from rtdenoise.ring import RingBuffer
from rtdenoise.stft import FloatArray

RING_S = 4.0
"""What each ring holds: the longest standstill that loses nothing."""

WINDOW_S = 1.0
"""The least margin of so long counts."""

SETTLE_S = 0.2
"""After a gap the margins of so long are enough to act on."""

START_S = 1.5
"""Streams that have just opened may bring old sound in bursts, which nobody waits for: so
long the delay is set right at once, without a search for quiet places."""

STALL_S = 0.25
"""Work that is this much behind has stood still."""

CHRONIC_UNDERRUNS = 3
CHRONIC_S = 10.0
"""So many gaps within so long are no accident: the cushion is too small for this system."""


@dataclass
class Counts:
    """What went wrong and what was done about it, since the start."""

    underruns: int = 0
    overruns: int = 0
    stalls: int = 0
    callbacks: int = 0


class Pipeline:
    """Takes blocks from one callback and has blocks ready for another.

    Args:
        denoiser: what turns noisy into clean; its ``out_rate`` is that of the output.
        in_block: samples of an input callback.
        out_block: samples of an output callback.
        cushion_ms: margin to hold.
        burst_ms: what the hop takes that has the work of many, for a model whose work is
            uneven; 0 for others. It is held besides the cushion.
        duplex: whether one callback serves both input and output. Two callbacks have clocks
            of their own: one that was first comes second one day, which costs a block's
            margin at once, so the cushion is a block larger.
        recorder: gets each hop and what became of it.
        clock: tells the time in seconds.

    Attributes:
        counts: of xruns and the like.
        levels: of input and output.
        hop_times_s: what the work on each of the last hops took.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        in_block: int,
        out_block: int,
        cushion_ms: float,
        duplex: bool,
        burst_ms: float = 0.0,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        config, self._denoiser = denoiser.model.config, denoiser
        self._in_rate, self._out_rate = denoiser.rate, denoiser.out_rate
        self._hop = config.hop_samples(self._in_rate)
        self._out_hop = config.hop_samples(self._out_rate)
        self._out_block = out_block
        self._recorder, self._clock = recorder, clock
        self._input = np.zeros((denoiser.channels, self._hop), np.float32)
        self._inbox = RingBuffer(round(RING_S * self._in_rate), denoiser.channels)
        self._outbox = RingBuffer(round(RING_S * self._out_rate), denoiser.channels)
        pieces = 2 * self._out_rate / self._out_hop
        self._elastic = Elastic(max(1, self._out_hop // 2), pieces)
        self._margins: deque[int] = deque(maxlen=math.ceil(WINDOW_S * self._out_rate / out_block))
        self._settled = max(2, math.ceil(SETTLE_S * self._out_rate / out_block))
        self._delays: deque[float] = deque(maxlen=self._margins.maxlen)
        self._underrun_times: deque[float] = deque(maxlen=CHRONIC_UNDERRUNS)
        self.counts = Counts()
        self.levels = Levels()
        self.hop_times_s: deque[float] = deque(maxlen=KEPT_HOPS)
        held_ms = cushion_ms + burst_ms
        self._cushion = round(held_ms * self._out_rate / 1000) + (0 if duplex else out_block)
        self._burst_s = burst_ms / 1000
        # Blocks that are no whole hops leave part of a hop waiting.
        rest = self._hop - math.gcd(in_block, self._hop)
        self._waiting = in_block + rest
        self._full_inside = denoiser.latency_samples - self._hop
        self._start_samples = out_block + self._out_samples(self._full_inside + rest)
        self.restart()

    @property
    def nominal_ms(self) -> float:
        """Delay from input callback to output callback as it should be."""
        return 1000 * (self._start_samples + self._cushion) / self._out_rate

    @property
    def delay_ms(self) -> float:
        """That delay as it was, the median over the last second."""
        delays = list(self._delays)
        return 1000 * float(np.median(delays)) / self._out_rate if delays else self.nominal_ms

    @property
    def cushion_ms(self) -> float:
        """Margin to hold; it grows when gaps become chronic."""
        return 1000 * self._cushion / self._out_rate

    @property
    def dropped_ms(self) -> float:
        """Sound left out to bring the delay down."""
        return 1000 * self._elastic.dropped_samples / self._out_rate

    @property
    def repeated_ms(self) -> float:
        """Sound added to bring the delay up."""
        return 1000 * self._elastic.repeated_samples / self._out_rate

    def restart(self) -> None:
        """Finish what was heard and begin anew; neither callbacks nor work may be running."""
        self.finish()
        self._inbox.discard(self._inbox.readable)
        self._outbox.discard(self._outbox.readable)
        self._margins.clear()
        self._delays.clear()
        self._captured = self._played = self._behind = self._starved = False
        self._captured_at = self._started_at = self._clock()
        self._inside = 0  # samples at the input's rate between the rings
        self._in_burst = 0  # samples of the hop that has the work of many, while it is done
        self._elastic.forget()
        self._removed = self._elastic.removed_samples
        silence = np.zeros((self._denoiser.channels, self._start_samples + self._cushion))
        self._outbox.write(silence.astype(np.float32))

    def finish(self) -> None:
        """Let the recording have what the model still holds; no work may be going on."""
        rest = np.atleast_2d(self._denoiser.flush())
        if self._recorder is not None:
            self._recorder.write(rest[:, :0], rest)

    def capture(self, block: FloatArray) -> None:
        """Take what was heard: the input callback's call.

        Args:
            block: float32 ``[samples, channels]``.
        """
        self._captured_at = self._clock()
        if not self._captured:
            self._captured, self._started_at = True, self._captured_at
        if self._played and self._inbox.write(block.T) < len(block):
            self.counts.overruns += 1

    def play(self, block: FloatArray) -> None:
        """Fill in what to play: the output callback's call.

        Args:
            block: float32 ``[samples, channels]`` with as many channels as the denoiser
                has or, for one channel, any number.
        """
        self.counts.callbacks += 1
        self._played = True
        if not self._captured:
            block[:] = 0
            return
        ours = block[:, : self._denoiser.channels]
        given = self._outbox.read(ours.T)
        ours[given:] = 0
        block[:, self._denoiser.channels :] = ours[:, :1]
        starved, self._starved = self._starved, given < len(block)
        if self._starved:
            self._margins.clear()  # what was before the gap says nothing about after it
            if not starved:
                self.counts.underruns += 1
                self._underrun_times.append(self._clock())
        undone = self._inbox.readable + self._in_burst
        late = self._out_samples(max(0, undone - self._waiting))
        self._margins.append(self._outbox.readable + late + self._removed - self._lent())
        inside = self._inbox.readable + self._inside
        age = (self._clock() - self._captured_at) * self._out_rate
        self._delays.append(age + self._out_samples(inside) + self._outbox.readable)

    def exchange(self, heard: FloatArray, to_play: FloatArray) -> None:
        """Take and fill in at once: the callback's call of a duplex stream."""
        self._played = True
        self.capture(heard)
        self.play(to_play)

    def work(self) -> bool:
        """Do the work on one hop, if there is one and its sound has room.

        Sound that has to catch up waits in the first ring: the second is filled no more
        than usual, so that all of it passes the elastic.

        Returns:
            whether there was work.
        """
        if self._is_starting:
            usual = self._waiting + self._hop + math.ceil(self._burst_s * self._in_rate)
            self._inbox.discard(max(0, self._inbox.readable - usual))
        backlog = self._inbox.readable
        full = self._cushion + self._out_block + 2 * self._out_hop + self._lent()
        if backlog < self._hop or self._outbox.readable > full:
            return False
        if backlog < STALL_S * self._in_rate:
            self._behind = False
        elif not self._behind and backlog >= (STALL_S + self._burst_s) * self._in_rate:
            self._behind = True
            self.counts.stalls += 1
        begin = time.perf_counter()
        self._inside += self._hop
        # A burst is late by plan, and the cushion has its time: all of what waits for it is no
        # less of a margin. Other work that takes so long that a callback sees it does lessen it.
        self._in_burst = self._hop if self._burst_s else 0
        self._inbox.read(self._input)
        clean = self._denoiser.process(self._input)
        for start in range(0, clean.shape[1], half := -(-self._out_hop // 2)):
            self._send(clean[:, start : start + half])
        self._in_burst = 0
        self._inside -= clean.shape[1] * self._in_rate // self._out_rate
        self.levels.hear(self._input, clean)
        if self._recorder is not None:
            self._recorder.write(self._input, clean)
        self.hop_times_s.append(time.perf_counter() - begin)
        return True

    def _send(self, piece: FloatArray) -> None:
        """Put a piece of clean sound into the ring, or what the delay makes of it."""
        elastic = self._elastic
        # While it catches up, too, there must be enough to carry over the next burst.
        keep = self._burst_s > 0 and self._outbox.readable < self._cushion
        excess = self._excess_samples()
        out = elastic.push(piece, excess, hurry=self._is_starting, keep=keep)
        # A callback may look at any moment. In this order it sees no margin too small.
        self._removed = max(self._removed, elastic.removed_samples)
        self._outbox.write(out)
        self._removed = elastic.removed_samples

    @property
    def _is_starting(self) -> bool:
        return self._captured_at - self._started_at < START_S

    def _excess_samples(self) -> int:
        """Return by how much the least margin is beyond the cushion."""
        margins = list(self._margins)
        if len(margins) < self._settled:
            return 0
        return min(margins) - self._elastic.removed_samples - self._cushion

    def ease(self) -> bool:
        """Make the cushion larger if gaps have become chronic.

        Returns:
            whether it was.
        """
        times = list(self._underrun_times)
        chronic = len(times) == CHRONIC_UNDERRUNS and times[-1] - times[0] < CHRONIC_S
        if not chronic or self._behind:
            return False
        self._underrun_times.clear()
        # Bursts that are too long for their reserve are so by a share of their time.
        burst = round(self._burst_s * self._out_rate)
        self._cushion += max(self._out_hop // 2, burst // 4)
        return True

    def _lent(self) -> int:
        """Return what the output has at first because the model does not hold as much yet."""
        return self._out_samples(max(0, self._full_inside - self._inside))

    def _out_samples(self, in_samples: int) -> int:
        """Return as many samples at the output's rate."""
        return -(-in_samples * self._out_rate // self._in_rate)
