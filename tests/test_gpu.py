"""The way to a GPU, walked on the CPU: which device is meant, and steps in memory of its own."""

import ctypes
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from rtdenoise import Denoiser, ModelError, load_model
from rtdenoise import gpu as gpu_module
from rtdenoise.gpu import Place, cuda_problem, find_place, open_session, tensorrt_problem
from rtdenoise.onnx_graph import Graph

SHIPPED = Path(__file__).parents[1] / "models"
CPU = ["CPUExecutionProvider"]
CUDA = ["CUDAExecutionProvider", *CPU]


class Driver:
    """A CUDA driver with two GPUs whose memory is the host's."""

    def __init__(self, count=2, fails=""):
        self.count, self._fails, self.contexts = count, fails, 0

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, gpu, index):
        gpu._obj.value = index.value
        return 0 if index.value < self.count else 101

    def cuDevicePrimaryCtxRetain(self, context, gpu):
        context._obj.value = 1 + gpu.value
        self.contexts += 1
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, gpu):
        self.contexts -= 1
        return 0

    def cuCtxSetCurrent(self, context):
        return 0

    def cuCtxSynchronize(self):
        return 0

    def __getitem__(self, name):
        if name == self._fails:
            return lambda *arguments: 700
        return {
            "cuMemsetD8_v2": lambda a, byte, n: ctypes.memset(a.value, byte.value, n.value) * 0,
            "cuMemcpyDtoD_v2": lambda a, b, n: ctypes.memmove(a.value, b.value, n.value) * 0,
        }[name]


@pytest.fixture
def driver(monkeypatch):
    """ONNX Runtime with CUDA and TensorRT, and a driver, where all libraries are found."""
    driver = Driver()
    providers = ["TensorrtExecutionProvider", *CUDA]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    monkeypatch.setattr(gpu_module, "_driver", lambda: driver)
    monkeypatch.setattr(gpu_module, "_library_problem", lambda provider, sentence: None)
    return driver


@pytest.fixture
def pretended(monkeypatch):
    """Let the CPU, with memory of its own, be a GPU; return how often it was asked to be fast."""
    asked = []
    places = {"cpu": Place(), "cuda": Place("cuda", 0, "cpu")}
    monkeypatch.setattr("rtdenoise.onnx_model.find_place", places.get)
    monkeypatch.setattr(Place, "providers", lambda _: CPU)
    monkeypatch.setattr(Place, "fast_providers", lambda _: asked.append(1) or CPU)
    return asked


@pytest.mark.parametrize(
    ("device", "place"),
    [
        ("cpu", Place()),
        ("auto", Place("cuda", 0, "cuda")),
        ("cuda", Place("cuda", 0, "cuda")),
        ("cuda:1", Place("cuda", 1, "cuda")),
        ("tensorrt", Place("tensorrt", 0, "cuda")),
        ("tensorrt:1", Place("tensorrt", 1, "cuda")),
    ],
)
def test_devices_mean_places(driver, device, place):
    assert find_place(device) == place
    assert place.name in (device, f"{device}:0", "cuda:0")


def test_providers_have_the_fastest_first(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))

    def names(providers):
        return [(p if isinstance(p, str) else p[0]) for p in providers]

    assert names(Place().providers()) == CPU
    cuda, tensorrt = find_place("cuda:1"), find_place("tensorrt:1")
    assert names(cuda.providers()) == names(tensorrt.providers()) == CUDA
    assert cuda.providers()[0][1]["device_id"] == "1"
    # A graph that is not wholly on the GPU cannot be recorded: there the CPU is not offered.
    assert names(cuda.fast_providers()) == CUDA[:1]
    assert cuda.fast_providers()[0][1]["enable_cuda_graph"] == "1"
    assert names(tensorrt.fast_providers()) == ["TensorrtExecutionProvider", *CUDA[:1]]
    options = tensorrt.fast_providers()[0][1]
    assert (options["device_id"], options["trt_fp16_enable"]) == ("1", "1")
    assert Path(options["trt_engine_cache_path"]).is_relative_to(tmp_path)


def test_what_is_missing_is_said_in_a_line(driver, monkeypatch):
    with pytest.raises(ModelError, match=r"'cuda:2' cannot be used: there is no GPU 2, only 0 to"):
        find_place("cuda:2")
    driver.count = 0
    assert cuda_problem() == "there is no NVIDIA GPU"
    assert find_place("auto") == Place()
    monkeypatch.setattr(gpu_module, "_driver", lambda: ctypes.CDLL("no-such-library.so"))
    assert cuda_problem() == "there is no NVIDIA driver"
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: CUDA)
    assert tensorrt_problem() == "this build of ONNX Runtime has no TensorRT"
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: CPU)
    assert "has no CUDA" in cuda_problem()
    assert find_place("auto") == Place()
    with pytest.raises(ModelError, match=r"'tensorrt' cannot be used: .*; use --device cpu"):
        find_place("tensorrt")


def test_a_library_that_is_missing_is_named(driver, monkeypatch):
    def missing(provider, sentence):
        return sentence.format(f"libcurand for {provider}")

    monkeypatch.setattr(gpu_module, "_library_problem", missing)
    assert "libcurand" in cuda_problem()
    assert "rtdenoise[cuda]" in cuda_problem()
    assert "pip install tensorrt" in tensorrt_problem()


def test_the_driver_clears_and_copies_and_keeps_no_context(driver):
    array, place = np.ones((3, 4), np.float32), Place("cuda", 1, "cuda")
    place.zero(array[1].ctypes.data, array[1].nbytes)
    np.testing.assert_array_equal(array.sum(axis=1), [4, 0, 4])
    place.copy(array[2].ctypes.data, array[1].ctypes.data, array[1].nbytes)
    np.testing.assert_array_equal(array.sum(axis=1), [4, 0, 0])
    assert driver.contexts == 0


def test_a_driver_that_refuses_is_an_error(monkeypatch):
    driver = Driver(fails="cuMemsetD8_v2")
    monkeypatch.setattr(gpu_module, "_driver", lambda: driver)
    array = np.ones(3, np.float32)
    with pytest.raises(ModelError, match="cuMemsetD8_v2, error 700"):
        Place("cuda", 0, "cuda").zero(array.ctypes.data, array.nbytes)
    assert driver.contexts == 0


def spectra(streams, frames, seed=0):
    rng = np.random.default_rng(seed)
    noise = 0.01 * rng.normal(size=(2, streams, frames, 161))
    return (noise[0] + 1j * noise[1]).astype(np.complex64)


def steps(model, spectrum, state, sizes):
    parts, place = [], 0
    for size in sizes:
        gain, state = model.step(spectrum[:, place : place + size], state)
        parts.append(gain)
        place += size
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("name", ["dncnn", "dualpath"])
@pytest.mark.parametrize("sizes", [[1] * 40, [40], [7, 1, 1, 1, 20, 1, 9]])
def test_state_that_stays_on_the_device_gives_the_same_gains(pretended, name, sizes):
    spectrum = spectra(3, 40)
    model = load_model(name, "cuda")
    assert model.device == "cuda:0"
    gain = steps(model, spectrum, model.start(3), sizes)
    reference = load_model(name)
    wanted = steps(reference, spectrum, reference.start(3), sizes)
    np.testing.assert_allclose(gain, wanted, atol=1e-6)
    assert len(pretended) == (1 in sizes)  # only single hops have a size of their own


@pytest.mark.parametrize("name", ["dncnn", "dualpath"])
@pytest.mark.parametrize("hops", [1, 5])
def test_rows_on_the_device_begin_anew_and_are_copied(pretended, name, hops):
    model = load_model(name, "cuda")
    spectrum = spectra(3, 60)
    sizes = [hops] * (30 // hops)
    state = model.start(3)
    steps(model, spectrum, state, sizes)
    state.reset_rows([1])
    one = model.start(1)
    steps(model, spectrum[:1], one, [3, 1])
    one.copy_row(state, 2)
    gain = steps(model, spectrum[:, 30:], state, sizes)
    reference = load_model(name)
    alone = [steps(reference, spectrum[k : k + 1], reference.start(1), sizes * 2) for k in range(3)]
    fresh = steps(reference, spectrum[1:2, 30:], reference.start(1), sizes)
    np.testing.assert_allclose(gain[0], alone[0][0, 30:], atol=1e-5)
    np.testing.assert_allclose(gain[1], fresh[0], atol=1e-5)
    np.testing.assert_allclose(gain[2], alone[2][0, 30:], atol=1e-5)
    copied = steps(model, spectrum[2:, 30:], one, sizes)
    np.testing.assert_allclose(copied[0], alone[2][0, 30:], atol=1e-5)
    state.reset()
    again = steps(model, spectrum, state, sizes)
    np.testing.assert_allclose(again[0], alone[0][0, :30], atol=1e-5)


def test_denoiser_on_the_device_is_like_on_the_cpu(pretended):
    noisy = (0.1 * np.random.default_rng(2).normal(size=16_000)).astype(np.float32)
    ours, reference = Denoiser(16_000, "dncnn", device="cuda"), Denoiser(16_000, "dncnn")
    for block in np.split(noisy, 50):
        np.testing.assert_allclose(ours.process(block), reference.process(block), atol=1e-6)
    np.testing.assert_allclose(ours.flush(), reference.flush(), atol=1e-6)


def test_without_what_is_fast_it_runs_and_says_so_once(pretended, monkeypatch, caplog):
    monkeypatch.setattr(Place, "fast_providers", lambda _: ["NoSuchProvider"])
    model, spectrum = load_model("dncnn", "cuda"), spectra(1, 10)
    with caplog.at_level(logging.WARNING, "rtdenoise"):
        gains = [steps(model, spectrum, model.start(1), [1] * 10) for _ in range(3)]
    reference = load_model("dncnn")
    wanted = steps(reference, spectrum, reference.start(1), [1] * 10)
    for gain in gains:
        np.testing.assert_allclose(gain, wanted, atol=1e-6)
    assert len(caplog.messages) == 1
    assert "dncnn runs without a CUDA graph" in caplog.messages[0]


def test_what_is_fast_but_wrong_is_not_used(pretended, tmp_path, monkeypatch, caplog):
    wrong = onnx.load(SHIPPED / "dncnn" / "model.onnx")
    for node in wrong.graph.node:
        node.output[:] = ["whole" if name == "gain" else name for name in node.output]
    wrong.graph.node.append(onnx.helper.make_node("Mul", ["whole", "half"], ["gain"]))
    wrong.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    monkeypatch.setattr(
        Graph, "fast_session", lambda *_: open_session(tmp_path / "wrong.onnx", CPU)
    )
    model, reference, spectrum = load_model("dncnn", "cuda"), load_model("dncnn"), spectra(2, 12)
    with caplog.at_level(logging.WARNING, "rtdenoise"):
        gain = steps(model, spectrum, model.start(2), [5] + [1] * 7)
    # What was before the try is still known after it.
    wanted = steps(reference, spectrum, reference.start(2), [5] + [1] * 7)
    np.testing.assert_allclose(gain, wanted, atol=1e-6)
    assert len(caplog.messages) == 1
    assert "dncnn runs without a CUDA graph: its gains differ by" in caplog.messages[0]
