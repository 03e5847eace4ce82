"""Streaming of patch models: gains as worked out by hand, however frames and streams come."""

import numpy as np
import pytest
import soundfile
from toy_patch import patch_stream, write_patch_model

from rtdenoise import Denoiser, ModelError, MultiDenoiser, denoise, load_model
from rtdenoise.bench import impulse_latency_samples
from rtdenoise.files import denoise_file
from rtdenoise.gpu import Place

EMITS = [1, 2, 3, 16, 63]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_patch_model(tmp_path_factory.mktemp("models") / "toy")


def spectra(streams, frames, seed=0):
    """Noise whose level goes up and down, complex64 ``[streams, frames, 161]``."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, streams, frames, 161)) * 10 ** rng.uniform(-3, 0, (frames, 1))
    return (noise[0] + 1j * noise[1]).astype(np.complex64)


def streamed(model, spectrum, portions):
    """Return the gains of frames that come in portions, the placeholders left out."""
    state, parts, place = model.start(len(spectrum)), [], 0
    while place < spectrum.shape[1]:
        gain, state = model.step(spectrum[:, place : place + (size := next(portions))], state)
        parts.append(gain)
        place += size
    gain = np.concatenate(parts, axis=1)
    assert gain.shape == spectrum.shape
    assert gain.dtype == np.float32
    return gain[:, model.lookahead_frames :]


def always(size):
    while True:
        yield size


def by_chance(seed, most):
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(1, most))


@pytest.mark.parametrize("emit", EMITS)
@pytest.mark.parametrize("portions", ["hops", "all", "few", "many"])
def test_streaming_is_as_by_hand(folder, emit, portions):
    model, spectrum = load_model(f"{folder}@{emit}"), spectra(3, 300)
    sizes = {"hops": always(1), "all": always(300), "few": by_chance(1, 30)}
    gain = streamed(model, spectrum, sizes.get(portions, by_chance(2, 200)))
    for row, magnitude in zip(gain, np.abs(spectrum), strict=True):
        np.testing.assert_allclose(row, patch_stream(magnitude, emit), atol=1e-5)


def test_patches_do_disagree_about_their_border(folder):
    model, magnitude = load_model(f"{folder}@16"), np.abs(spectra(1, 200))
    unfaded = load_model(f"{folder}@1")
    gain = streamed(model, magnitude.astype(np.complex64), always(200))
    alone = streamed(unfaded, magnitude.astype(np.complex64), always(200))
    # The last column of a patch is not faded: both have it from the same patch.
    np.testing.assert_allclose(gain[:, 15::16], alone[:, 15:185:16], atol=1e-5)
    assert np.abs(gain[:, 16::16] - alone[:, 16:185:16]).max() > 0.01


@pytest.mark.parametrize("emit", EMITS)
@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_size_of_a_pass_does_not_matter(folder, emit, most):
    model, spectrum = load_model(f"{folder}@{emit}"), spectra(2, 250)
    wanted = streamed(model, spectrum, always(250))
    model._most_patches = most
    assert model.frames_per_step == most * emit
    np.testing.assert_allclose(streamed(model, spectrum, always(250)), wanted, atol=1e-5)


@pytest.mark.parametrize("emit", [1, 4, 16])
@pytest.mark.parametrize("device", [False, True])
def test_streams_that_join_at_any_hop_are_like_streams_alone(folder, emit, device, monkeypatch):
    if device:
        pretend_gpu(monkeypatch)
    model = load_model(f"{folder}@{emit}", "cuda" if device else "cpu")
    spectrum, joins = spectra(4, 200), [0, 7, 90, 130]
    state, parts = model.start(4), []
    for frame in range(200):
        now = [stream for stream in range(4) if joins[stream] == frame]
        state.reset_rows(now)
        gain, state = model.step(spectrum[:, frame : frame + 1], state)
        parts.append(gain)
    gain = np.concatenate(parts, axis=1)
    for stream, join in enumerate(joins):
        wanted = patch_stream(np.abs(spectrum[stream, join:]), emit)
        np.testing.assert_allclose(gain[stream, join + emit - 1 :], wanted, atol=1e-5)


@pytest.mark.parametrize("emit", [1, 4, 16])
@pytest.mark.parametrize("device", [False, True])
def test_a_stream_goes_on_where_it_is_copied_to(folder, emit, device, monkeypatch):
    if device:
        pretend_gpu(monkeypatch)
    model = load_model(f"{folder}@{emit}", "cuda" if device else "cpu")
    spectrum = spectra(3, 160)
    many, _ = model.step(spectrum[:, :70], state := model.start(3))
    one = model.start(1)
    model.step(spectra(1, 33, seed=5), one)
    one.copy_row(state, 2)
    rest, _ = model.step(spectrum[2:, 70:], one)
    gain = np.concatenate((many[2], rest[0]))[emit - 1 :]
    np.testing.assert_allclose(gain, patch_stream(np.abs(spectrum[2]), emit), atol=1e-5)


def test_reset_forgets_everything(folder):
    model, spectrum = load_model(folder), spectra(2, 100)
    _, state = model.step(spectra(2, 77, seed=3), model.start(2))
    state.reset()
    again, _ = model.step(spectrum, state)
    np.testing.assert_array_equal(again, model.step(spectrum, model.start(2))[0])


def test_models_of_one_network_do_not_disturb_each_other(folder):
    model = load_model(folder)
    other = model.with_emit_frames(4)
    assert (model.emit_frames, model.lookahead_frames, model.card.name) == (16, 15, "toy")
    assert (other.emit_frames, other.lookahead_frames, other.card.name) == (4, 3, "toy@4")
    assert not model.is_chosen
    assert other.is_chosen
    spectrum = spectra(1, 99)
    for one in (model, other):
        wanted = patch_stream(np.abs(spectrum[0]), one.emit_frames)
        np.testing.assert_allclose(streamed(one, spectrum, always(5))[0], wanted, atol=1e-5)


@pytest.mark.parametrize("emit", EMITS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_latency_is_window_and_the_hops_between_passes(folder, emit, rate):
    model = load_model(f"{folder}@{emit}")
    told = Denoiser(rate, model).latency_ms
    assert told == 20 + (emit - 1) * 10
    assert impulse_latency_samples(model, rate) == told * rate / 1000


@pytest.mark.parametrize("emit", EMITS)
def test_a_file_is_like_a_stream(folder, emit):
    noisy = (0.1 * np.random.default_rng(1).normal(size=(2, 40_000))).astype(np.float32)
    model = load_model(f"{folder}@{emit}")
    whole = denoise(noisy, 16_000, model)
    denoiser = Denoiser(16_000, model, channels=2)
    parts = [denoiser.process(noisy[:, at : at + 333]) for at in range(0, 40_000, 333)]
    np.testing.assert_allclose(np.concatenate([*parts, denoiser.flush()], 1), whole, atol=1e-6)
    assert whole.shape == noisy.shape


def test_an_audio_file_is_worked_on_in_full_passes(folder, tmp_path, monkeypatch):
    model, passes = load_model(folder), []
    forward = type(model)._forward

    def noting(self, newest, history):
        passes.append(len(newest))
        return forward(self, newest, history)

    noisy = (0.1 * np.random.default_rng(2).normal(size=16_000 * 10)).astype(np.float32)
    wanted = denoise(noisy, 16_000, model)
    soundfile.write(tmp_path / "noisy.wav", noisy, 16_000, subtype="FLOAT")
    monkeypatch.setattr(type(model), "_forward", noting)
    denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", model)
    clean, _ = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    np.testing.assert_allclose(clean, wanted, atol=1e-5)
    full = model.frames_per_step // model.emit_frames
    assert sum(size >= full - 1 for size in passes) >= 1000 // model.frames_per_step - 1


@pytest.mark.parametrize("spec", ["toy@0", "toy@64", "toy@1000"])
def test_other_frames_between_passes_than_can_be_are_refused(folder, spec):
    with pytest.raises(ModelError, match=rf"{spec}: .* must be 1 to 63"):
        load_model(folder.parent / spec)


@pytest.mark.parametrize(
    "entry",
    [
        {"window_frames": 64},
        {"window_frames": 64, "emit_frames": 0},
        {"window_frames": 64, "emit_frames": 15},
        {"window_frames": 32, "emit_frames": 16},
        {"window_frames": "x", "emit_frames": 16},
        16,
    ],
)
def test_cards_that_do_not_go_with_the_graph_are_named(tmp_path, entry):
    folder = write_patch_model(tmp_path / "toy", patch=entry)
    with pytest.raises(ModelError, match=r"toy"):
        load_model(folder)


def test_frames_are_kept_on_the_device_at_one_pass_a_hop(folder, monkeypatch):
    pretend_gpu(monkeypatch)
    model, spectrum = load_model(f"{folder}@1", "cuda"), spectra(2, 150)
    gain = streamed(model, spectrum, by_chance(4, 5))
    np.testing.assert_allclose(gain[1], patch_stream(np.abs(spectrum[1]), 1), atol=1e-5)
    state = model.start(2)
    model.step(spectrum[:, :1], state)
    history = state.device.now["history"].value.numpy()
    np.testing.assert_allclose(history[:, -1], np.abs(spectrum[:, 0]), rtol=1e-6)


@pytest.mark.parametrize("emit", [4, 16])
def test_batches_of_a_gpu_are_filled_up(folder, emit, monkeypatch):
    pretend_gpu(monkeypatch)
    model, spectrum = load_model(f"{folder}@{emit}", "cuda"), spectra(3, 150)
    gain = streamed(model, spectrum, by_chance(6, 60))
    np.testing.assert_allclose(gain[2], patch_stream(np.abs(spectrum[2]), emit), atol=1e-5)
    assert {size for size, _ in model._steps} <= {1, 2, 4, 8, 16, 32, 64}


def pretend_gpu(monkeypatch):
    """Let the CPU, with memory of its own, be the GPU."""
    places = {"cpu": Place(), "cuda": Place("cuda", 0, "cpu")}
    monkeypatch.setattr("rtdenoise.patch_model.find_place", places.get)
    for providers in ("providers", "fast_providers"):
        monkeypatch.setattr(Place, providers, lambda _: ["CPUExecutionProvider"])


@pytest.mark.parametrize("emit", [1, 4, 16])
def test_many_live_streams_are_like_streams_alone(folder, emit):
    model, joins = load_model(f"{folder}@{emit}"), [0, 3, 50]
    multi = MultiDenoiser(16_000, model, streams=3)
    audio = (0.1 * np.random.default_rng(3).normal(size=(3, 100, 160))).astype(np.float32)
    joined, heard = [], [[], [], []]
    for hop in range(100):
        joined += [multi.join() for join in joins if join == hop]
        block = np.zeros((multi.slots, 160), np.float32)
        for stream, one in enumerate(joined):
            block[one.slot] = audio[stream, hop]
        out = multi.process(block)
        for stream, one in enumerate(joined):
            heard[stream].append(out[one.slot].copy())
    for stream, one in enumerate(joined):
        ours = np.concatenate(heard[stream])[one.delay_samples :]
        alone = Denoiser(16_000, model).process(audio[stream, joins[stream] :].ravel())
        np.testing.assert_allclose(ours[: alone.size], alone[: ours.size], atol=1e-5)
