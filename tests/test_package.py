"""What is installed: public names, a runtime without torch, a wheel, a README that runs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtdenoise

ROOT = Path(__file__).parents[1]

NO_TRAINER = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchaudio", "onnx", "tensorboard", "pesq", "pystoi"}:
            raise ImportError(f"{name} is not part of the runtime")
sys.meta_path.insert(0, Block())
"""


def python(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options
    )


def test_public_names_are_what_they_should_be():
    assert sorted(rtdenoise.__all__) == [
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
    for name in rtdenoise.__all__:
        assert getattr(rtdenoise, name).__doc__


def test_runtime_needs_nothing_of_the_trainer(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(8_000), 16_000)
    code = NO_TRAINER + (
        f"sys.argv = ['rtdenoise', 'file', {str(tmp_path / 'in.wav')!r}]\n"
        "from rtdenoise.cli import main; main()"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "in.denoised.wav").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked away from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files behind; the checkout stays clean
    for name in ("rtdenoise", "train", "models"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    command = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run([*pip, *command], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    site = folder / "site"
    install = ["install", "--no-deps", "--target", str(site), str(built)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    return site


def test_wheel_works_away_from_the_checkout(wheel, tmp_path):
    code = (
        "import rtdenoise, numpy, sys\n"
        "assert rtdenoise.__file__.startswith(sys.argv[1]), rtdenoise.__file__\n"
        "from rtdenoise.model import _shipped\n"
        "assert str(_shipped()).startswith(sys.argv[1]), _shipped()\n"
        "audio = numpy.zeros(1600, 'float32')\n"
        "print([rtdenoise.denoise(audio, 16000, m).size for m in rtdenoise.list_models()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(wheel)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([1600] * len(rtdenoise.list_models()))


def test_wheel_has_the_trainer_and_no_stray_modules(wheel):
    assert (wheel / "rtdenoise" / "train" / "fit.py").exists()
    assert {p.name for p in wheel.iterdir() if p.suffix != ".dist-info"} == {"rtdenoise", "bin"}


def test_dependencies_are_few():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=;\[ ]", d)[0] for d in project["dependencies"]}
    assert names == {
        "numpy",
        "scipy",
        "soundfile",
        "sounddevice",
        "typer",
        "rich",
        "onnxruntime",
        "onnxruntime-gpu",
    }


def test_readme_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        done = python(block, cwd=ROOT)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example, tmp_path):
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "in.wav", 0.1 * rng.normal(size=(44_100, 2)), 44_100)
    command = [sys.executable, str(example), str(tmp_path / "in.wav"), str(tmp_path / "out.wav")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "out.wav").frames == 44_100
