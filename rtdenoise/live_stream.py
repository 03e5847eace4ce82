"""One of many live streams: its slot, its options, and what is still to come out of it."""

from rtdenoise.errors import AudioError
from rtdenoise.gains import Gains


class LiveStream:
    """One stream of a :class:`MultiDenoiser`, from ``join`` to ``leave``.

    Attributes:
        slot: row of the blocks that is this stream's.
        delay_samples: by how much the stream's output comes after its input, counted from
            the moment it joined; so much silence comes first.
        place: where its options are; None once it has left.
        silent_samples: how much of that silence is still to come.
        offset_samples: what the denoiser had taken and not given when the stream joined.
    """

    def __init__(
        self, slot: int, delay_samples: int, gains: tuple[Gains, int], offset_samples: int
    ) -> None:
        self.slot = slot
        self.delay_samples = delay_samples
        self.place: tuple[Gains, int] | None = gains
        self.offset_samples = offset_samples
        self.silent_samples = delay_samples

    @property
    def limit_db(self) -> float:
        """Most that any part of the signal is attenuated, in dB; may change at any time.

        Set it to None for the limit of the model's card.
        """
        gains, row = self._gains()
        return gains.limit_db(row)

    @limit_db.setter
    def limit_db(self, value: float | None) -> None:
        gains, row = self._gains()
        gains.set_limit_db(value, row)

    @property
    def mix(self) -> float:
        """Share of the denoised signal in the output; may change at any time."""
        gains, row = self._gains()
        return gains.mix(row)

    @mix.setter
    def mix(self, value: float) -> None:
        gains, row = self._gains()
        gains.set_mix(value, row)

    def _gains(self) -> tuple[Gains, int]:
        if self.place is None:
            raise AudioError(f"the stream of slot {self.slot} has left")
        return self.place
