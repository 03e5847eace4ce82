"""Models by name and by folder, their cards, and the trained ones that ship."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import helper
from scipy import signal
from toy_patch import write_patch_model

from rtdenoise import Denoiser, ModelError, denoise, list_models, load_model
from rtdenoise.metrics import si_sdr_db
from rtdenoise.model import read_card
from rtdenoise.onnx_model import OnnxModel

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "models"
DEMO = ROOT / "examples" / "demo"
TRAINED = sorted(card.parent.name for card in SHIPPED.glob("*/card.json"))


def spectra(seed: int, *shape: int) -> np.ndarray:
    """Spectra of noise: complex64 of a shape."""
    rng = np.random.default_rng(seed)
    return (0.01 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)


def test_every_model_has_a_card_and_loads():
    assert {"dncnn", "specsub", "wiener"} <= set(list_models())
    for name in list_models():
        model = load_model(name)
        assert model.card == read_card(name)
        assert model.card.name == name
        assert model.card.description
        assert model.card.licence == "MIT"


@pytest.mark.parametrize("name", TRAINED)
def test_card_says_how_it_was_trained_and_how_good_it_is(name):
    details = read_card(name).details
    assert details["training"]["data"]
    assert details["training"]["recipe"]["hours"] > 0
    assert details["network"]["parameters"] > 0
    scores = details["scores"]
    assert scores["clips"] >= 50
    # A patch model is scored as more than one: for each number of hops between its runs.
    for entry in [scores] if "mean" in scores else [scores[f"{name}@1"], scores[f"{name}@16"]]:
        assert entry["mean"]["pesq_wb"] > scores["noisy"]["pesq_wb"]
        assert entry["mean"]["si_sdr_db"] > scores["noisy"]["si_sdr_db"]


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("seed", range(3))
def test_any_portions_of_frames_give_the_same_gains(name, seed):
    model = load_model(name)
    rng = np.random.default_rng(seed)
    spectrum = spectra(seed, 2, 150, model.bins)
    whole, _ = model.step(spectrum, model.start(2))
    state, parts, place = model.start(2), [], 0
    while place < spectrum.shape[1]:
        portion = spectrum[:, place : place + int(rng.integers(1, 30))]
        gain, state = model.step(portion, state)
        parts.append(gain)
        place += portion.shape[1]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize("name", ["dncnn", "dualpath", "dualpath-tiny"])
def test_streams_have_a_row_each_of_all_state(name):
    model = load_model(name)
    spectrum = spectra(6, 3, 30, model.bins)
    many, _ = model.step(spectrum, state := model.start(3))
    one = model.start(1)
    model.step(spectrum[:1], one)
    one.copy_row(state, 2)
    for array, copied in zip(state.arrays.values(), one.arrays.values(), strict=True):
        assert array.shape == (3, *copied.shape[1:])
        np.testing.assert_array_equal(copied[0], array[2])
    state.reset_rows([1])
    again, _ = model.step(spectrum, state)
    np.testing.assert_allclose(again[1], many[1], atol=1e-5)
    np.testing.assert_allclose(model.step(spectrum[2:], one)[0][0], again[2], atol=1e-5)
    assert np.abs(again[[0, 2]] - many[[0, 2]]).max() > 1e-3


@pytest.mark.parametrize("name", ["dncnn", "dualpath", "dualpath-tiny"])
def test_hops_of_one_stream_go_on_where_longer_portions_end(name):
    model = load_model(name)
    spectrum = spectra(5, 1, 60, model.bins)
    whole, _ = model.step(spectrum, model.start(1))
    state, parts = model.start(1), []
    for portion in np.split(spectrum, [1, 2, 3, 20, 21, 22, 40, 41], axis=1):
        gain, state = model.step(portion, state)
        parts.append(gain)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_level_does_not_matter_to_trained_models(name):
    rng = np.random.default_rng(1)
    noisy = rng.normal(size=32_000).astype(np.float32) * np.linspace(0.02, 0.2, 32_000)
    loud = denoise(noisy.astype(np.float32), 16_000, name)
    quiet = denoise((noisy / 10**0.75).astype(np.float32), 16_000, name)  # 15 dB
    error = quiet * 10**0.75 - loud
    assert np.std(error) < 0.05 * np.std(loud)


@pytest.mark.parametrize("name", TRAINED)
def test_constant_offset_hardly_matters_to_trained_models(name):
    noisy, rate = soundfile.read(DEMO / "noisy.flac", dtype="float32")
    plain, offset = denoise(noisy, rate, name), denoise(noisy + np.float32(0.02), rate, name)
    high_pass = signal.butter(2, 80, "highpass", fs=rate, output="sos")
    plain, offset = signal.sosfilt(high_pass, plain), signal.sosfilt(high_pass, offset)
    assert si_sdr_db(offset, plain) > 12
    assert np.abs(denoise(noisy + np.float32(0.02), rate, name).mean()) < 0.01


def test_folder_of_a_model_works_like_its_name(tmp_path):
    shutil.copytree(SHIPPED / "dncnn", tmp_path / "mine")
    noisy = np.random.default_rng(3).normal(size=8_000).astype(np.float32)
    np.testing.assert_array_equal(
        denoise(noisy, 16_000, tmp_path / "mine"), denoise(noisy, 16_000, "dncnn")
    )
    assert isinstance(load_model(str(tmp_path / "mine")), OnnxModel)


def test_two_denoisers_may_share_a_model():
    model = load_model("dncnn")
    noisy = np.random.default_rng(4).normal(size=(2, 3_200)).astype(np.float32)
    denoisers = [Denoiser(16_000, model) for _ in range(2)]
    parts = [[], []]
    for place in range(0, 3_200, 160):
        for k, denoiser in enumerate(denoisers):
            parts[k].append(denoiser.process(noisy[k, place : place + 160]))
    for k in range(2):
        out = np.concatenate([*parts[k], denoisers[k].flush()])
        np.testing.assert_allclose(out, denoise(noisy[k], 16_000, model), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["dncn", "", "no/such/folder", "../models", "dncn@4", "dncnn@", "dncnn@x", "@4"]
)
def test_unknown_models_are_named_with_those_that_exist(name):
    with pytest.raises(ModelError, match=r"unknown; use one of .*dncnn"):
        load_model(name)


def test_a_number_after_the_name_is_for_patch_models(tmp_path):
    folder = write_patch_model(tmp_path / "my@home", emit_frames=8)
    for name in (str(folder), folder):
        assert load_model(name).emit_frames == 8
    for name in (f"{folder}@2", Path(f"{folder}@2")):
        model = load_model(name)
        assert (model.emit_frames, model.card.name) == (2, "my@home@2")
        assert Denoiser(16_000, name).latency_ms == 30
    only_number = write_patch_model(tmp_path / "toy@5")
    assert load_model(only_number).emit_frames == 16


@pytest.mark.parametrize("name", ["dncnn", "wiener"])
def test_a_number_after_the_name_of_another_model_is_refused(name):
    with pytest.raises(ModelError, match=rf"{name}@4: {name} is no patch model; leave out @4"):
        load_model(f"{name}@4")


@pytest.mark.parametrize("model", ["dncnn", "wiener"])
@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "cpu:1", "tensorrt:"])
def test_unknown_devices_are_named(model, device):
    with pytest.raises(ModelError, match="device"):
        load_model(model, device)


def test_auto_device_always_works():
    assert isinstance(load_model("dncnn", "auto"), OnnxModel)


@pytest.mark.parametrize("damage", ["no json", "{}", '{"name": "x"}'])
def test_damaged_cards_are_named(tmp_path, damage):
    (tmp_path / "card.json").write_text(damage)
    with pytest.raises(ModelError, match="card"):
        load_model(tmp_path)


def test_damaged_graphs_are_named(tmp_path):
    card = json.loads((SHIPPED / "dncnn" / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="cannot load"):
        load_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot load"):
        load_model(tmp_path)


def test_state_without_streams_is_refused(tmp_path):
    shutil.copy(SHIPPED / "dncnn" / "card.json", tmp_path)
    value, frames = helper.make_tensor_value_info, ["streams", "frames", 161]
    taken = [value("magnitude", 1, frames), value("state.count", 1, [])]
    given = [value("gain", 1, frames), value("next.count", 1, [])]
    nodes = [
        helper.make_node("Identity", [a.name], [b.name]) for a, b in zip(taken, given, strict=True)
    ]
    graph = helper.make_graph(nodes, "counts", taken, given)
    onnx.save(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)]),
        str(tmp_path / "model.onnx"),
    )
    with pytest.raises(ModelError, match="state count has no axis of streams"):
        load_model(tmp_path)
