import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import fit, needs_bfloat16, trained, with_steps
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rtdenoise.train import validate
from rtdenoise.train.augment import Augmentations
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError, Sources
from rtdenoise.train.fit import Fit, FitConfig, recipe
from rtdenoise.train.mix import MixConfig

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _quick_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    # PESQ takes longer than all the steps of a tiny run.
    monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)


def assert_same(one: Any, other: Any) -> None:
    """Compare nested values, tensors bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            assert_same(ours, theirs)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


class TestLearning:
    @pytest.mark.parametrize(
        ("loss", "patch_frames", "gained_db"),
        [
            ("resynthesis", 20, 1.0),
            ("intelligibility", 40, 0.4),
            ("perceptual", 40, 0.2),
            ("log-cosh", 20, 0.5),
        ],
    )
    def test_the_loss_falls(
        self,
        config: FitConfig,
        tmp_path: Path,
        cache: Path,
        loss: str,
        patch_frames: int,
        gained_db: float,
    ) -> None:
        config = replace(config, patch_frames=patch_frames)
        config = with_steps(config, 60, loss=loss, learning_rate=1e-2, check_steps=1000)
        run = fit(config, tmp_path, cache)
        batch = run.mixer.batch(10**6, 16)
        run.objective.eval()

        def score() -> tuple[float, float]:
            with torch.no_grad():
                loss, snr = run.objective.eval()(*batch)
            return float(loss), float(snr)

        before = score()
        scores = run.run()
        after = score()
        assert run.step == 60
        assert after[0] < before[0]
        assert after[1] > before[1] + gained_db
        assert all(math.isfinite(v) for v in scores.values())

    @needs_bfloat16
    def test_bfloat16_runs(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        last = trained(with_steps(config, 3, precision="bfloat16"), tmp_path, cache)
        assert last.step == 3
        # Mixed precision: the weights themselves stay float32.
        floats = [v for v in last.weights.values() if v.is_floating_point()]
        assert all(v.dtype == torch.float32 and v.isfinite().all() for v in floats)

    def test_l2_makes_weights_smaller(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        size = {}
        for l2 in (0.0, 1.0):
            short = with_steps(config, 10, l2=l2, learning_rate=1e-2)
            last = trained(short, tmp_path / str(l2), cache)
            size[l2] = float(last.weights["middle.0.conv.weight"].square().sum())
        assert size[1.0] < size[0.0]

    def test_schedule_warms_up_and_ends_near_zero(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        run = fit(with_steps(config, 100, warmup_steps=10), tmp_path, cache)
        factors = []
        for run.step in range(100):
            factors.append(run._schedule())
        assert factors[0] == pytest.approx(0.1)
        assert factors[:9] == sorted(factors[:9])
        assert factors[10:] == sorted(factors[10:], reverse=True)
        assert max(factors) > 0.95
        assert 0 < factors[-1] < 1e-3

    @pytest.mark.parametrize("optimizer", ["adam", "muon"])
    def test_only_one_part_learns(
        self, config: FitConfig, tmp_path: Path, cache: Path, optimizer: str
    ) -> None:
        sizes = {"channels": 8, "width": 12, "blocks": 1, "low": 16}
        config = with_steps(config, 5, network="dualpath", arguments=sizes, optimizer=optimizer)
        first = trained(config, tmp_path / "first", cache)
        start = str(tmp_path / "first" / "last.pt")
        second = trained(replace(config, only="low", start_from=start), tmp_path / "two", cache)
        for name, value in first.weights.items():
            changed = bool((second.weights[name] != value).any())
            assert changed == name.startswith("low."), name

    def test_fixed_norms_stay_while_weights_learn(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        sizes = {"channels": 8, "width": 12, "blocks": 1, "low": 16}
        config = with_steps(config, 5, network="dualpath", arguments=sizes)
        first = trained(config, tmp_path / "first", cache)
        start = str(tmp_path / "first" / "last.pt")
        second = trained(
            replace(config, fixed_norms=True, start_from=start), tmp_path / "two", cache
        )
        for name, value in first.weights.items():
            is_statistic = "running" in name or "num_batches" in name
            assert torch.equal(second.weights[name], value) == is_statistic, name

    def test_fixed_norms_without_a_start_are_refused(self, config: FitConfig) -> None:
        with pytest.raises(DataError, match="give --start-from"):
            replace(config, fixed_norms=True)

    def test_unknown_part_is_refused(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        with pytest.raises(DataError, match="--only low: the network's parts are first, middle"):
            fit(replace(config, only="low"), tmp_path, cache)

    def test_unknown_loss_is_refused(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        with pytest.raises(DataError, match="loss 'mse' is unknown"):
            fit(replace(config, loss="mse"), tmp_path, cache)


class TestReproducibility:
    def test_same_seed_same_weights(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        one, two = (trained(config, tmp_path / name, cache) for name in ("one", "two"))
        assert_same(vars(one), vars(two))
        other = trained(replace(config, seed=2), tmp_path / "other", cache)
        assert not torch.equal(one.weights["first.weight"], other.weights["first.weight"])

    @pytest.mark.parametrize(("stop", "norm_clips"), [(4, 0), (6, 0), (6, 8)])
    def test_resumed_run_ends_as_an_uninterrupted_one(
        self,
        config: FitConfig,
        tmp_path: Path,
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
        stop: int,
        norm_clips: int,
    ) -> None:
        config = replace(config, norm_clips=norm_clips)
        whole = trained(config, tmp_path / "whole", cache)
        step = Fit._train_step

        def interrupted(run: Fit, module: torch.nn.Module) -> torch.Tensor:
            if run.step == stop:
                raise KeyboardInterrupt
            return step(run, module)

        with monkeypatch.context() as patched:
            patched.setattr(Fit, "_train_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fit(config, tmp_path / "parts", cache).run()
        assert Checkpoint.load(tmp_path / "parts" / "last.pt").step == 4
        resumed = trained(config, tmp_path / "parts", cache)
        assert resumed.step == 10
        assert_same(vars(whole), vars(resumed))
        best = (Checkpoint.load(tmp_path / name / "best.pt") for name in ("whole", "parts"))
        assert_same(*(vars(b) for b in best))

    def test_finished_run_stays_as_it_is(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        config = with_steps(config, 2)
        first = trained(config, tmp_path, cache)
        again = fit(config, tmp_path, cache)
        assert again.run() == first.scores
        assert_same(vars(first), vars(Checkpoint.load(tmp_path / "last.pt")))

    @pytest.mark.parametrize(
        "change",
        [
            {"learning_rate": 1e-3},
            {"arguments": {"width": 9, "depth": 2, "dropout": 0.1}},
            {"mix": MixConfig(rooms=2, augmentations=Augmentations().parse("clipping=0"))},
        ],
    )
    def test_other_options_are_refused(
        self, config: FitConfig, tmp_path: Path, cache: Path, change: dict[str, Any]
    ) -> None:
        config = with_steps(config, 1)
        trained(config, tmp_path, cache)
        before = (tmp_path / "last.pt").read_bytes()
        (name,) = change
        with pytest.raises(DataError, match=f"{name} differ") as caught:
            fit(replace(config, **change), tmp_path, cache).run()
        assert "\n" not in str(caught.value)
        assert (tmp_path / "last.pt").read_bytes() == before


class TestRunFolder:
    def test_holds_checkpoints_and_curves(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        scores = fit(config, tmp_path, cache).run()
        last, best = (Checkpoint.load(tmp_path / f"{n}.pt") for n in ("last", "best"))
        assert last.step == 10
        assert best.step in (4, 8, 10)
        assert last.scores == scores
        assert best.scores["si_sdr_db"] >= last.scores["si_sdr_db"]
        assert last.resume
        assert not best.resume
        assert last.recipe == recipe(config, processes=1)
        curves = EventAccumulator(str(tmp_path)).Reload()
        for name in ("loss", "train_snr_db", "snr_db", "si_sdr_db"):
            assert [e.step for e in curves.Scalars(name)] == [4, 8, 10]

    def test_recipe_names_no_folders_of_this_machine(
        self, config: FitConfig, tmp_path: Path
    ) -> None:
        mix = replace(config.mix, responses=str(tmp_path / "halls"))
        told = recipe(replace(config, mix=mix), processes=1)
        assert str(tmp_path.parent) not in str(told)
        assert told["sources"] == {"speech": "speech", "noise": "noise"}
        assert told["mix"]["responses"] == "halls"

    def test_best_is_kept_when_the_run_dies_while_saving(
        self, config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save, saved = Checkpoint.save, []

        def one_save_only(checkpoint: Checkpoint, path: Path) -> None:
            if saved:
                raise KeyboardInterrupt
            saved.append(path)
            save(checkpoint, path)

        config = with_steps(config, 4)
        with monkeypatch.context() as patched:
            patched.setattr(Checkpoint, "save", one_save_only)
            with pytest.raises(KeyboardInterrupt):
                fit(config, tmp_path, cache).run()
        fit(config, tmp_path, cache).run()
        assert Checkpoint.load(tmp_path / "best.pt").step == 4


class TestDivergence:
    def run(self, config: FitConfig, tmp_path: Path, cache: Path, bad: set[int]) -> Fit:
        run = fit(config, tmp_path, cache)
        batch = run.mixer.batch

        def spoilt(number: int, clips: int) -> tuple[torch.Tensor, torch.Tensor]:
            noisy, target = batch(number, clips)
            return noisy * (math.nan if number in bad else 1.0), target

        run.mixer.batch = spoilt
        run.run()
        return run

    def test_a_bad_batch_is_left_out(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        run = self.run(config, tmp_path, cache, {3, 4})
        assert run.step == 10
        weights = Checkpoint.load(tmp_path / "last.pt").resume["current"]
        learnt = [v for k, v in weights.items() if "running" not in k]
        assert all(v.isfinite().all() for v in learnt)

    def test_many_in_a_row_end_the_run(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        config = with_steps(config, 30)
        with pytest.raises(DataError, match="lower --learning-rate"):
            self.run(config, tmp_path, cache, set(range(2, 30)))


def test_pesq_counts_from_its_share_of_the_steps_on(
    config: FitConfig, tmp_path: Path, cache: Path
) -> None:
    config = replace(config, loss="perceptual", patch_frames=50, pesq_from=0.5, pesq_weight=1.0)
    run = fit(config, tmp_path, cache)
    run.objective.eval()
    batch = run.mixer.batch(0, 4)
    with torch.no_grad():
        early, just_before, late = (float(run.objective(*batch, s)[0]) for s in (0.0, 0.49, 0.5))
    assert early == just_before
    assert late > early + 0.5


def test_sizes_that_do_not_fit_are_refused(config: FitConfig, tmp_path: Path, cache: Path) -> None:
    wrong = replace(config, network="dualpath", arguments={"width": 10, "heads": 4})
    with pytest.raises(DataError, match="dualpath: 4 heads do not divide a width of 10"):
        fit(wrong, tmp_path, cache)


def test_bfloat16_is_refused_where_the_processor_lacks_it(
    config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda k=known: k)
        fit(config, tmp_path, cache)
    with pytest.raises(DataError, match="use --precision float32"):
        fit(replace(config, precision="bfloat16"), tmp_path, cache)


def test_steps_show_the_hours(config: FitConfig) -> None:
    # 40 frames of 10 ms, 4 clips a step: 1.6 s, on two processes 3.2 s.
    assert config.clip_samples == 6400
    assert replace(config, hours=1.0).steps(1) == 2250
    assert replace(config, hours=1.0).steps(2) == 1125
    assert replace(config, hours=0.0).steps(1) == 1


def test_two_processes_write_one_checkpoint(sources: Sources, tmp_path: Path) -> None:
    options = {
        "speech": sources.speech,
        "noise": sources.noise,
        # Spelled --run, torchrun would take it for an option of its own.
        "run-folder": tmp_path / "run",
        # Empty: both processes decode at the same time.
        "cache": tmp_path / "cache",
        "hours": 1.5 * 2 * 0.2 / 3600,
        "batch": 1,
        "patch-frames": 20,
        "patches": 1,
        "width": 4,
        "depth": 1,
        "rooms": 1,
        "valid-clips": 1,
        "device": "cpu",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "rtdenoise.train", "dncnn"]
    command += [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    for resumed in (0, 1):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        # The first process speaks and writes for both.
        assert done.stdout.count("resuming") == resumed
        assert done.stdout.count("last scores") == 1
        assert len(list((tmp_path / "run").glob("events.*"))) == 1 + resumed
    last = Checkpoint.load(tmp_path / "run" / "last.pt")
    assert last.step == 2
    assert {p.name for p in (tmp_path / "run").glob("*.pt*")} == {"last.pt", "best.pt"}
