"""The report: whatever is broken is a line of it, and it names nobody's home."""

import sys
from types import ModuleType

import numpy as np
import pytest
from toys import FixedGain

from rtdenoise import doctor
from rtdenoise.denoiser import Denoiser
from rtdenoise.doctor import SelfTest, report, self_test, self_tests, without_home
from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import ModelError, list_models

TESTS = [SelfTest("good", result="fast"), SelfTest("bad", problem="it is ill")]


@pytest.fixture
def devices(monkeypatch):
    """Stands in for the module that lists audio devices, of which a test machine has none."""
    module = ModuleType("rtdenoise.devices")
    module.list_devices = lambda: ["microphone"]
    module.device_table = lambda devices: f"| name |\n|:--|\n| {devices[0]} |"
    monkeypatch.setitem(sys.modules, "rtdenoise.devices", module)
    return module


@pytest.fixture
def load(monkeypatch):
    """Returns a function that says what loading a model by name does."""

    def load(function):
        monkeypatch.setattr(doctor, "load_model", function)

    return load


def test_the_report_names_versions_devices_and_models(devices):
    text = report(TESTS)
    assert text.startswith("## rtdenoise doctor\n")
    for fact in ("rtdenoise", "Python", "CPU", "NumPy", "ONNX Runtime", "CUDA"):
        assert f"\n- {fact}: " in text
    assert np.__version__ in text
    assert "PortAudio V" in text
    assert "libsndfile 1." in text
    assert "CPUExecutionProvider" in text
    assert "\n| microphone |\n" in text
    assert text.endswith("\n- good: ok, fast\n- bad: FAILED: it is ill")


def test_what_cannot_be_loaded_is_a_line(devices, monkeypatch):
    for name in ("sounddevice", "soundfile", "onnxruntime", "rtdenoise.gpu"):
        monkeypatch.setitem(sys.modules, name, None)
    text = report(TESTS)
    for fact in ("sounddevice", "soundfile", "ONNX Runtime", "CUDA"):
        assert f"\n- {fact}: ModuleNotFoundError: " in text
    assert "- good: ok, fast" in text


def test_no_device_is_a_line_in_place_of_the_table(devices):
    def fail():
        raise RtdenoiseError("no audio devices; plug one in")

    devices.list_devices = fail
    assert "\n### Audio devices\n\nno audio devices; plug one in\n\n###" in report(TESTS)


def test_all_models_are_tested(monkeypatch):
    monkeypatch.setattr(doctor, "self_test", SelfTest)
    assert [test.model for test in self_tests()] == list_models()


def test_a_model_that_works(load):
    load(lambda name: FixedGain(0.1))
    test = self_test("trained")
    assert not test.problem
    for part in ("real-time factor 0.", "ms of a 10 ms hop", "of 100 hops", "lowered by 20 dB"):
        assert part in test.result


def test_only_trained_models_must_lower_noise(load):
    load(lambda name: FixedGain(1.0))
    assert "lowered by 0.0 dB; it must be" in self_test("trained").problem
    assert "lowered by 0 dB" in self_test("wiener").result


def test_bad_output_is_told(load, monkeypatch):
    load(lambda name: FixedGain(np.nan))
    assert "NaN" in self_test("trained").problem
    load(lambda name: FixedGain(0.1))
    monkeypatch.setattr(Denoiser, "flush", lambda self: np.empty(0, np.float32))
    assert self_test("trained").problem.startswith("48000 samples went in, 4")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModelError("card.json: no valid model card"), "card.json: no valid model card"),
        (ValueError("first line\nsecond line"), "ValueError: first line"),
        (MemoryError(), "MemoryError: "),
    ],
    ids=repr,
)
def test_an_error_is_one_line(load, error, line):
    def fail(name):
        raise error

    load(fail)
    assert self_test("trained") == SelfTest("trained", problem=line)


@pytest.fixture
def home(monkeypatch):
    """Returns a function that moves the home folder."""

    def move(path):
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(path))

    return move


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("{}/models/x.onnx: broken", "~/models/x.onnx: broken"),
        ("'{}' and {}", "'~' and ~"),
        ("{}na/x", "{}na/x"),
        ("nothing", "nothing"),
    ],
)
def test_the_home_folder_is_not_named(home, tmp_path, text, public):
    home(tmp_path / "ann")
    folder = tmp_path / "ann"
    assert without_home(text.format(folder, folder)) == public.format(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a symbolic link")
def test_a_home_that_is_a_link_is_not_named_either(home, tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "ann")
    home(tmp_path / "link")
    assert without_home(f"{tmp_path}/ann/x {tmp_path}/link/x") == "~/x ~/x"


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_a_home_at_the_root_changes_nothing(home):
    home("/")
    assert without_home("/usr/lib: a/b") == "/usr/lib: a/b"


def test_the_report_of_a_failure_names_no_home(devices, home, tmp_path):
    home(tmp_path)
    text = report([SelfTest("bad", problem=f"{tmp_path}/model.onnx: broken")])
    assert str(tmp_path) not in text
    assert text.endswith("- bad: FAILED: ~/model.onnx: broken")
