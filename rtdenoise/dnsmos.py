"""DNSMOS: what listeners would say of a recording, guessed without a reference.

P.835 rates speech, background and both; the older P.808 gives one rating.

References:
    C. Reddy, V. Gopal and R. Cutler, "DNSMOS P.835: a non-intrusive perceptual objective
    speech quality metric to evaluate noise suppressors", ICASSP 2022. The networks are theirs,
    from the package ``speechmos``; so are the polynomials that map output to ratings.
    C. Reddy, V. Gopal and R. Cutler, "DNSMOS: a non-intrusive perceptual objective speech
    quality metric to evaluate noise suppressors", ICASSP 2021 (P.808).
    M. Slaney, "Auditory Toolbox", Interval Research Corporation, report 1998-010 (mel bands).
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import FloatArray

RATE_HZ = 16_000
SEGMENT_SAMPLES = round(9.01 * RATE_HZ)
"""What the network hears at a time; shorter recordings are repeated."""

STEP_SAMPLES = RATE_HZ
"""From one segment to the next."""

SPEECH = np.polynomial.Polynomial([0.0052439, 1.22083953, -0.08397278])
BACKGROUND = np.polynomial.Polynomial([-0.39604546, 1.60915514, -0.13166888])
OVERALL = np.polynomial.Polynomial([0.04602535, 1.11546468, -0.06766283])

MEL_WINDOW_SAMPLES = 321
MEL_HOP_SAMPLES = 160
MEL_BANDS = 120
MEL_RANGE_DB = 80.0
"""What is weaker than this against the segment's maximum counts as this strong."""

LINEAR_HZ, LINEAR_MELS = 1000.0, 15.0
"""Up to here the mel scale is linear; beyond, each step is a factor."""

LOG_STEP = np.log(6.4) / 27


@dataclass(frozen=True)
class Dnsmos:
    """Ratings from 1 to 5.

    Attributes:
        speech: quality of the speech (SIG).
        background: absence of background noise (BAK).
        overall: both together (OVRL).
    """

    speech: float
    background: float
    overall: float


def dnsmos(samples: FloatArray) -> Dnsmos:
    """Return the P.835 ratings of float ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        RtdenoiseError: the package ``speechmos`` is missing, or there are no samples.
    """
    network = _session("sig_bak_ovr.onnx")
    raw = [network.run(None, {"input_1": s[np.newaxis]})[0] for s in _segments(samples)]
    speech, background, overall = np.concatenate(raw).T
    return Dnsmos(
        float(SPEECH(speech).mean()),
        float(BACKGROUND(background).mean()),
        float(OVERALL(overall).mean()),
    )


def dnsmos_p808(samples: FloatArray) -> float:
    """Return the P.808 rating, 1 to 5, of float ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        RtdenoiseError: the package ``speechmos`` is missing, or there are no samples.
    """
    network = _session("model_v8.onnx")
    # One hop is cut off so that 900 frames are left, which the network was trained on.
    features = [mel_features(s[:-MEL_HOP_SAMPLES]) for s in _segments(samples)]
    return float(np.mean([network.run(None, {"input_1": f[np.newaxis]})[0] for f in features]))


def mel_features(samples: FloatArray) -> FloatArray:
    """Return the log mel spectrogram that the P.808 network hears.

    Args:
        samples: float ``[samples]`` at 16 kHz.

    Returns:
        float32 ``[frames, MEL_BANDS]``: dB below the maximum, of -80 to 0, as -1 to 1.
    """
    padded = np.pad(samples.astype(np.float64), MEL_WINDOW_SAMPLES // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW_SAMPLES)
    window = np.hanning(MEL_WINDOW_SAMPLES + 1)[:-1]
    power = np.abs(np.fft.rfft(windows[::MEL_HOP_SAMPLES] * window, axis=1)) ** 2
    level_db = 10 * np.log10(np.maximum(power @ _mel_filters().T, 1e-10))
    level_db -= level_db.max()
    half = MEL_RANGE_DB / 2
    return np.asarray((np.maximum(level_db, -MEL_RANGE_DB) + half) / half, np.float32)


@cache
def _mel_filters() -> npt.NDArray[np.float64]:
    """Return triangles ``[MEL_BANDS, bins]`` of equal area, evenly spaced in mel."""
    most_mels = LINEAR_MELS + np.log(RATE_HZ / 2 / LINEAR_HZ) / LOG_STEP
    mels = np.linspace(0.0, most_mels, MEL_BANDS + 2)
    edges_hz = np.where(
        mels < LINEAR_MELS,
        mels * LINEAR_HZ / LINEAR_MELS,
        LINEAR_HZ * np.exp(LOG_STEP * (mels - LINEAR_MELS)),
    )
    low, centre, high = (edges_hz[i : i + MEL_BANDS, np.newaxis] for i in range(3))
    bins_hz = np.fft.rfftfreq(MEL_WINDOW_SAMPLES, 1 / RATE_HZ)
    rise, fall = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)) * 2 / (high - low))


def _segments(samples: FloatArray) -> Iterator[FloatArray]:
    """Yield what a network hears at a time."""
    if samples.size == 0:
        raise RtdenoiseError("DNSMOS of no samples is not defined")
    heard = np.clip(samples, -1.0, 1.0).astype(np.float32)
    # Doubled until it is long enough, as the reference implementation does.
    while heard.size < SEGMENT_SAMPLES:
        heard = np.concatenate((heard, heard))
    # It also counts whole seconds only: 10.1 s have one segment, though a second one fits.
    spare_s = heard.size // RATE_HZ - SEGMENT_SAMPLES / RATE_HZ
    for number in range(int(spare_s) + 1):
        yield heard[number * STEP_SAMPLES :][:SEGMENT_SAMPLES]


@cache
def _session(name: str) -> onnxruntime.InferenceSession:
    found = importlib.util.find_spec("speechmos")
    if found is None or found.origin is None:
        raise RtdenoiseError("DNSMOS needs a package: pip install 'rtdenoise[eval]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(found.origin).with_name("dnsmos_models") / name
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
