"""MultiDenoiser: every stream gets what a Denoiser of its own would give it."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from toy_patch import write_patch_model
from toys import FixedGain, Late, LowPass

from rtdenoise import AudioError, Denoiser, MultiDenoiser, list_models, load_model
from rtdenoise.stft import StftConfig

HOP = 160
RATE_HZ = 16_000


def noise(rng, *shape):
    level = 10 ** rng.uniform(-3, 0)
    return (level * rng.uniform(-0.5, 0.5, shape)).astype(np.float32)


@dataclass
class Caller:
    """A stream of the denoiser for many, next to a denoiser of its own."""

    stream: object
    alone: Denoiser
    together: list = field(default_factory=list)
    expected: list = field(default_factory=list)

    def speak(self, block, clean):
        """Hear a block through both."""
        self.together.append(clean)
        self.expected.append(self.alone.process(block))

    def check(self, rest):
        """Compare the whole signals, once the stream has left."""
        together = np.concatenate([*self.together, rest])
        expected = np.concatenate([*self.expected, self.alone.flush()])
        delay = self.stream.delay_samples
        assert not together[:delay].any()
        np.testing.assert_allclose(together[delay:], expected, atol=1e-5)


def random_options(rng):
    limit_db = [None, 0.0, 6.0, math.inf][rng.integers(4)]
    return {"limit_db": limit_db, "mix": float(rng.choice([0.0, 0.5, 1.0, 1.0]))}


def check_random_calls(seed, model, rate, blocks, slots=5, changes=True, **options):
    """Let callers join, talk, change their options and leave, and compare each of them."""
    rng = np.random.default_rng(seed)
    multi = MultiDenoiser(rate, model, streams=slots, **options)
    callers = []
    for samples in blocks:
        while len(callers) < slots and rng.random() < 0.4:
            chosen = random_options(rng)
            callers.append(Caller(multi.join(**chosen), Denoiser(rate, model, **chosen)))
        while changes and callers and rng.random() < 0.3:
            caller = callers[rng.integers(len(callers))]
            for name, value in random_options(rng).items():
                setattr(caller.stream, name, value)
                setattr(caller.alone, name, value)
                assert getattr(caller.stream, name) == getattr(caller.alone, name)
        block = noise(rng, slots, samples)
        clean = multi.process(block)
        taken = [caller.stream.slot for caller in callers]
        assert not np.delete(clean, taken, axis=0).any()
        for caller in callers:
            caller.speak(block[caller.stream.slot], clean[caller.stream.slot])
        while callers and rng.random() < 0.2:
            caller = callers.pop(rng.integers(len(callers)))
            caller.check(multi.leave(caller.stream))
    for caller in callers:
        caller.check(multi.leave(caller.stream))
    assert multi.streams == []


def whole_hops(seed, hop, most=4):
    return hop * np.random.default_rng(seed).integers(0, most, 40)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("model", list_models())
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_callers_come_and_go(model, rate, seed):
    loaded = load_model(model)
    check_random_calls(seed, loaded, rate, whole_hops(seed, rate // 100))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "model",
    [Late(0), Late(3), Late(17), LowPass(80), FixedGain(0.01j), FixedGain(-0.3)],
    ids=["at once", "late", "very late", "low pass", "complex", "negative"],
)
def test_callers_of_models_with_lookahead_or_strange_gains(model, seed):
    check_random_calls(seed, model, RATE_HZ, whole_hops(seed, HOP))


@pytest.fixture(scope="module")
def patch_folder(tmp_path_factory):
    return write_patch_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("emit_frames", [1, 2, 16])
@pytest.mark.parametrize("whole", [True, False], ids=["hops", "any blocks"])
def test_callers_of_a_patch_model(patch_folder, emit_frames, whole, batch):
    model = load_model(f"{patch_folder}@{emit_frames}")
    blocks = whole_hops(emit_frames, HOP, 9) if whole else [256] * 60
    check_random_calls(emit_frames, model, RATE_HZ, blocks, changes=whole, batch=batch)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "model", ["dualpath", "wiener", Late(3)], ids=["dualpath", "wiener", "late"]
)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_callers_join_within_a_hop(model, rate, seed):
    blocks = np.random.default_rng(seed).integers(0, 700, 40)
    check_random_calls(seed, model, rate, blocks, changes=False)


def test_on_a_gpu_all_streams_share_a_pass_and_none_waits_for_its_preparation(patch_folder):
    class OnGpu(type(load_model(patch_folder))):
        device = "cuda:0"

        def step(self, spectrum, state):
            steps.append(spectrum.shape[:2])
            return super().step(spectrum, state)

    steps = []
    model = load_model(f"{patch_folder}@4")
    model.__class__ = OnGpu
    del model.device
    multi = MultiDenoiser(RATE_HZ, model, streams=5)
    assert {(size, 4) for size in (1, 2, 4, 8)} <= set(steps)
    multi.join()
    steps.clear()
    multi.process(np.zeros((5, HOP), np.float32))
    assert steps == [(5, 1)]
    check_random_calls(9, model, RATE_HZ, whole_hops(9, HOP))


@pytest.mark.parametrize("block", [1, 128, 256, HOP - 1, HOP + 1])
def test_callers_of_a_sound_card_whose_blocks_are_no_hops(block):
    check_random_calls(block, "wiener", RATE_HZ, [block] * 60, changes=False)


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (2, 3), (5, 1), (100, 2), (None, 2)])
def test_callers_in_any_batches_and_threads(batch, threads):
    blocks = whole_hops(3, HOP)
    check_random_calls(3, "dncnn", RATE_HZ, blocks, slots=11, batch=batch, threads=threads)


def test_callers_of_one_large_batch_with_threads():
    blocks = whole_hops(4, HOP)[:10]
    check_random_calls(4, "specsub", RATE_HZ, blocks, slots=200, batch=200, threads=3)


def test_other_windows_and_long_blocks():
    model = FixedGain(0.5, StftConfig(32, 8, 4))
    check_random_calls(5, model, RATE_HZ, [64, 64 * 200, 64 * 3, 64 * 65])


def test_whole_hops_come_out_as_they_went_in_after_the_delay():
    multi = MultiDenoiser(RATE_HZ, FixedGain(), streams=300)
    streams = [multi.join() for _ in range(300)]
    signal = noise(np.random.default_rng(6), 300, 10 * HOP)
    clean = np.concatenate([multi.process(block) for block in np.split(signal, 5, axis=1)], 1)
    delay = streams[0].delay_samples
    assert clean.shape == signal.shape
    assert delay == multi.latency_samples - HOP == HOP
    assert multi.latency_ms == 20.0
    np.testing.assert_allclose(clean[:, delay:], signal[:, :-delay], atol=1e-6)


def test_a_stream_that_only_came_and_went_has_no_signal():
    multi = MultiDenoiser(RATE_HZ, "wiener", streams=2)
    stream = multi.join()
    assert not multi.leave(stream)[stream.delay_samples :].size
    multi.process(np.ones((2, 7), np.float32))
    stream = multi.join()
    assert not multi.leave(stream)[stream.delay_samples :].size


def test_leaving_without_the_rest_is_short_and_leaves_no_trace():
    multi = MultiDenoiser(RATE_HZ, "wiener", streams=3)
    block = noise(np.random.default_rng(7), 3, 5 * HOP)
    first = multi.join()
    before = multi.process(block)[0]
    assert multi.leave(first, flush=False).size == 0
    assert not multi.process(block).any()
    assert multi.join().slot == first.slot
    np.testing.assert_array_equal(multi.process(block)[0], before)


def test_the_lowest_free_slot_is_taken():
    multi = MultiDenoiser(RATE_HZ, FixedGain(), streams=4)
    a, b, c = multi.join(), multi.join(), multi.join()
    assert [s.slot for s in (a, b, c)] == [0, 1, 2]
    assert multi.streams == [a, b, c]
    multi.leave(b)
    multi.leave(a)
    assert [multi.join().slot for _ in range(3)] == [0, 1, 3]


def test_limit_of_the_card_is_the_default():
    model = FixedGain(0.0)
    model.card = replace(model.card, limit_db=20.0)
    multi = MultiDenoiser(RATE_HZ, model, streams=2)
    stream, other = multi.join(), multi.join(limit_db=math.inf)
    assert (stream.limit_db, other.limit_db) == (20.0, math.inf)
    other.limit_db = None
    assert other.limit_db == 20.0


def test_damaged_samples_of_one_do_not_reach_another():
    multi = MultiDenoiser(RATE_HZ, "dncnn", streams=3)
    for _ in range(2):
        multi.join()
    block = noise(np.random.default_rng(8), 3, 10 * HOP)
    block[0, ::50], block[2] = np.nan, np.inf
    clean = multi.process(block)
    assert np.isfinite(clean).all()
    np.testing.assert_allclose(
        clean[1, HOP:], Denoiser(RATE_HZ, "dncnn").process(block[1]), atol=1e-5
    )


def test_too_many_streams_are_refused():
    multi = MultiDenoiser(RATE_HZ, FixedGain(), streams=2)
    multi.join()
    multi.join()
    with pytest.raises(AudioError, match="all 2 streams"):
        multi.join()


def test_who_has_left_is_refused():
    multi, other = (MultiDenoiser(RATE_HZ, FixedGain(), streams=2) for _ in range(2))
    stream = multi.join()
    with pytest.raises(AudioError, match="another denoiser"):
        other.leave(stream)
    multi.leave(stream)
    for use in (
        lambda: multi.leave(stream),
        lambda: stream.mix,
        lambda: setattr(stream, "limit_db", 3.0),
    ):
        with pytest.raises(AudioError, match="has left"):
            use()


def test_wrong_options_of_a_stream_are_named_and_take_no_slot():
    multi = MultiDenoiser(RATE_HZ, FixedGain(), streams=1)
    for wrong in ({"mix": 2.0}, {"limit_db": -1.0}):
        with pytest.raises(AudioError):
            multi.join(**wrong)
    stream = multi.join()
    with pytest.raises(AudioError, match="mix"):
        stream.mix = -1.0
    assert stream.mix == 1.0


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (np.zeros((3, HOP), np.float32), "2 slots"),
        (np.zeros(HOP, np.float32), "2 slots"),
        (np.zeros((2, HOP), np.int16), "floating point"),
    ],
)
def test_wrong_blocks_are_named(blocks, message):
    with pytest.raises(AudioError, match=message):
        MultiDenoiser(RATE_HZ, FixedGain(), streams=2).process(blocks)


@pytest.mark.parametrize(
    "options", [{"streams": 0}, {"batch": 0}, {"threads": -1}, {"rate": 4_000}, {"rate": math.nan}]
)
def test_wrong_settings_are_named(options):
    with pytest.raises(AudioError):
        MultiDenoiser(**{"rate": RATE_HZ, "model": FixedGain(), "streams": 2, **options})
