"""Spectral subtraction and Wiener filtering: no weights, for comparison and as a fallback.

Both follow the noise with the same estimator, which weighs each value of the spectrum by
how likely it holds no speech. A stream's first frames are taken for noise.

References:
    S. Boll, "Suppression of acoustic noise in speech using spectral subtraction", TASSP
    27(2), 1979.
    J. Lim and A. Oppenheim, "Enhancement and bandwidth compression of noisy speech",
    Proceedings of the IEEE 67(12), 1979.
    Y. Ephraim and D. Malah, "Speech enhancement using a minimum mean-square error
    short-time spectral amplitude estimator", TASSP 32(6), 1984 (decision-directed SNR).
    T. Gerkmann and R. Hendriks, "Unbiased MMSE-based noise power estimation with low
    complexity and low tracking delay", TASLP 20(4), 2012.
"""

from abc import abstractmethod

import numpy as np

from rtdenoise.model import Card, Model, State, zero_state
from rtdenoise.stft import ComplexArray, FloatArray, StftConfig

FIRST_FRAMES = 8
"""Frames at the start of a stream from which the first noise estimate is averaged."""

SPEECH_SNR = 10 ** (15 / 10)
"""A-priori SNR that speech is assumed to have where it is present (Gerkmann and Hendriks)."""

NOISE_SMOOTHING = 0.8
PRESENCE_SMOOTHING = 0.9
BIAS_COMPENSATION = 1.3
"""Peaks of the noise itself are taken for speech and missed; measured on Gaussian noise."""

MOST_PRESENCE = 0.99
"""Where speech seems to be present all the time, the estimate may have got stuck."""

TINY = 1e-20
"""Power below anything audible: keeps divisions finite in digital silence."""


def follow_noise(power: FloatArray, state: dict[str, FloatArray]) -> FloatArray:
    """Update the noise estimate with one frame and return it.

    Args:
        power: float32 ``[streams, bins]``.
        state: ``noise`` and ``presence`` ``[streams, bins]`` and ``seen`` ``[streams, 1]``,
            changed in place.

    Returns:
        noise power, float32 ``[streams, bins]``.
    """
    noise, presence, seen = state["noise"], state["presence"], state["seen"]
    snr = power / (noise + TINY)
    exponent = np.minimum(snr * (SPEECH_SNR / (1 + SPEECH_SNR)), 80.0)
    present = 1 / (1 + (1 + SPEECH_SNR) * np.exp(-exponent))
    presence += (1 - PRESENCE_SMOOTHING) * (present - presence)
    present = np.where(presence > MOST_PRESENCE, np.minimum(present, MOST_PRESENCE), present)
    expected = present * noise + (1 - present) * power
    tracked = NOISE_SMOOTHING * noise + (1 - NOISE_SMOOTHING) * expected
    averaged = noise + (power - noise) / (seen + 1)
    noise[...] = np.where(seen < FIRST_FRAMES, averaged, tracked)
    seen += 1
    return np.asarray(BIAS_COMPENSATION * noise, np.float32)


class ClassicalModel(Model):
    """A model that computes each frame's gain from that frame and a noise estimate."""

    name: str
    description: str
    extra_state: tuple[str, ...]
    """Names of state arrays ``[streams, bins]`` besides those of the noise estimate."""

    def __init__(self) -> None:
        self.card = Card(self.name, self.description, "MIT", StftConfig(), 0, None, {})

    def start(self, streams: int) -> State:
        """Return zeros; see :meth:`Model.start`."""
        arrays = dict.fromkeys(("noise", "presence", *self.extra_state), (streams, self.bins))
        return zero_state({**arrays, "seen": (streams, 1)})

    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray, State]:
        """Compute the gains frame by frame; see :meth:`Model.step`."""
        magnitude = np.abs(spectrum)
        gain = np.empty_like(magnitude)
        for frame in range(magnitude.shape[1]):
            noise = follow_noise(magnitude[:, frame] ** 2, state.arrays)
            gain[:, frame] = self.frame_gain(magnitude[:, frame], noise, state.arrays)
        return gain, state

    @abstractmethod
    def frame_gain(
        self, magnitude: FloatArray, noise: FloatArray, state: dict[str, FloatArray]
    ) -> FloatArray:
        """Return the gain of one frame.

        Args:
            magnitude: float32 ``[streams, bins]``.
            noise: noise power, float32 ``[streams, bins]``.
            state: arrays by name, changed in place.
        """


class SpectralSubtraction(ClassicalModel):
    """Subtracts the noise magnitude from a short average of the magnitude (Boll)."""

    name = "specsub"
    description = "Spectral subtraction (Boll 1979) with a tracked noise estimate"
    extra_state = ("before", "before_that")

    oversubtraction = 1.15
    least_gain = 10 ** (-12 / 20)

    def frame_gain(
        self, magnitude: FloatArray, noise: FloatArray, state: dict[str, FloatArray]
    ) -> FloatArray:
        """Average three frames, subtract, and cut off at the least gain."""
        before, before_that = state["before"], state["before_that"]
        average = (magnitude + before + before_that) / 3
        before_that[...] = before
        before[...] = magnitude
        # The mean magnitude of complex Gaussian noise is sqrt(pi / 4) of its effective value.
        expected = self.oversubtraction * np.sqrt(np.pi / 4 * noise)
        gain = 1 - expected / np.maximum(average, TINY)
        return np.asarray(np.clip(gain, self.least_gain, 1.0), np.float32)


class WienerFilter(ClassicalModel):
    """The Wiener gain of a decision-directed estimate of the SNR."""

    name = "wiener"
    description = "Wiener filter (Lim & Oppenheim 1979) with a tracked noise estimate"
    extra_state = ("clean",)

    smoothing = 0.9
    # Frames here share half their samples, less than in 1984: hence less smoothing than the
    # usual 0.98, and a higher floor against the musical noise that this lets through.
    least_snr = 10 ** (-8 / 10)

    def frame_gain(
        self, magnitude: FloatArray, noise: FloatArray, state: dict[str, FloatArray]
    ) -> FloatArray:
        """Estimate the SNR from the last clean frame and this one, and return its gain."""
        power = magnitude**2
        instant = np.maximum(power / (noise + TINY) - 1, 0.0)
        snr = self.smoothing * state["clean"] / (noise + TINY) + (1 - self.smoothing) * instant
        snr = np.maximum(snr, self.least_snr)
        gain = snr / (1 + snr)
        state["clean"][...] = gain**2 * power
        return np.asarray(gain, np.float32)


CLASSICAL_MODELS: dict[str, type[ClassicalModel]] = {
    model.name: model for model in (SpectralSubtraction, WienerFilter)
}
