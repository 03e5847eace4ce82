"""What a model is to the runtime, what its card says, and how one is found by name."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import RtdenoiseError
from rtdenoise.stft import ComplexArray, FloatArray, StftConfig

DEFAULT_MODEL = "dualpath"
REFERENCE_RATE_HZ = 16_000
"""The rate whose bins a model knows; at other rates the same bins are cut out or filled up."""


class ModelError(RtdenoiseError):
    """A model cannot be found, read or run."""


@dataclass
class State:
    """What a model remembers between frames: named arrays, first axis the stream.

    Every state begins as zeros.
    """

    arrays: dict[str, npt.NDArray[Any]]

    def reset(self) -> None:
        """Forget everything."""
        for array in self.arrays.values():
            array[...] = 0

    def reset_rows(self, rows: Iterable[int]) -> None:
        """Forget some streams: they begin anew, the others go on."""
        numbers = list(rows)
        for array in self.arrays.values():
            array[numbers] = 0

    def copy_row(self, source: "State", row: int) -> None:
        """Make the first stream what one of another state of the same model is."""
        for name, array in self.arrays.items():
            array[0] = source.arrays[name][row]


@dataclass(frozen=True)
class Card:
    """What a model says of itself.

    Attributes:
        name: by which it is asked for.
        description: one line.
        licence: of the weights.
        stft: its windows and hop.
        lookahead_frames: frames that it sees beyond the one whose gain it gives.
        limit_db: attenuation beyond which it harms the voice more than it cleans; None
            for no such limit. It holds where the user asks for no other.
        details: network, training, data and scores, as the card file has them.
    """

    name: str
    description: str
    licence: str
    stft: StftConfig
    lookahead_frames: int
    limit_db: float | None
    details: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ``card.json``.

        Raises:
            ModelError: it is missing or does not say what it must.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                name=values.pop("name"),
                description=values.pop("description"),
                licence=values.pop("licence"),
                stft=StftConfig(**values.pop("stft")),
                lookahead_frames=values.pop("lookahead_frames"),
                limit_db=values.pop("limit_db"),
                details=values,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: no valid model card ({error!r})") from error


class Model(ABC):
    """Turns frames of noisy spectrum into gains; knows nothing of samples.

    Attributes:
        card: what the model says of itself.
        device: what computes it: ``cpu``, ``cuda``, ``cuda:N``.
    """

    card: Card
    device: str = "cpu"

    @property
    def config(self) -> StftConfig:
        """Windows and hop of the spectra that the model wants."""
        return self.card.stft

    @property
    def lookahead_frames(self) -> int:
        """How many frames later than its spectrum a gain comes out of :meth:`step`."""
        return self.card.lookahead_frames

    @property
    def frames_per_step(self) -> int:
        """Frames to give at once where there are many.

        Enough to spread the cost of a call, few enough to stay in cache.
        """
        return 64

    @property
    def hops_per_burst(self) -> int:
        """One frame of so many has nearly all the work; 1 where all cost the same."""
        return 1

    @property
    def bins(self) -> int:
        """Frequency bins of a frame as the model takes it."""
        return self.config.bins(REFERENCE_RATE_HZ)

    @abstractmethod
    def start(self, streams: int) -> State:
        """Return the state before the first frame of ``streams`` streams."""

    @abstractmethod
    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray | ComplexArray, State]:
        """Return the gain for each value of the spectrum, and the state after it.

        Args:
            spectrum: complex64 ``[streams, frames, bins]``, at least one frame.
            state: from :meth:`start` or the last step; not to be used again.

        Returns:
            real or complex gain of the spectrum's shape, and the new state.
        """


def _shipped() -> Path:
    return Path(str(resources.files("rtdenoise.models")))


def list_models() -> list[str]:
    """Return the names that :func:`load_model` knows, trained models first."""
    from rtdenoise.classical import CLASSICAL_MODELS

    trained = sorted(card.parent.name for card in _shipped().glob("*/card.json"))
    return trained + sorted(CLASSICAL_MODELS)


def read_card(name: str) -> Card:
    """Return the card of one of :func:`list_models`, without loading the model.

    Raises:
        ModelError: there is no such model.
    """
    from rtdenoise.classical import CLASSICAL_MODELS

    if name in CLASSICAL_MODELS:
        return CLASSICAL_MODELS[name]().card
    return Card.read(_shipped() / name / "card.json")


def load_model(name: str | Path = DEFAULT_MODEL, device: str = "cpu") -> Model:
    """Return a model, by name or by the folder of one's own exported model.

    Args:
        name: one of :func:`list_models`, or a folder with ``model.onnx`` and ``card.json``.
            ``NAME@N`` has a patch model run its network every N hops, for a latency of N - 1
            hops beyond the window; without, it does so as often as its card says.
        device: ``cpu``, ``cuda``, ``cuda:N``, ``auto`` for CUDA where it works, or
            ``tensorrt``, ``tensorrt:N``.

    Raises:
        ModelError: there is no such model, or it cannot run on that device or that often.
    """
    from rtdenoise.classical import CLASSICAL_MODELS

    if not re.fullmatch(r"auto|cpu|(cuda|tensorrt)(:\d+)?", device):
        raise ModelError(f"device {device!r} is unknown; use auto, cpu, cuda, cuda:N or tensorrt")
    if str(name) in CLASSICAL_MODELS:
        return CLASSICAL_MODELS[str(name)]()
    folder, emit_frames = _folder(name), None
    spec = re.fullmatch(r"(.+)@(\d+)", str(name)) if folder is None else None
    if spec is not None:  # a folder's own name may have an @, too
        folder, emit_frames = _folder(type(name)(spec[1])), int(spec[2])
    is_patch_model = folder is not None and "patch" in Card.read(folder / "card.json").details
    if spec is not None and not is_patch_model and (folder or spec[1] in CLASSICAL_MODELS):
        raise ModelError(f"{name}: {spec[1]} is no patch model; leave out @{emit_frames}")
    if folder is None:
        raise ModelError(
            f"model {str(name)!r} is unknown; use one of {', '.join(list_models())}, "
            "or a folder with model.onnx and card.json"
        )
    if is_patch_model:
        from rtdenoise.patch_model import PatchModel

        return PatchModel(folder, device, emit_frames)
    from rtdenoise.onnx_model import OnnxModel

    return OnnxModel(folder, device)


def _folder(name: str | Path) -> Path | None:
    """Return the folder of a trained model, or None."""
    is_name = isinstance(name, str) and (_shipped() / name / "card.json").is_file()
    folder = _shipped() / name if is_name else Path(name)
    return folder if (folder / "card.json").is_file() else None


def zero_state(shapes: dict[str, tuple[int, ...]]) -> State:
    """Return a float32 state of zeros with arrays of these names and shapes."""
    return State({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
