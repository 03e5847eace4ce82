"""Fourier transforms of real frames of one length.

numpy's functions look at their arguments for as long as it takes to transform a frame, which is a
tenth of a hop of the cheapest model. So the compiled functions that they call are called without
them. Those are no public part of numpy: where they are missing, or do anything else, the public
functions serve.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Transform = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

MANY_STREAMS = 16
"""From here on scipy's transform is worth its import of a quarter of a second: it takes
several streams at a time, and less than half as long."""

COMPILED = "numpy.fft._pocketfft_umath"


def forward(samples: int, streams: int = 1) -> Transform:
    """Return what gives the spectra of frames, as :func:`numpy.fft.rfft` does.

    Args:
        samples: length of a frame.
        streams: about how many frames there are at a time.

    Shape:
        float32 ``[..., samples]`` to complex64 ``[..., samples // 2 + 1]``.
    """
    if streams >= MANY_STREAMS:
        from scipy.fft import rfft

        many: Transform = rfft
        return many
    name = "rfft_n_odd" if samples % 2 else "rfft_n_even"
    probe = np.cos(np.arange(samples) ** 2).astype(np.float32)
    return _fastest(name, 1.0, np.fft.rfft, probe)


def inverse(samples: int) -> Transform:
    """Return what gives the frames of spectra, as :func:`numpy.fft.irfft` does.

    Args:
        samples: length of a frame.

    Shape:
        complex64 ``[..., samples // 2 + 1]`` to float32 ``[..., samples]``.
    """

    def public(spectra: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.fft.irfft(spectra, samples)

    probe = np.exp(1j * np.arange(samples // 2 + 1) ** 2).astype(np.complex64)
    return _fastest("irfft", 1 / samples, public, probe)


def _fastest(name: str, factor: float, public: Transform, probe: npt.NDArray[Any]) -> Transform:
    """Return numpy's compiled function, or the public one unless both agree.

    Args:
        name: of the compiled function.
        factor: that it multiplies by.
        public: which does the same.
        probe: a frame or spectrum to try them with.
    """
    wanted = public(probe)
    length, scale = wanted.shape[-1], np.float32(factor)
    try:
        compiled = getattr(importlib.import_module(COMPILED), name)

        def direct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            # It is told the length by the array that it is to write to.
            transformed = np.empty((*values.shape[:-1], length), wanted.dtype)
            compiled(values, scale, transformed)
            return transformed

        agree = np.allclose(direct(probe), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    except Exception:  # whatever a numpy of another version makes of the call
        return public
    return direct if agree else public
