"""Many live streams at once, which come and go, through one model: for servers."""

import heapq
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtdenoise.batch import Batch, Each
from rtdenoise.errors import AudioError
from rtdenoise.frontend import check_type, finite
from rtdenoise.hops import Hops
from rtdenoise.live_stream import LiveStream
from rtdenoise.model import DEFAULT_MODEL, Model, load_model
from rtdenoise.stft import FloatArray, check_rate

CPU_BATCH = 8
"""Streams of a forward pass on a CPU. Of 64 streams, larger batches make each of dncnn slower, as
their state outgrows the cache, and each of dualpath hardly faster; and a batch with a single
stream costs as much as a full one."""

LEAST_PART, MOST_PART = 32, 256
"""Streams that a front end has: fewer are not worth a thread, more do not stay in its cache."""


class MultiDenoiser:
    """Denoises up to a number of live streams, in batches; streams may come and go.

    Each stream has a slot: a row of the blocks that :meth:`process` takes and gives. What
    comes out for a stream is what a :class:`~rtdenoise.Denoiser` of its own would give,
    ``delay_samples`` later: whole hops in, as many samples out, from the first call on.

    Methods must not be called at the same time; limit and mix of a stream may be set at any
    time, from another thread too.

    Args:
        rate: sample rate in Hz, 8000 to 96000, of all streams.
        model: a name, the folder of an exported model, or a loaded model.
        streams: how many there may be at a time.
        device: where a model given by name or folder runs.
        batch: streams of one forward pass. None for all of them on a GPU, and 8 on a CPU,
            where more cost more each. A batch without streams costs nothing.
        threads: that share the work: batches, or the front end of a single batch.

    Attributes:
        hop_samples: what is worked on at once. Blocks of whole hops wait for nothing.

    Raises:
        AudioError: rate, streams, batch or threads cannot be used.
        ModelError: the model cannot be used.

    Example:
        >>> import numpy as np
        >>> multi = MultiDenoiser(16_000, "wiener", streams=100)
        >>> anna, ben = multi.join(), multi.join(limit_db=12.0)
        >>> blocks = np.zeros((100, 160), np.float32)  # filled anew for each call
        >>> for _ in range(10):
        ...     clean = multi.process(blocks)
        >>> clean.shape, clean[anna.slot].shape
        ((100, 160), (160,))
        >>> len(multi.leave(anna)) == anna.delay_samples
        True
    """

    def __init__(
        self,
        rate: int,
        model: str | Path | Model = DEFAULT_MODEL,
        *,
        streams: int,
        device: str = "cpu",
        batch: int | None = None,
        threads: int = 1,
    ) -> None:
        for name, value in (("streams", streams), ("batch", batch), ("threads", threads)):
            if value is not None and value < 1:
                raise AudioError(f"{name} is {value}; it must be 1 or more")
        try:
            self.rate = check_rate(rate)
        except ValueError as error:
            raise AudioError(str(error)) from error
        self.model = model if isinstance(model, Model) else load_model(model, device)
        self.slots = streams
        self.hop_samples = self.model.config.hop_samples(self.rate)
        size = batch or (CPU_BATCH if self.model.device == "cpu" else streams)
        edges = [*range(0, streams, size), streams]
        # A single batch has a part for each thread, unless that would be little work.
        parts = min(threads, streams // LEAST_PART) if size >= streams else 1
        parts = max(parts, -(-min(size, streams) // MOST_PART))
        self._batch_streams = size
        self._rows = [slice(*pair) for pair in pairwise(edges)]
        self._batches = [
            Batch(self.model, self.rate, rows.stop - rows.start, parts) for rows in self._rows
        ]
        self._leaver = Batch(self.model, self.rate, 1)
        self._each: Each = ThreadPoolExecutor(threads).map if threads > 1 else map
        self._streams: dict[int, LiveStream] = {}
        self._is_taken = np.zeros(streams, np.bool_)
        self._free = list(range(streams))
        self._held = 0  # samples taken and not given
        self._starting: list[LiveStream] = []  # whose silence has not all come out
        self._hops = Hops(self.hop_samples, streams)
        self._prepare()

    @property
    def streams(self) -> list[LiveStream]:
        """The streams that have joined and not left, in the order of their slots."""
        return [self._streams[slot] for slot in sorted(self._streams)]

    @property
    def latency_samples(self) -> int:
        """Algorithmic latency: samples that must follow one before it comes out."""
        config = self.model.config
        return config.latency_samples(self.rate) + self.model.lookahead_frames * self.hop_samples

    @property
    def latency_ms(self) -> float:
        """Algorithmic latency in milliseconds."""
        return 1000 * self.latency_samples / self.rate

    def join(self, *, limit_db: float | None = None, mix: float = 1.0) -> LiveStream:
        """Let a stream begin with the next block.

        Args:
            limit_db: most that any part of the stream is attenuated; None for the limit that
                the model's card gives, ``math.inf`` for none at all.
            mix: 1 gives the denoised signal, 0 the input.

        Returns:
            the stream, in the lowest free slot.

        Raises:
            AudioError: all slots are taken, or limit_db or mix cannot be used.
        """
        if not self._free:
            raise AudioError(f"all {self.slots} streams are taken; let one leave first")
        slot = self._free[0]
        batch, row = self._place(slot)
        gains, number = batch.gains(row)
        gains.set_limit_db(limit_db, number)
        gains.set_mix(mix, number)
        heapq.heappop(self._free)
        self._reset(slot)
        delay = self.latency_samples - self.hop_samples
        if self._hops.begin(slot):
            delay += self.hop_samples
        stream = LiveStream(slot, delay, (gains, number), self._held)
        self._streams[slot] = stream
        self._starting.append(stream)
        self._is_taken[slot] = True
        return stream

    def leave(self, stream: LiveStream, *, flush: bool = True) -> FloatArray:
        """Let a stream end, and its slot be free.

        Args:
            stream: from :meth:`join`.
            flush: whether to work out the rest of its signal, which takes about as long as a
                few hops of it alone. False where nobody listens any more.

        Returns:
            float32 ``[samples]``: the rest. Without the first ``delay_samples``, what came out
            for the stream and this make up exactly the signal that went in, denoised.

        Raises:
            AudioError: the stream has left, or is none of this denoiser.
        """
        slot = stream.slot
        if self._streams.get(slot) is not stream:
            raise AudioError(f"the stream of slot {slot} has left, or is another denoiser's")
        rest = self._rest(stream) if flush else np.zeros(0, np.float32)
        self._reset(slot)
        del self._streams[slot]
        self._starting = [other for other in self._starting if other is not stream]
        stream.place = None
        heapq.heappush(self._free, slot)
        self._is_taken[slot] = False
        self._hops.end(slot)
        return rest

    def process(self, blocks: npt.ArrayLike) -> FloatArray:
        """Take the next samples of all streams and return what is ready.

        NaN and infinite samples count as 0.

        Args:
            blocks: floating point ``[slots, samples]``, full scale 1, any number of samples.
                Rows of free slots are not looked at.

        Returns:
            float32 ``[slots, samples]``: as many samples as went in where that are whole hops,
            else the whole hops that are ready. Rows of free slots are silent.

        Raises:
            AudioError: the blocks have another shape or no floating-point type.
        """
        array = np.asarray(blocks)
        check_type(array)
        if array.ndim != 2 or array.shape[0] != self.slots:
            raise AudioError(
                f"blocks have shape {array.shape}; they must be [slots, samples] with "
                f"{self.slots} slots"
            )
        samples = finite(array)
        if self._free:
            samples = np.where(self._is_taken[:, np.newaxis], samples, np.float32(0))
        fresh = self._hops.fresh
        hops = self._hops.push(samples)
        busy = [n for n, rows in enumerate(self._rows) if self._is_taken[rows].any()]
        most = self.model.frames_per_step * self.hop_samples
        edges = {*range(0, hops.shape[1], most), hops.shape[1]}
        if fresh and hops.shape[1]:
            edges.add(self.hop_samples)
        parts = []
        for begin, end in pairwise(sorted(edges)):
            parts.append(self._advance(hops[:, begin:end], busy))
            while fresh:  # the hop before their first sample was not theirs
                self._reset(fresh.pop())
        clean = parts[0] if len(parts) == 1 else np.concatenate([hops[:, :0], *parts], axis=1)
        self._held += samples.shape[1] - clean.shape[1]
        for stream in self._starting:
            clean[stream.slot, : stream.silent_samples] = 0
            stream.silent_samples = max(0, stream.silent_samples - clean.shape[1])
        self._starting = [stream for stream in self._starting if stream.silent_samples]
        return clean

    def _prepare(self) -> None:
        """Work on silence: first calls allocate and compile, which no caller shall wait for."""
        self._advance(np.zeros((self.slots, self.hop_samples), np.float32), range(len(self._rows)))
        self._leaver.push(np.zeros((1, self.latency_samples + self.hop_samples), np.float32))
        burst = self.model.hops_per_burst
        if burst == 1 or self.model.device == "cpu":
            return
        # Any number of streams may have their bursts together; a GPU prepares some sizes.
        most, size = min(self.slots, self.model.frames_per_step // burst), 1
        while size < 2 * most:
            silence = np.zeros((size, burst, self.model.bins), np.complex64)
            self.model.step(silence, self.model.start(size))
            size *= 2

    def _place(self, slot: int) -> tuple[Batch, int]:
        """Return the batch of a slot, and its row there."""
        number, row = divmod(slot, self._batch_streams)
        return self._batches[number], row

    def _reset(self, slot: int) -> None:
        """Forget what a slot's batch knows of its signal."""
        batch, row = self._place(slot)
        batch.reset_rows([row])

    def _advance(self, samples: FloatArray, numbers: Sequence[int]) -> FloatArray:
        """Denoise whole hops of batches; those of the others are silent."""
        if len(self._batches) == 1 and numbers:
            return self._batches[0].push(samples, self._each)
        clean = np.zeros(samples.shape, np.float32)
        parts = self._each(
            Batch.push,
            [self._batches[number] for number in numbers],
            [samples[self._rows[number]] for number in numbers],
        )
        for number, part in zip(numbers, parts, strict=True):
            clean[self._rows[number]] = part
        return clean

    def _rest(self, stream: LiveStream) -> FloatArray:
        """Return what has not come out of a stream yet, worked out apart from the others."""
        batch, row = self._place(stream.slot)
        self._leaver.copy_row(batch, row)
        waiting = self._hops.waiting(stream.slot)
        before = np.zeros(0, np.float32)
        if stream.slot in self._hops.fresh:
            before = np.zeros(self.hop_samples, np.float32)
            waiting = waiting[self.hop_samples :]
        silence = np.zeros(self.latency_samples + self.hop_samples, np.float32)
        end = self._leaver.push(np.concatenate((waiting, silence))[np.newaxis])[0]
        wanted = stream.delay_samples + self._held - stream.offset_samples
        rest = np.concatenate((before, end))[:wanted]
        rest[: stream.silent_samples] = 0
        return rest
