"""What a bug report must say of the machine, and whether each model works on it.

Here everything may be broken, so whatever fails becomes a line of the report. The report
is for the public: it names no home folder.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rtdenoise.classical import CLASSICAL_MODELS
from rtdenoise.denoiser import Denoiser
from rtdenoise.errors import RtdenoiseError
from rtdenoise.model import Model, list_models, load_model
from rtdenoise.pacing import measure_paced

TEST_RATE_HZ = 48_000
TEST_S = 1.0
"""Length of each of the two parts of a self-test: back to back, and paced."""

LEAST_DROP_DB = 6.0
"""Steady noise is lowered by more than twice this much by every trained model that ships."""


class SelfTestError(Exception):
    """A model runs, but what comes out of it is wrong."""


@dataclass(frozen=True)
class SelfTest:
    """How a model did on this machine.

    Attributes:
        model: its name.
        result: what was measured, in words; empty if it failed.
        problem: why it failed, in one line; empty if it did not.
    """

    model: str
    result: str = ""
    problem: str = ""


def self_tests() -> list[SelfTest]:
    """Test every model that ships, about two seconds each."""
    return [self_test(name) for name in list_models()]


def self_test(name: str) -> SelfTest:
    """Test one model: that it runs, that its output is sound, and how fast it is.

    Args:
        name: of a model that ships, or its folder.
    """
    try:
        model = load_model(name)
        return SelfTest(name, result=_measured(model, trained=name not in CLASSICAL_MODELS))
    except Exception as error:  # any defect is what the report is about
        return SelfTest(name, problem=_line(error))


def _measured(model: Model, trained: bool) -> str:
    """Return in words how fast a model is and what it does to noise.

    Raises:
        SelfTestError: the output is not what it must be.
    """
    denoiser = Denoiser(TEST_RATE_HZ, model)
    noise = 0.05 * np.random.default_rng(1).normal(size=round(TEST_S * TEST_RATE_HZ))
    blocks = np.split(noise, range(0, noise.size, model.config.hop_samples(TEST_RATE_HZ))[1:])
    start = time.perf_counter()
    clean = np.concatenate([*(denoiser.process(block) for block in blocks), denoiser.flush()])
    factor = (time.perf_counter() - start) / TEST_S
    if clean.size != noise.size:
        raise SelfTestError(f"{noise.size} samples went in, {clean.size} came out")
    if not np.isfinite(clean).all():
        raise SelfTestError("the output has NaN or infinite samples")
    settled = slice(noise.size // 2, None)  # a model needs a moment to know the noise
    drop_db = float(10 * np.log10(np.var(noise[settled]) / max(np.var(clean[settled]), 1e-20)))
    if trained and drop_db < LEAST_DROP_DB:
        raise SelfTestError(
            f"noise is lowered by {drop_db:z.1f} dB; it must be {LEAST_DROP_DB:.1f} dB or more"
        )
    paced = measure_paced(model, TEST_RATE_HZ, TEST_S)
    every = model.hops_per_burst
    bursts = "" if every == 1 else f" (it works at one in {every}, which live use allows for)"
    return (
        f"real-time factor {factor:.3f}, paced p99 {paced.p99_ms:.2f} ms of a "
        f"{paced.hop_ms:g} ms hop, {paced.missed} of {paced.hops} hops missed{bursts}, "
        f"noise lowered by {drop_db:z.0f} dB"
    )


def report(tests: Sequence[SelfTest] | None = None) -> str:
    """Return what a bug report must say, as Markdown.

    Args:
        tests: from :func:`self_tests`; None to run them now.
    """
    tests = self_tests() if tests is None else tests
    facts = {
        "rtdenoise": lambda: version("rtdenoise"),
        "Python": lambda: f"{platform.python_version()} on {platform.platform()}",
        "CPU": lambda: f"{_cpu_name()}, {os.cpu_count()} logical cores",
        "NumPy": lambda: np.__version__,
        "ONNX Runtime": _onnxruntime,
        "CUDA": _cuda,
        "TensorRT": _tensorrt,
        "sounddevice": _sounddevice,
        "soundfile": _soundfile,
    }
    lines = ["## rtdenoise doctor", ""]
    lines += [f"- {name}: {_told(fact)}" for name, fact in facts.items()]
    lines += ["", "### Audio devices", "", _told(_devices), "", "### Models", ""]
    lines += [
        f"- {test.model}: " + (f"FAILED: {test.problem}" if test.problem else f"ok, {test.result}")
        for test in tests
    ]
    return without_home("\n".join(lines))


def without_home(text: str) -> str:
    """Return a text with ``~`` in place of the user's home folder."""
    home = os.path.expanduser("~")
    if not Path(home).name:  # the root is home to some services, and hides nobody's name
        return text
    # Error messages quote paths, which doubles the backslashes of Windows.
    spellings = {home, os.path.realpath(home), Path(home).as_posix(), home.replace("\\", "\\\\")}
    longest_first = "|".join(re.escape(s) for s in sorted(spellings, key=len, reverse=True))
    flags = re.IGNORECASE if sys.platform == "win32" else 0
    return re.sub(rf"(?:{longest_first})(?!\w)", "~", text, flags=flags)


def _told(fact: Callable[[], str]) -> str:
    """Return a fact, or the error that it cannot be had for."""
    try:
        return fact()
    except Exception as error:  # a library that cannot be loaded raises what it likes
        return _line(error)


def _line(error: Exception) -> str:
    """Return an error as one line, with its class where the message was not written here."""
    first = next(iter(str(error).splitlines()), "")
    ours = isinstance(error, RtdenoiseError | SelfTestError)
    return first if ours else f"{type(error).__name__}: {first}"


def _onnxruntime() -> str:
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    return f"{onnxruntime.__version__} with {providers}"


def _cuda() -> str:
    from rtdenoise.gpu import cuda_problem

    problem = cuda_problem()
    return "can be used" if problem is None else f"cannot be used: {problem}"


def _tensorrt() -> str:
    from rtdenoise.gpu import cuda_problem, tensorrt_problem

    problem = cuda_problem() or tensorrt_problem()
    return "can be used" if problem is None else f"cannot be used: {problem}"


def _sounddevice() -> str:
    import sounddevice

    return f"{sounddevice.__version__}, {sounddevice.get_portaudio_version()[1]}"


def _soundfile() -> str:
    import soundfile

    return f"{soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}"


def _devices() -> str:
    from rtdenoise.devices import device_table, list_devices

    return device_table(list_devices())


def _cpu_name() -> str:
    """Return the name that the maker gave the processor, or failing that its kind."""
    name = ""
    if sys.platform == "win32":
        import winreg

        path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            name = str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    elif sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    elif Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"^model name\s*:(.*)$", text, re.MULTILINE)
        name = found[1] if found else ""
    return name.strip() or platform.processor() or platform.machine()
