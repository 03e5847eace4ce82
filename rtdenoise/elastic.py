"""Brings a delay back to where it should be, where it is heard least.

Sound that waits too long is shortened, and sound that comes too late is stretched, by
splicing where the signal is quietest. To leave out ``n`` samples the end of one piece is
cross-faded into the beginning of the next; to add ``n``, what is added begins like the
next piece and ends like the last, so that it follows on the one and leads to the other.
"""

from collections import deque

import numpy as np

from rtdenoise.stft import FloatArray


class Elastic:
    """Passes pieces of a signal on, some shortened or stretched.

    Args:
        piece_samples: usual length of a piece: the most that is left out or added at once.
        pieces_per_s: pieces in a second.
        recover_s: within this time an error of any size is gone.

    Attributes:
        removed_samples: left out so far, less what was added; counts a piece held back.
        dropped_samples: left out so far.
        repeated_samples: added so far.
    """

    def __init__(self, piece_samples: int, pieces_per_s: float, recover_s: float = 3.0) -> None:
        self._piece = piece_samples
        self._recover_pieces = recover_s * pieces_per_s
        self._levels: deque[float] = deque(maxlen=round(pieces_per_s))
        self._left = self._recover_pieces
        self._last: FloatArray | None = None
        self._held = False
        self.removed_samples = self.dropped_samples = self.repeated_samples = 0

    @property
    def tolerance_samples(self) -> int:
        """An error below this is left alone: a shorter splice would be heard more."""
        return self._piece // 2

    def forget(self) -> None:
        """Forget the sound so far: what comes next does not continue it."""
        if self._held and self._last is not None:
            self.dropped_samples += self._last.shape[1]
        self._held, self._last = False, None
        self._levels.clear()
        self._left = self._recover_pieces

    def push(
        self, piece: FloatArray, excess_samples: int, hurry: bool = False, keep: bool = False
    ) -> FloatArray:
        """Take a piece and return what to play.

        Args:
            piece: float32 ``[channels, samples]``.
            excess_samples: by how much the delay is too long, beyond what is removed
                already; negative if it is too short.
            hurry: splice here, however loud it is.
            keep: leave out no whole piece now: all that there is will be needed.

        Returns:
            float32 ``[channels, samples]``: the piece, nothing, or more.
        """
        quiet = self._is_quiet(piece, excess_samples) or hurry
        may_drop = quiet and not keep
        last = self._last
        if self._held and last is not None:
            if may_drop and excess_samples >= piece.shape[1]:  # the one held leads past this too
                self.removed_samples += piece.shape[1]
                self.dropped_samples += piece.shape[1]
                return piece[:, :0]
            # Of the piece held, which counts as removed, all comes back that need not go.
            whole = min(last.shape[1], piece.shape[1])
            cut = max(0, min(whole, last.shape[1] + excess_samples))
            self._held, self._last = False, piece
            self.removed_samples -= last.shape[1] - cut
            self.dropped_samples += cut
            return _overlapped(last, piece, cut)
        self._last = piece
        if may_drop and excess_samples >= self.tolerance_samples:
            self._held = True
            self.removed_samples += piece.shape[1]
            return piece[:, :0]
        if quiet and -excess_samples >= self.tolerance_samples and last is not None:
            added = min(-excess_samples, last.shape[1], piece.shape[1])
            self.removed_samples -= added
            self.repeated_samples += added
            return _stretched(last, piece, added)
        return piece

    def _is_quiet(self, piece: FloatArray, excess_samples: int) -> bool:
        """Return whether to splice here: the less time is left, the less quiet it must be."""
        level = float(np.vdot(piece, piece)) / max(1, piece.shape[1])
        need = abs(excess_samples) / self._piece
        quiet = False
        if abs(excess_samples) < self.tolerance_samples:
            if not self._held:
                self._left = self._recover_pieces
        elif self._levels:
            share = need / (need + max(0.0, self._left))
            self._left -= 1
            ranked = sorted(self._levels)
            quiet = share == 1 or level <= ranked[int(share * len(ranked))]
        self._levels.append(level)
        return quiet


def _overlapped(first: FloatArray, second: FloatArray, count: int) -> FloatArray:
    """Return two pieces with the end of one cross-faded into the beginning of the other."""
    if not count:
        return np.concatenate((first, second), axis=1)
    rise = _fade(count)
    middle = first[:, -count:] * (1 - rise) + second[:, :count] * rise
    return np.concatenate((first[:, :-count], middle, second[:, count:]), axis=1)


def _stretched(past: FloatArray, piece: FloatArray, count: int) -> FloatArray:
    """Return a piece with samples before it that lead over from the past one."""
    rise = _fade(count)
    bridge = piece[:, :count] * (1 - rise) + past[:, -count:] * rise
    return np.concatenate((bridge, piece), axis=1)


def _fade(count: int) -> FloatArray:
    """Return a rise from 0 to 1, without either."""
    return ((np.arange(count) + 0.5) / count).astype(np.float32)
