"""Trained models: an ONNX graph with explicit, named state, run by ONNX Runtime.

The graph takes ``magnitude`` ``[streams, frames, bins]`` and gives ``gain`` of that shape,
or it takes ``spectrum`` and gives ``gain``, both ``[streams, frames, bins, 2]``: real and
imaginary part. For each piece of state it has an input ``state.NAME`` and an output
``next.NAME``.
"""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from rtdenoise.model import Card, Model, ModelError, State, zero_state
from rtdenoise.stft import ComplexArray, FloatArray

STATE, NEXT = "state.", "next."
MAGNITUDE, SPECTRUM, GAIN = "magnitude", "spectrum", "gain"


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
        inputs = {i.name: tuple(i.shape[1:]) for i in self._session.get_inputs()}
        self._input = MAGNITUDE if MAGNITUDE in inputs else SPECTRUM
        self._values = () if self._input == MAGNITUDE else (2,)  # real and imaginary part
        self._shapes = {
            name.removeprefix(STATE): shape
            for name, shape in inputs.items()
            if name.startswith(STATE)
        }
        self._outputs = [GAIN, *(NEXT + name for name in self._shapes)]

    def start(self, streams: int) -> State:
        """Return zeros in the shapes that the graph declares."""
        shapes = {name: (streams, *shape) for name, shape in self._shapes.items()}
        now, after = zero_state(shapes).arrays, zero_state(shapes).arrays
        frame = {
            name: np.zeros((streams, 1, self.bins, *self._values), np.float32)
            for name in (self._input, GAIN)
        }
        return _HopState(
            now, after, frame, self._bind(frame, now, after), self._bind(frame, after, now)
        )

    def step(self, spectrum: ComplexArray, state: State) -> tuple[FloatArray | ComplexArray, State]:
        """Run the graph; see :meth:`Model.step`. The state is changed in place."""
        assert isinstance(state, _HopState), "the state of another model"
        if spectrum.shape[1] == 1:
            self._fill(state.frame[self._input], spectrum)
            self._session.run_with_iobinding(state.binding)
            state.turn()
            gain = state.frame[GAIN].copy()
        else:
            feeds = {STATE + name: array for name, array in state.arrays.items()}
            feeds[self._input] = np.empty((*spectrum.shape, *self._values), np.float32)
            self._fill(feeds[self._input], spectrum)
            gain, *after = self._session.run(self._outputs, feeds)
            for array, value in zip(state.arrays.values(), after, strict=True):
                array[...] = value
        return (gain if self._input == MAGNITUDE else gain.view(np.complex64)[..., 0]), state

    def _fill(self, array: FloatArray, spectrum: ComplexArray) -> None:
        """Write a spectrum as the graph takes it."""
        if self._input == MAGNITUDE:
            np.abs(spectrum, out=array)
        else:
            array.view(np.complex64)[..., 0] = spectrum

    def _bind(
        self, frame: dict[str, FloatArray], now: dict[str, FloatArray], after: dict[str, FloatArray]
    ) -> onnxruntime.IOBinding:
        """Return the binding of a step of one frame: what it reads and where it writes."""
        binding = self._session.io_binding()

        def value(array: FloatArray) -> onnxruntime.OrtValue:
            return onnxruntime.OrtValue.ortvalue_from_numpy(array)  # shares memory

        binding.bind_ortvalue_input(self._input, value(frame[self._input]))
        binding.bind_ortvalue_output(GAIN, value(frame[GAIN]))
        for name in self._shapes:
            binding.bind_ortvalue_input(STATE + name, value(now[name]))
            binding.bind_ortvalue_output(NEXT + name, value(after[name]))
        return binding


@dataclass
class _HopState(State):
    """State for single hops: one set of arrays is read while the other is written.

    Bound once, a hop neither allocates its outputs nor looks up names.
    """

    spare: dict[str, FloatArray]
    frame: dict[str, FloatArray]
    binding: onnxruntime.IOBinding
    spare_binding: onnxruntime.IOBinding

    def turn(self) -> None:
        """Let what was written be read next."""
        self.arrays, self.spare = self.spare, self.arrays
        self.binding, self.spare_binding = self.spare_binding, self.binding


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return ONNX Runtime's execution providers for a device, best first.

    Raises:
        ModelError: the device cannot be used here.
    """
    cpu: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cpu":
        return cpu
    problem = cuda_problem()
    if problem is None:
        number = device.partition(":")[2] or "0"
        return [("CUDAExecutionProvider", {"device_id": number}), *cpu]
    if device == "auto":
        return cpu
    raise ModelError(f"device {device!r} cannot be used: {problem}; use --device cpu")


def cuda_problem() -> str | None:
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
