"""rtdenoise: a streaming speech denoiser. Noisy speech in, clean speech out, block by block."""

from rtdenoise.denoiser import AudioError, Denoiser, denoise
from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import Card, Model, ModelError, State, list_models, load_model
from rtdenoise.stft import StftConfig

__all__ = [
    "AudioError",
    "Card",
    "Denoiser",
    "Model",
    "ModelError",
    "RtdenoiseError",
    "State",
    "StftConfig",
    "denoise",
    "list_models",
    "load_model",
]
