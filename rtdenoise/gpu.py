"""Where a model runs: ONNX Runtime's providers for a device, and whether they can be had here.

On CUDA, products of matrices and convolutions are computed in TF32, ONNX Runtime's default:
factors have 10 bits after the point, sums 23. Gains move by about 1e-3. Patch models have
float16 (:mod:`rtdenoise.float16`). TensorRT computes in float16 where it finds it sound; it
builds an engine for each shape first, which takes minutes and is kept for the next time.
"""

import ctypes
import os
import sys
from contextlib import suppress
from ctypes import c_size_t, c_ubyte, c_uint64
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import onnxruntime

from rtdenoise.model import ModelError

Provider = str | tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Place:
    """A device, as ONNX Runtime knows it.

    Attributes:
        kind: whose provider is asked first; CUDA and the CPU take what TensorRT cannot do.
        index: of the GPU.
        memory: where inputs, outputs and state lie.
    """

    kind: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    index: int = 0
    memory: Literal["cpu", "cuda"] = "cpu"

    @property
    def name(self) -> str:
        """As a user gives it."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @property
    def is_host(self) -> bool:
        """Whether programs and device share their memory."""
        return self.kind == "cpu"

    def providers(self) -> list[Provider]:
        """Return what runs any shapes, best first."""
        cpu = "CPUExecutionProvider"
        return [cpu] if self.is_host else [self._cuda("HEURISTIC"), cpu]

    def fast_providers(self) -> list[Provider]:
        """Return what runs fixed shapes on a GPU, after a preparation that other shapes need not.

        A CUDA graph, the recorded launches of all kernels, is launched as one.
        """
        if self.kind == "cuda":
            return [self._cuda("EXHAUSTIVE", {"enable_cuda_graph": "1"})]
        engines = _cache_folder() / "tensorrt"
        engines.mkdir(parents=True, exist_ok=True)
        options = {
            "device_id": str(self.index),
            "trt_fp16_enable": "1",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines),
        }
        return [("TensorrtExecutionProvider", options), self._cuda("EXHAUSTIVE")]

    def _cuda(self, search: str, options: dict[str, str] | None = None) -> Provider:
        """Return the CUDA provider; an exhaustive search for algorithms is made for each shape."""
        shared = {"device_id": str(self.index), "cudnn_conv_algo_search": search}
        return "CUDAExecutionProvider", shared | (options or {})

    def zero(self, address: int, size: int) -> None:
        """Set bytes of the device's memory to 0, and wait until they are.

        Raises:
            ModelError: the driver refuses.
        """
        if self.memory == "cpu":
            ctypes.memset(address, 0, size)
        else:
            self._drive("cuMemsetD8_v2", c_uint64(address), c_ubyte(0), c_size_t(size))

    def copy(self, to_address: int, from_address: int, size: int) -> None:
        """Copy bytes within the device's memory, and wait until they are there.

        Raises:
            ModelError: the driver refuses.
        """
        if self.memory == "cpu":
            ctypes.memmove(to_address, from_address, size)
        else:
            addresses = c_uint64(to_address), c_uint64(from_address)
            self._drive("cuMemcpyDtoD_v2", *addresses, c_size_t(size))

    def _drive(self, function: str, *arguments: object) -> None:
        """Call the CUDA driver in the context of ONNX Runtime, which this thread may not know.

        Raises:
            ModelError: the driver refuses.
        """
        driver = _driver()
        gpu, context = ctypes.c_int(), ctypes.c_void_p()
        code = (
            driver.cuDeviceGet(ctypes.byref(gpu), ctypes.c_int(self.index))
            or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), gpu)
            or driver.cuCtxSetCurrent(context)
            or driver[function](*arguments)
            or driver.cuCtxSynchronize()
        )
        if context:
            driver.cuDevicePrimaryCtxRelease_v2(gpu)
        if code:
            raise ModelError(f"the CUDA driver fails ({function}, error {code})")


def find_place(device: str) -> Place:
    """Return the place that a device means.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt``, ``tensorrt:N``, or ``auto`` for
            CUDA where it can be used and the CPU where not.

    Raises:
        ModelError: the device cannot be used here.
    """
    if device == "cpu":
        return Place()
    kind, _, number = device.partition(":")
    index = int(number or 0)
    problem = cuda_problem(index)
    if kind == "tensorrt":
        problem = problem or tensorrt_problem()
        place = Place("tensorrt", index, "cuda")
    else:
        place = Place("cuda", index, "cuda")
    if problem is None:
        return place
    if device == "auto":
        return Place()
    raise ModelError(f"device {device!r} cannot be used: {problem}; use --device cpu")


def cuda_problem(index: int = 0) -> str | None:
    """Return why CUDA cannot be used, or None. Looks first: a failed try prints red errors."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this build of ONNX Runtime has no CUDA (install onnxruntime-gpu)"
    try:
        driver = _driver()
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count:
        return "there is no NVIDIA GPU"
    if index >= count.value:
        return f"there is no GPU {index}, only 0 to {count.value - 1}"
    onnxruntime.preload_dlls()
    return _library_problem("cuda", "a CUDA library is missing ({}); pip install 'rtdenoise[cuda]'")


def tensorrt_problem() -> str | None:
    """Return why TensorRT cannot be used where CUDA can, or None."""
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        return "this build of ONNX Runtime has no TensorRT"
    with suppress(ImportError):
        import_module("tensorrt_libs")  # loads what its wheel brought, which no loader finds
    return _library_problem("tensorrt", "TensorRT is missing ({}); pip install tensorrt")


def open_session(
    path: Path,
    providers: list[Provider],
    *,
    threads: int = 1,
    fixed: dict[str, int] | None = None,
    content: bytes | None = None,
    is_small: bool = False,
) -> Any:
    """Return an ONNX Runtime session.

    Args:
        path: of the graph.
        providers: best first.
        threads: that share a single operation on the CPU.
        fixed: sizes of named axes, where they are always the same.
        content: the graph itself, in place of what is in the file.
        is_small: whether its results are so few, as in one frame of one stream, that to share
            out memory among them takes longer than it saves: 3 % of a run of dualpath-tiny.

    Raises:
        ModelError: the graph cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Idle threads that spin would cost a core each.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Decaying states reach denormal numbers, on which processors are slow.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.enable_cpu_mem_arena = options.enable_mem_reuse = not is_small
    for axis, size in (fixed or {}).items():
        options.add_free_dimension_override_by_name(axis, size)
    if fixed:
        options.log_severity_level = 4  # who fixes sizes tries what may fail, and tells why
    try:
        return onnxruntime.InferenceSession(
            content or str(path), options, providers, enable_fallback=0
        )
    except Exception as error:  # the library raises a dozen unrelated classes
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({reason})") from error


def _library_problem(provider: str, sentence: str) -> str | None:
    """Return why a provider's library cannot be loaded, or None."""
    if sys.platform == "win32":
        return None
    libraries = Path(onnxruntime.__file__).with_name("capi")
    try:
        ctypes.CDLL(str(libraries / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(libraries / f"libonnxruntime_providers_{provider}.so"))
    except OSError as error:
        return sentence.format(error)
    return None


def _cache_folder() -> Path:
    """Return the folder for what can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "rtdenoise"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtdenoise"


def _driver() -> Any:
    """Return the library of the CUDA driver."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
