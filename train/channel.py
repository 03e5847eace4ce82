"""What microphones, lines and codecs do to a signal: band limits, clipping, quantisation."""

import math

import torch
from torch import Tensor
from torchaudio.functional import mu_law_decoding, mu_law_encoding

from rtdenoise.train.data import RATE_HZ

PHONE_LOW_HZ = 300.0
"""Lower edge of the telephone band."""

LOWEST_BAND_HZ = 62.5
"""Centre of the equaliser's lowest band."""

BANDS = 8
"""Bands of the equaliser, an octave each."""

CODEC_FRAME = 512
"""Samples of a frame of the transform codec: 32 ms."""

CODEC_BAND = 16
"""Bins of its frames that share a step: 500 Hz."""


def clip_peaks(samples: Tensor, excess_db: Tensor) -> Tensor:
    """Return clips cut off ``excess_db`` below their peaks.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    peak = samples.abs().amax(-1, keepdim=True)
    limit = peak * 10 ** (-excess_db[:, None] / 20)
    return torch.minimum(torch.maximum(samples, -limit), limit)


def low_pass(samples: Tensor, cutoff_hz: Tensor) -> Tensor:
    """Return clips muffled above a cut-off: -6 dB there, 48 dB per octave beyond.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    return _weighted(samples, 1.0 / (1.0 + (_bins_hz(samples) / cutoff_hz[:, None]) ** 8))


def band_limit(samples: Tensor, highest_hz: Tensor) -> Tensor:
    """Return clips with silence above a frequency, as where the sampling rate was lower.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    return _weighted(samples, _bins_hz(samples) <= highest_hz[:, None])


def high_pass(samples: Tensor, cutoff_hz: Tensor | float) -> Tensor:
    """Return clips thinned below a cut-off: -6 dB there, 24 dB per octave beyond.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    cutoff = torch.as_tensor(cutoff_hz, device=samples.device).reshape(-1, 1)
    return _weighted(samples, 1.0 / (1.0 + (cutoff / _bins_hz(samples).clamp(min=1.0)) ** 4))


def equalise(samples: Tensor, octaves_db: Tensor) -> Tensor:
    """Return clips whose spectrum bends by some dB at 62.5, 125, ... 8000 Hz.

    Between these frequencies the dB run straight over the octave.

    Shape:
        ``[clips, samples]`` and ``[clips, 8]`` to ``[clips, samples]``.
    """
    octave = torch.log2(_bins_hz(samples).clamp(min=LOWEST_BAND_HZ) / LOWEST_BAND_HZ)
    centres = torch.arange(BANDS, device=samples.device)[:, None]
    share = (1.0 - (octave - centres).abs()).clamp(min=0.0)
    gain_db = octaves_db @ share.to(octaves_db.dtype)
    return _weighted(samples, 10 ** (gain_db / 20))


def _bins_hz(samples: Tensor) -> Tensor:
    """Return the frequencies of the spectrum of whole clips."""
    return torch.fft.rfftfreq(samples.shape[-1], 1 / RATE_HZ, device=samples.device)


def _weighted(samples: Tensor, gain: Tensor) -> Tensor:
    """Return clips whose spectrum is weighted by a gain for each of its frequencies."""
    return torch.fft.irfft(torch.fft.rfft(samples) * gain, n=samples.shape[-1])


def mu_law(samples: Tensor) -> Tensor:
    """Return clips through 8-bit mu-law companding, as in digital telephony (G.711)."""
    return mu_law_decoding(mu_law_encoding(samples.clamp(-1.0, 1.0), 256), 256)


def transform_codec(samples: Tensor, snr_db: Tensor) -> Tensor:
    """Return clips as a transform codec of low rate would.

    Short-time spectra are rounded to steps in proportion to the level of their band, so
    weak partials vanish and come back as in a lossy file.

    Args:
        samples: clips.
        snr_db: signal-to-noise ratio left within a band.

    Shape:
        ``[clips, samples]`` and ``[clips]`` to ``[clips, samples]``.
    """
    window = torch.hann_window(CODEC_FRAME, device=samples.device).sqrt()
    plan = {"n_fft": CODEC_FRAME, "hop_length": CODEC_FRAME // 2, "window": window}
    spectrum = torch.view_as_real(torch.stft(samples, **plan, return_complex=True))
    clips, bins, frames, _ = spectrum.shape
    bands = spectrum[:, 1:].reshape(clips, bins // CODEC_BAND, CODEC_BAND, frames, 2)
    level = bands.square().mean((2, 4), keepdim=True).sqrt() + 1e-9
    # Rounding to a step adds noise of step / sqrt(12), half of whose power cancels where
    # frames overlap.
    step = math.sqrt(24.0) * level * 10 ** (-snr_db.reshape(-1, 1, 1, 1, 1) / 20)
    rounded = (torch.round(bands / step) * step).reshape(clips, bins - 1, frames, 2)
    coded = torch.view_as_complex(torch.cat((spectrum[:, :1], rounded), dim=1))
    return torch.istft(coded, **plan, length=samples.shape[-1])
