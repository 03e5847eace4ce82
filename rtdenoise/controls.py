"""What the keys of a live run change: bypass, mix, attenuation limit, the end."""

import math

from rtdenoise.denoiser import Denoiser

MIX_STEP = 0.1

LIMITS_DB = (6.0, 9.0, 12.0, 15.0, 18.0, 24.0, 30.0, 40.0, math.inf)
"""Attenuation limits between which the keys step."""


class Controls:
    """Changes a running denoiser as keys ask for it.

    A change takes effect from one frame to the next. Frames overlap, so it fades.

    Args:
        denoiser: what to change.

    Attributes:
        bypass: whether the input is passed through, delayed as if it were not.
        mix: share of the denoised signal, when there is no bypass.
        quit: whether the end was asked for.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.mix = denoiser.mix
        self.bypass = self.quit = False

    def press(self, keys: str) -> None:
        """Do what each key means; others mean nothing."""
        denoiser = self._denoiser
        for key in keys:
            if key in "qQ\x03":  # Ctrl-C, where the terminal does not make a signal of it
                self.quit = True
            elif key in "bB":
                self.bypass = not self.bypass
            elif key in "+=":  # one key on many keyboards
                self.mix = min(1.0, round(self.mix + MIX_STEP, 3))
            elif key in "-_":
                self.mix = max(0.0, round(self.mix - MIX_STEP, 3))
            elif key == "]":
                more = (limit for limit in LIMITS_DB if limit > denoiser.limit_db)
                denoiser.limit_db = min(more, default=math.inf)
            elif key == "[":
                less = (limit for limit in LIMITS_DB if limit < denoiser.limit_db)
                denoiser.limit_db = max(less, default=min(LIMITS_DB[0], denoiser.limit_db))
        denoiser.mix = 0.0 if self.bypass else self.mix
