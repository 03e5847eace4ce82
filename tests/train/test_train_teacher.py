"""A teacher pulls its student, hears the same, and is told from what is none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import fit, with_steps
from torch import Tensor

from rtdenoise.stft import StftConfig
from rtdenoise.train import validate
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.config import FitConfig, recipe
from rtdenoise.train.data import RATE_HZ, DataError
from rtdenoise.train.export import export
from rtdenoise.train.losses import teacher_loss
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.networks.resunet import ResUNet
from rtdenoise.train.objective import Objective
from rtdenoise.train.patches import cut_patches
from rtdenoise.train.teacher import Teacher, best_gains

CPU = torch.device("cpu")
SMALL = {"encoder": "resnet18", "encoder_depth": 3, "width": 16}


def spectrum(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, dtype=torch.complex64, generator=generator)


def trained(seed: int, name: str = "resunet", stft: StftConfig | None = None) -> Checkpoint:
    """A checkpoint of random weights whose gains differ from frame to frame."""
    torch.manual_seed(seed)
    arguments = SMALL if name == "resunet" else {}
    network = NETWORKS[name](**arguments)
    if name == "resunet":
        network.unet.segmentation_head.weight.data.mul_(5)
        with torch.no_grad():
            for _ in range(20):
                network.patch(torch.rand(4, 64, 161))
    return Checkpoint(
        name, arguments, stft or StftConfig(), RATE_HZ, network.state_dict(), {}, 1, {}, {}
    )


class TestBestGains:
    @pytest.fixture
    def made(self) -> ResUNet:
        return ResUNet(**SMALL).eval()

    @pytest.mark.parametrize("frames", [10, 63, 64, 65, 96, 128, 161, 322])
    def test_are_aligned_with_their_frames(
        self, made: ResUNet, monkeypatch: pytest.MonkeyPatch, frames: int
    ) -> None:
        monkeypatch.setattr(made, "patch", lambda magnitude: magnitude)
        magnitude = spectrum(1, 3, frames, 161).abs()
        torch.testing.assert_close(best_gains(made, magnitude), magnitude)

    def test_come_from_the_middle_of_patches(
        self, made: ResUNet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def places(magnitude: Tensor) -> Tensor:
            return torch.arange(64.0)[:, None].expand_as(magnitude)

        monkeypatch.setattr(made, "patch", places)
        place = best_gains(made, torch.zeros(2, 322, 161))[0, :, 0]
        assert place[:48].tolist() == list(range(48))
        assert place[-48:].tolist() == list(range(16, 64))
        assert ((place[16:-16] >= 16) & (place[16:-16] < 48)).all()


class TestTeacher:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An exported model beside its checkpoint, float32."""
        checkpoint = trained(2)
        export(checkpoint, tmp_path / "model", "", "", "MIT", None, "float32")
        checkpoint.save(tmp_path / "best.pt")
        return tmp_path

    def test_a_checkpoint_and_the_exported_model_teach_the_same(self, folder: Path) -> None:
        noisy = spectrum(3, 2, 161, 161)
        one, other = (
            Teacher(folder / name, StftConfig(), CPU)(noisy) for name in ("best.pt", "model")
        )
        assert float(one.std()) > 0.01
        torch.testing.assert_close(other, one, atol=1e-5, rtol=0)
        (folder / "best.pt").rename(folder / "model" / "checkpoint.pt")
        again = Teacher(folder / "model", StftConfig(), CPU)(noisy)
        assert torch.equal(again, one)

    def test_any_network_can_teach(self, tmp_path: Path) -> None:
        for name in ("dncnn", "dualpath"):
            trained(4, name).save(tmp_path / f"{name}.pt")
            gain = Teacher(tmp_path / f"{name}.pt", StftConfig(), CPU)(spectrum(5, 2, 70, 161))
            assert gain.shape == (2, 70, 161)
            assert not gain.is_complex()

    def test_one_that_cannot_be_read_is_refused_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "text").write_text("hello")
        (tmp_path / "half").mkdir()
        (tmp_path / "half" / "card.json").write_text("{}")
        for name, message in (
            ("gone", "no such checkpoint"),
            ("text", "is not a checkpoint"),
            ("empty", "neither a checkpoint nor an exported model"),
            ("half", "neither a checkpoint nor an exported model"),
        ):
            with pytest.raises(DataError, match=message) as caught:
                Teacher(tmp_path / name, StftConfig(), CPU)
            assert "\n" not in str(caught.value)

    def test_one_with_other_windows_is_refused(self, tmp_path: Path) -> None:
        trained(6, stft=StftConfig(20.0, 10.0, 5.0)).save(tmp_path / "a.pt")
        with pytest.raises(DataError, match="other windows"):
            Teacher(tmp_path / "a.pt", StftConfig(), CPU)


class TestLearning:
    @pytest.fixture(autouse=True)
    def _quick_validation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # PESQ takes longer than all the steps of a tiny run.
        monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)

    @pytest.fixture
    def teacher(self, tmp_path: Path) -> Path:
        trained(7).save(tmp_path / "teacher.pt")
        return tmp_path / "teacher.pt"

    @pytest.fixture
    def config(self, config: FitConfig, teacher: Path) -> FitConfig:
        return with_steps(
            config,
            25,
            arguments={"width": 8, "depth": 2},
            patch_frames=64,
            patches=1,
            learning_rate=1e-2,
            check_steps=1000,
            teacher=str(teacher),
        )

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("dncnn", {"width": 8, "depth": 2}),
            ("dualpath", {"channels": 4, "width": 8, "blocks": 1, "heads": 1}),
        ],
    )
    def test_a_teacher_pulls_its_student(
        self,
        config: FitConfig,
        tmp_path: Path,
        cache: Path,
        name: str,
        arguments: dict[str, int],
    ) -> None:
        config = replace(config, network=name, arguments=arguments)
        apart = {}
        for weight in (0.0, 100.0):
            folder = tmp_path / str(weight)
            run = fit(replace(config, teacher_weight=weight), folder, cache)
            noisy = run.objective.stft.analysis(run.mixer.batch(10**6, 8)[0])
            run.run()
            with torch.no_grad():
                gain = run.objective.eval()._gain(noisy)
            taught = Teacher(Path(str(config.teacher)), config.stft, CPU)(noisy)
            apart[weight] = float(teacher_loss(gain, taught, noisy.abs()))
        assert apart[100.0] < 0.7 * apart[0.0]

    def test_the_teacher_hears_what_came_before_a_patch(
        self, config: FitConfig, tmp_path: Path
    ) -> None:
        trained(9, "dualpath").save(tmp_path / "dualpath.pt")
        config = replace(config, network="dualpath", arguments={}, patches=3, teacher_weight=2.0)
        teacher = Teacher(tmp_path / "dualpath.pt", StftConfig(), CPU)
        torch.manual_seed(10)
        student = NETWORKS["dualpath"]().eval()
        noisy = 0.1 * torch.randn(2, config.clip_samples)
        alone, taught = (Objective(student, config, t).eval() for t in (None, teacher))
        with torch.no_grad():
            whole = alone.stft.analysis(noisy)
            patches = cut_patches(whole, 64)
            wanted = cut_patches(teacher(whole), 64)
            imitation = teacher_loss(alone._gain(patches), wanted, patches.abs())
            losses = [objective(noisy, noisy)[0] for objective in (alone, taught)]
        assert float((wanted - teacher(patches)).abs().max()) > 1e-3  # it makes a difference
        torch.testing.assert_close(losses[1] - losses[0], 2.0 * imitation)

    def test_the_teacher_stays_as_it_is(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        run = fit(config, tmp_path / "run", cache)
        noisy = spectrum(8, 2, 64, 161)
        assert run.objective._teacher is not None
        before = run.objective._teacher(noisy)
        run.run()
        assert torch.equal(run.objective._teacher(noisy), before)
        last = Checkpoint.load(tmp_path / "run" / "last.pt")
        assert all("teacher" not in k for k in last.weights)
        assert last.recipe["teacher"] == "teacher.pt"
        assert recipe(replace(config, teacher=None), 1).keys() < last.recipe.keys()

    def test_another_teacher_is_another_run(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        config = replace(config, hours=config.hours / 24.5 * 0.5)
        fit(config, tmp_path / "run", cache).run()
        alone = replace(config, teacher=None)
        with pytest.raises(DataError, match="teacher, teacher_weight differ"):
            fit(alone, tmp_path / "run", cache).run()
