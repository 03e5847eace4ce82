"""DNSMOS P.835: what listeners would say of a recording, guessed without a reference.

Reference:
    C. Reddy, V. Gopal and R. Cutler, "DNSMOS P.835: a non-intrusive perceptual objective
    speech quality metric to evaluate noise suppressors", ICASSP 2022. The network is theirs,
    from the package ``speechmos``; so are the polynomials that map its output to ratings.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
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
    """Return the ratings of float ``[samples]`` at 16 kHz, full scale 1.

    Raises:
        RtdenoiseError: the package ``speechmos`` is missing, or there are no samples.
    """
    if samples.size == 0:
        raise RtdenoiseError("DNSMOS of no samples is not defined")
    heard = np.clip(samples, -1.0, 1.0).astype(np.float32)
    # Doubled until it is long enough, as the reference implementation does.
    while heard.size < SEGMENT_SAMPLES:
        heard = np.concatenate((heard, heard))
    starts = range(0, heard.size - SEGMENT_SAMPLES + 1, STEP_SAMPLES)
    segments = [heard[np.newaxis, start : start + SEGMENT_SAMPLES] for start in starts]
    raw = [_session().run(None, {"input_1": segment})[0] for segment in segments]
    speech, background, overall = np.concatenate(raw).T
    return Dnsmos(
        float(SPEECH(speech).mean()),
        float(BACKGROUND(background).mean()),
        float(OVERALL(overall).mean()),
    )


@cache
def _session() -> onnxruntime.InferenceSession:
    found = importlib.util.find_spec("speechmos")
    if found is None or found.origin is None:
        raise RtdenoiseError("DNSMOS needs a package: pip install 'rtdenoise[eval]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(found.origin).with_name("dnsmos_models") / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
