"""rtdenoise: a streaming speech denoiser. Noisy speech in, clean speech out, block by block."""

from rtdenoise.denoiser import Denoiser, denoise
from rtdenoise.errors import AudioError, RtdenoiseError
from rtdenoise.live_stream import LiveStream
from rtdenoise.model import Card, Model, ModelError, State, list_models, load_model
from rtdenoise.multi import MultiDenoiser
from rtdenoise.stft import StftConfig

__all__ = [
    "AudioError",
    "Card",
    "Denoiser",
    "LiveStream",
    "Model",
    "ModelError",
    "MultiDenoiser",
    "RtdenoiseError",
    "State",
    "StftConfig",
    "denoise",
    "list_models",
    "load_model",
]
