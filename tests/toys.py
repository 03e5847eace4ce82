"""Small models whose output can be foretold."""

import numpy as np

from rtdenoise.model import Card, Model, zero_state
from rtdenoise.stft import StftConfig


class FixedGain(Model):
    """The same gain for everything, real or complex."""

    def __init__(self, gain=1.0, config=None):
        self.card = Card("fixed", "a fixed gain", "MIT", config or StftConfig(), 0, None, {})
        self.gain = gain

    def start(self, streams):
        return zero_state({})

    def step(self, spectrum, state):
        kind = np.complex64 if isinstance(self.gain, complex) else np.float32
        return np.full(spectrum.shape, self.gain, kind), state


class Late(Model):
    """Gives each frame the gain 1 / magnitude, ``lookahead`` frames late."""

    def __init__(self, lookahead):
        self.card = Card("late", "looks ahead", "MIT", StftConfig(), lookahead, None, {})

    def start(self, streams):
        return zero_state({"past": (streams, self.lookahead_frames, self.bins)})

    def step(self, spectrum, state):
        gain = 1 / np.maximum(np.abs(spectrum), 1e-3)
        seen = np.concatenate((state.arrays["past"], gain), axis=1)
        state.arrays["past"] = seen[:, spectrum.shape[1] :]
        return seen[:, : spectrum.shape[1]], state


class LowPass(Model):
    """Passes the bins below ``cutoff_bin`` and stops the others."""

    def __init__(self, cutoff_bin):
        self.card = Card("lowpass", "stops high bins", "MIT", StftConfig(), 0, None, {})
        self.cutoff_bin = cutoff_bin

    def start(self, streams):
        return zero_state({})

    def step(self, spectrum, state):
        gain = np.zeros(spectrum.shape, np.float32)
        gain[:, :, : self.cutoff_bin] = 1.0
        return gain, state
