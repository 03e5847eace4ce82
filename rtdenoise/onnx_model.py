"""Trained models: an ONNX graph with explicit, named state, run by ONNX Runtime.

The graph takes ``magnitude`` ``[streams, frames, bins]`` and for each piece of state an
input ``state.NAME``; it gives ``gain`` and for each of them an output ``next.NAME``.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from rtdenoise.model import Card, Model, ModelError, State, zero_state
from rtdenoise.stft import ComplexArray, FloatArray

STATE, NEXT = "state.", "next."


class OnnxModel(Model):
    """A trained model.

    Args:
        folder: holds ``model.onnx`` and ``card.json``.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.

    Raises:
        ModelError: the files cannot be used, or not on this device.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.card = Card.read(folder / "card.json")
        options = onnxruntime.SessionOptions()
        # One hop is too little work to share out; idle threads that spin would cost a core.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Decaying states reach denormal numbers, on which processors are slow.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        path, providers = str(folder / "model.onnx"), _providers(device)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers)
        except Exception as error:  # the library raises a dozen unrelated classes
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path}: ONNX Runtime cannot load it ({reason})") from error
        self._shapes = {
            i.name.removeprefix(STATE): tuple(i.shape[1:])
            for i in self._session.get_inputs()
            if i.name.startswith(STATE)
        }
        self._outputs = ["gain", *(NEXT + name for name in self._shapes)]

    def start(self, streams: int) -> State:
        """Return zeros in the shapes that the graph declares."""
        return zero_state({name: (streams, *shape) for name, shape in self._shapes.items()})

    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray, State]:
        """Run the graph on the magnitudes; see :meth:`Model.step`."""
        feeds = {STATE + name: array for name, array in state.arrays.items()}
        feeds["magnitude"] = np.abs(spectrum)
        gain, *after = self._session.run(self._outputs, feeds)
        return gain, State(dict(zip(self._shapes, after, strict=True)))


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return ONNX Runtime's execution providers for a device, best first.

    Raises:
        ModelError: the device cannot be used here.
    """
    cpu: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cpu":
        return cpu
    problem = _cuda_problem()
    if problem is None:
        number = device.partition(":")[2] or "0"
        return [("CUDAExecutionProvider", {"device_id": number}), *cpu]
    if device == "auto":
        return cpu
    raise ModelError(f"device {device!r} cannot be used: {problem}; use --device cpu")


def _cuda_problem() -> str | None:
    """Return why CUDA cannot be used, or None. Looks first: a failed try prints red errors."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this build of ONNX Runtime has no CUDA (install onnxruntime-gpu)"
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count:
        return "there is no NVIDIA GPU"
    onnxruntime.preload_dlls()
    if sys.platform == "win32":
        return None
    libraries = Path(onnxruntime.__file__).with_name("capi")
    try:
        ctypes.CDLL(str(libraries / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(libraries / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return f"a CUDA library is missing ({error}); pip install 'rtdenoise[cuda]'"
    return None
