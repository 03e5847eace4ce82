"""Harder conditions: what is done to a pair of recordings before a denoiser gets it.

Each condition turns a pair into another whose reference is what a perfect denoiser would
give back. The same pair always becomes the same.

Samples may exceed full scale afterwards; keep them in floating point.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import fftconvolve, firwin, kaiserord

from rtdenoise.pairs import PairAudio, resampled
from rtdenoise.stft import FloatArray

LEVEL_DB = 15.0
CLIPPING_DB = 10.0
"""By how much the peaks exceed full scale before they are cut off."""

CUTOFF_HZ = 4000.0
CUTOFF_WIDTH_HZ = 200.0
"""Width of the band below the cut-off in which the filter closes."""

STOPBAND_DB = 80.0

EARLY_S = 0.05
"""Reflections up to here help speech and stay in the reference."""

FIRST_REFLECTION_S = 0.002
TALKER_SNR_DB = 5.0

BEFORE_DB = 20.0
"""By how much noise is lower before it sets in."""

SEED = 1


@dataclass(frozen=True)
class Condition:
    """One way to make a pair harder.

    Attributes:
        what: what it does, in a few words.
        change: returns the changed pair, given the pair and another one.
        silent: whether the reference is silence. Metrics that compare with speech mean
            nothing then; score with :func:`level_reduction_db`.
    """

    what: str
    change: Callable[[PairAudio, PairAudio], PairAudio]
    silent: bool = False

    def apply(self, pair: PairAudio, other: PairAudio) -> PairAudio:
        """Return the pair under this condition.

        Args:
            pair: what to change; it stays as it is.
            other: another pair, at any rate and of any length, whose clean talker may be
                heard in the noise.
        """
        return self.change(pair, other)


def level_reduction_db(noisy: FloatArray, estimate: FloatArray) -> float:
    """Return by how much a denoiser lowered the level: 0 to 120 dB, negative if it rose.

    Args:
        noisy: float ``[samples]`` that went in.
        estimate: float ``[samples]`` that came out.
    """
    before, after = rms(noisy), rms(estimate)
    # Digital silence would be an infinite reduction, which has no mean over clips.
    return float(20 * np.log10((before + 1e-12) / (max(after, 1e-6 * before) + 1e-12)))


def rms(samples: FloatArray) -> float:
    """Return the root mean square of samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0


def room_response(rt60_s: float, rate: int) -> FloatArray:
    """Return the impulse response of a made-up room.

    The direct sound, then noise that falls by 60 dB in the reverberation time; the two
    have the same energy. In all it is 1, so speech stays about as loud as it was.

    Args:
        rt60_s: reverberation time in seconds.
        rate: sample rate in Hz.

    Returns:
        float32 ``[round(1.2 * rt60_s * rate)]``, beginning with the direct sound.
    """
    # A little longer than the reverberation time, so that the end is not heard as a cut.
    taps = round(1.2 * rt60_s * rate)
    decay = 10 ** (-3.0 * np.arange(taps) / (rt60_s * rate))
    response = np.random.default_rng(SEED).normal(size=taps) * decay
    response[: round(FIRST_REFLECTION_S * rate)] = 0.0
    response /= np.sqrt(np.sum(response**2))
    response[0] = 1.0
    return np.asarray(response / np.sqrt(2.0), np.float32)


def _level(gain_db: float) -> Condition:
    gain = np.float32(10 ** (gain_db / 20))

    def change(pair: PairAudio, _: PairAudio) -> PairAudio:
        return replace(pair, noisy=gain * pair.noisy, clean=gain * pair.reference)

    return Condition(f"both at {gain_db:+g} dB", change)


def _clipped(pair: PairAudio, _: PairAudio) -> PairAudio:
    peak = float(np.abs(pair.noisy).max(initial=0.0))
    gain = np.float32(10 ** (CLIPPING_DB / 20) / peak if peak > 0 else 1.0)
    return replace(pair, noisy=np.clip(gain * pair.noisy, -1.0, 1.0), clean=gain * pair.reference)


def _low_passed(pair: PairAudio, _: PairAudio) -> PairAudio:
    if pair.rate <= 2 * CUTOFF_HZ:
        return pair
    taps, beta = kaiserord(STOPBAND_DB, CUTOFF_WIDTH_HZ / (pair.rate / 2))
    # An odd number of taps has a middle one, so the filter can act without a delay.
    middle_hz = CUTOFF_HZ - CUTOFF_WIDTH_HZ / 2
    low_pass = firwin(taps | 1, middle_hz, window=("kaiser", beta), fs=pair.rate)
    half = low_pass.size // 2

    def muffled(samples: FloatArray) -> FloatArray:
        whole = fftconvolve(samples, low_pass)
        return np.asarray(whole[half : half + samples.size], np.float32)

    return replace(pair, noisy=muffled(pair.noisy), clean=muffled(pair.reference))


def _reverberant(rt60_s: float) -> Condition:
    def change(pair: PairAudio, _: PairAudio) -> PairAudio:
        response = room_response(rt60_s, pair.rate)
        early = response[: round(EARLY_S * pair.rate)]
        noise = pair.noise

        def heard(taps: FloatArray) -> FloatArray:
            return np.asarray(fftconvolve(pair.reference, taps)[: noise.size], np.float32)

        return replace(pair, noisy=heard(response) + noise, clean=heard(early))

    return Condition(f"speech in a room with RT60 {rt60_s:g} s", change)


def _at_rate(rate: int) -> Condition:
    def change(pair: PairAudio, _: PairAudio) -> PairAudio:
        noisy = resampled(pair.noisy, pair.rate, rate)
        return PairAudio(noisy, resampled(pair.reference, pair.rate, rate), rate)

    return Condition(f"both at {rate / 1000:g} kHz", change)


def _second_talker(pair: PairAudio, other: PairAudio) -> PairAudio:
    voice = resampled(other.reference, other.rate, pair.rate)
    if not voice.any():
        return pair
    voice = np.resize(voice, pair.noisy.size)  # repeats a shorter one
    gain = rms(pair.reference) / max(rms(voice), 1e-12) * 10 ** (-TALKER_SNR_DB / 20)
    return replace(pair, noisy=pair.noisy + np.float32(gain) * voice)


def _sudden_noise(pair: PairAudio, _: PairAudio) -> PairAudio:
    noise = pair.noise
    noise[: noise.size // 2] *= np.float32(10 ** (-BEFORE_DB / 20))
    return replace(pair, noisy=pair.reference + noise)


def _clean_alone(pair: PairAudio, _: PairAudio) -> PairAudio:
    return replace(pair, noisy=pair.reference)


def _noise_alone(pair: PairAudio, _: PairAudio) -> PairAudio:
    return replace(pair, noisy=pair.noise, clean=np.zeros_like(pair.reference))


CONDITIONS: dict[str, Condition] = {
    "quiet": _level(-LEVEL_DB),
    "loud": _level(LEVEL_DB),
    "clipped": Condition(f"noisy cut off {CLIPPING_DB:g} dB below its peaks", _clipped),
    "low-passed": Condition(f"both without what lies above {CUTOFF_HZ:g} Hz", _low_passed),
    "reverb-0.3s": _reverberant(0.3),
    "reverb-0.8s": _reverberant(0.8),
    "8kHz": _at_rate(8_000),
    "44.1kHz": _at_rate(44_100),
    "48kHz": _at_rate(48_000),
    "second-talker": Condition(
        f"another talker in the noise, {TALKER_SNR_DB:g} dB below", _second_talker
    ),
    "sudden-noise": Condition(
        f"noise {BEFORE_DB:g} dB lower until the middle of the clip", _sudden_noise
    ),
    "clean": Condition("clean speech alone", _clean_alone),
    "noise": Condition("noise alone", _noise_alone, silent=True),
}
"""The conditions, by the names that tables and files use."""
