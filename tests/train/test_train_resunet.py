"""The patch network: its gains, its streaming, and its training."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from small_runs import fit, needs_bfloat16, with_steps
from torch import Tensor

from rtdenoise.train import pretrained, validate
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.config import FitConfig, recipe
from rtdenoise.train.data import DataError
from rtdenoise.train.fit import Fit
from rtdenoise.train.losses import snr_db
from rtdenoise.train.networks import NETWORKS, clip_gains
from rtdenoise.train.networks.resunet import ResUNet

SMALL = {"encoder": "resnet18", "encoder_depth": 3, "width": 16}


def magnitudes(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 1, **arguments: Any) -> ResUNet:
    """A network in evaluation mode whose batch norms have seen something."""
    torch.manual_seed(seed)
    made = ResUNet(**{**SMALL, **arguments})
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return made.eval()


class TestNetwork:
    def test_gain_lies_between_zero_and_one(self) -> None:
        made = network()
        for level in (0.0, 1e-8, 1.0, 1e4):
            with torch.no_grad():
                gain = made.patch(level * magnitudes(2, 2, 64, 161))
            assert gain.shape == (2, 64, 161)
            assert 0 <= float(gain.min()) <= float(gain.max()) <= 1
            assert torch.equal(gain[..., 160], gain[..., 159])

    @pytest.mark.parametrize("volume_db", [-15.0, 15.0])
    def test_gain_does_not_depend_on_the_volume(self, volume_db: float) -> None:
        made = network()
        magnitude = magnitudes(3, 2, 64, 161)
        with torch.no_grad():
            one, other = made.patch(magnitude), made.patch(10 ** (volume_db / 20) * magnitude)
        assert float(one.std()) > 0.01
        torch.testing.assert_close(other, one, atol=1e-3, rtol=0)

    def test_sees_what_follows_within_a_patch(self) -> None:
        made, before = network(), magnitudes(4, 1, 64, 161)
        after = before.clone()
        after[:, 40:] = magnitudes(5, 1, 24, 161)
        with torch.no_grad():
            assert (made.patch(before) - made.patch(after))[:, 30:40].abs().max() > 1e-3

    def test_its_last_stage_sees_the_picture_itself(self) -> None:
        made = network()
        with torch.no_grad():
            for weight in made.unet.encoder.parameters():
                weight.zero_()
            first, second = made.patch(magnitudes(7, 2, 64, 161))
        assert (first - second).abs().max() > 1e-3

    def test_the_shipped_size(self) -> None:
        with torch.device("meta"):
            made = ResUNet()
        count = sum(p.numel() for p in made.parameters())
        assert 25e6 < count < 32e6

    def test_every_weight_is_used(self) -> None:
        made = network().train()
        made.patch(magnitudes(6, 2, 64, 161)).sum().backward()
        assert all(p.grad is not None for p in made.parameters())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"encoder": "resnet9"}, "encoder 'resnet9' is unknown; use one of resnet18, "),
            ({"encoder_depth": 2}, "encoder_depth must be 3 to 5"),
            ({"window_frames": 60}, "multiple of 8 frames"),
            ({"emit_frames": 64}, "emit_frames must be 1 to 63"),
            ({"emit_frames": 0}, "emit_frames must be 1 to 63"),
            ({"width": 18}, "width must be a multiple of 4"),
            ({"bins": 160}, "bins must be a multiple of 8 plus 1"),
        ],
    )
    def test_sizes_that_do_not_fit_are_refused(
        self, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            ResUNet(**{**SMALL, **arguments})


def emitted(made: ResUNet, magnitude: Tensor) -> Tensor:
    """The procedure of streaming, frame by frame, as it is described."""
    emit, history = made.emit_frames, torch.zeros(magnitude.shape[0], 63, 161)
    waiting, ready, last, out = [], [], None, []
    for frame in magnitude.unbind(1):
        waiting.append(frame)
        if len(waiting) == emit:
            gain, history = made.newest(torch.stack(waiting, 1), history)
            apart = 0 if last is None else last - gain[:, 0]
            fading = emit // 2
            for i in range(fading):
                faded = gain[:, 1 + i] + (1 - (i + 1) / (fading + 1)) * apart
                gain[:, 1 + i] = faded.clamp(0, 1)
            waiting, ready, last = [], list(gain[:, 1:].unbind(1)), gain[:, -1]
        out.append(ready.pop(0) if ready else torch.zeros_like(frame))
    return torch.stack(out, 1)


class TestStreaming:
    @pytest.mark.parametrize("emit", [1, 2, 5, 16, 63])
    def test_whole_clips_are_what_streaming_gives(self, emit: int) -> None:
        made = network(emit_frames=emit)
        frames = 2 * emit + 20
        magnitude = magnitudes(7, 2, frames, 161) * torch.linspace(0.1, 2, frames)[:, None]
        with torch.no_grad():
            want, got = emitted(made, magnitude), made(magnitude, made.start(2))[0]
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
        assert (got[:, : emit - 1] == 0).all()

    def test_many_patches_are_taken_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made, magnitude = network(emit_frames=4), magnitudes(8, 2, 90, 161)
        with torch.no_grad():
            want = made(magnitude, made.start(2))[0]
            monkeypatch.setattr("rtdenoise.train.networks.resunet.PATCHES_AT_A_TIME", 5)
            got = made(magnitude, made.start(2))[0]
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("emit", [1, 16])
    def test_clip_gains_are_aligned_with_their_frames(
        self, emit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = network(emit_frames=emit)
        # A network whose gain is its input: what comes out is the frame itself.
        monkeypatch.setattr(made, "patch", lambda magnitude: magnitude)
        spectrum = torch.polar(magnitudes(9, 2, 100, 161), torch.ones(2, 100, 161))
        torch.testing.assert_close(clip_gains(made, spectrum), spectrum.abs())


@pytest.fixture(autouse=True)
def _quick_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    # PESQ takes longer than all the steps of a tiny run.
    monkeypatch.setattr(validate.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def config(config: FitConfig) -> FitConfig:
    return with_steps(config, 6, network="resunet", arguments=SMALL, patch_frames=64, patches=1)


class TestTraining:
    @pytest.mark.parametrize(
        ("loss", "streamed"),
        [("resynthesis", False), ("perceptual", False), ("log-cosh", False), ("perceptual", True)],
    )
    def test_the_loss_falls(
        self, config: FitConfig, tmp_path: Path, cache: Path, loss: str, streamed: bool
    ) -> None:
        config = with_steps(
            config, 40, loss=loss, streamed=streamed, learning_rate=5e-3, check_steps=1000
        )
        run = fit(config, tmp_path, cache)
        batch = run.mixer.batch(10**6, 16)

        def score() -> float:
            with torch.no_grad():
                return float(run.objective.eval()(*batch)[0])

        before = score()
        run.run()
        assert score() < before

    def test_resumed_run_ends_as_an_uninterrupted_one(
        self, config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fit(config, tmp_path / "whole", cache).run()
        step = Fit._train_step

        def interrupted(run: Fit, module: torch.nn.Module) -> Tensor:
            if run.step == 5:
                raise KeyboardInterrupt
            return step(run, module)

        with monkeypatch.context() as patched:
            patched.setattr(Fit, "_train_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fit(config, tmp_path / "parts", cache).run()
        fit(config, tmp_path / "parts", cache).run()
        whole, parts = (Checkpoint.load(tmp_path / n / "last.pt") for n in ("whole", "parts"))
        assert whole.step == parts.step == 6
        assert all(torch.equal(v, parts.weights[k]) for k, v in whole.weights.items())

    @needs_bfloat16
    def test_bfloat16_runs(self, config: FitConfig, tmp_path: Path, cache: Path) -> None:
        fit(with_steps(config, 2, precision="bfloat16"), tmp_path, cache).run()
        weights = Checkpoint.load(tmp_path / "last.pt").weights.values()
        floats = [v for v in weights if v.is_floating_point()]
        assert all(v.dtype == torch.float32 and v.isfinite().all() for v in floats)

    def test_newest_columns_weigh_more_in_every_loss(
        self, config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A network that spoils old columns pays less than one that spoils the newest."""
        for loss in ("resynthesis", "intelligibility", "log-cosh"):
            run = fit(replace(config, loss=loss, newest_weight=8.0), tmp_path, cache)
            noisy, _ = run.mixer.batch(3, 8)
            values = []
            for spoilt in (slice(20, 36), slice(48, 64)):
                gain = torch.ones(8, 64, 161)
                gain[:, spoilt] = 0.3
                monkeypatch.setattr(run.objective, "_fused", lambda _, gain=gain: gain)
                # Against the noisy signal itself only the spoilt part is wrong.
                values.append(float(run.objective.eval()(noisy, noisy)[0]))
            assert values[1] > values[0], loss

    @pytest.mark.parametrize("emit", [5, 16])
    def test_streamed_it_is_trained_on_what_streaming_gives(
        self, config: FitConfig, tmp_path: Path, cache: Path, emit: int
    ) -> None:
        arguments = SMALL | {"emit_frames": emit}
        config = replace(config, arguments=arguments, patches=2, streamed=True)
        run = fit(config, tmp_path, cache)
        noisy, clean = run.mixer.batch(4, 3)
        objective = run.objective.eval()
        with torch.no_grad():
            snr = objective(noisy, clean)[1]
            given = objective.denoise(noisy)
            wanted = objective.stft.synthesis(objective.stft.analysis(clean))
        torch.testing.assert_close(snr, snr_db(given, wanted).mean())
        assert recipe(config, 1)["streamed"]

    def test_only_this_network_can_be_told_to_be_streamed(self, config: FitConfig) -> None:
        with pytest.raises(DataError, match="--streamed is for resunet; dncnn is always") as caught:
            replace(config, network="dncnn", arguments={}, streamed=True)
        assert "\n" not in str(caught.value)

    def test_patches_of_another_length_are_refused(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        with pytest.raises(DataError, match="its patches have 64 frames"):
            fit(replace(config, patch_frames=96), tmp_path, cache)

    def test_recipes_of_other_networks_stay_as_they_were(self, config: FitConfig) -> None:
        told = recipe(replace(config, network="dncnn", arguments={}), 1)
        assert not told.keys() & {"newest_weight", "encoder_weights", "teacher", "teacher_weight"}
        assert recipe(config, 1)["newest_weight"] == 4.0
        assert "streamed" not in recipe(config, 1)


class TestEncoderWeights:
    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A hub that gives the weights of another encoder; the names asked for."""
        asked: list[str] = []
        fetch = pretrained.get_encoder

        def give(name: str, weights: str) -> torch.nn.Module:
            asked.append(name)
            return fetch(name, weights=None)

        monkeypatch.setattr(pretrained, "get_encoder", give)
        return asked

    def test_are_what_a_new_training_begins_with(
        self, config: FitConfig, tmp_path: Path, cache: Path, hub: list[str]
    ) -> None:
        config = with_steps(config, 1, encoder_weights="imagenet")
        torch.manual_seed(config.seed)
        random = NETWORKS["resunet"](**SMALL).state_dict()
        begun = fit(config, tmp_path, cache).objective.network.state_dict()
        assert hub == ["resnet18"]
        name = "unet.encoder.layer1.0.conv1.weight"
        assert not torch.equal(begun[name], random[name])
        name = "unet.decoder.blocks.0.conv1.0.weight"
        assert torch.equal(begun[name], random[name])

    def test_are_not_fetched_again(
        self, config: FitConfig, tmp_path: Path, cache: Path, hub: list[str]
    ) -> None:
        config = with_steps(config, 1, encoder_weights="imagenet")
        fit(config, tmp_path, cache).run()
        fit(config, tmp_path, cache).run()
        Checkpoint.load(tmp_path / "last.pt").build()
        started = replace(config, start_from=str(tmp_path / "last.pt"))
        fit(started, tmp_path / "next", cache)
        assert len(hub) == 1

    def test_offline_one_line_says_that_the_start_is_random(
        self, config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def offline(name: str, weights: str) -> None:
            raise FileNotFoundError("no network,\nand many words about it")

        monkeypatch.setattr(pretrained, "get_encoder", offline)
        torch.manual_seed(config.seed)
        random = NETWORKS["resunet"](**SMALL).state_dict()
        console = Console(record=True, width=60, file=io.StringIO())
        config = replace(config, encoder_weights="imagenet")
        begun = fit(config, tmp_path, cache, console).objective.network.state_dict()
        assert all(torch.equal(v, begun[k]) for k, v in random.items())
        (line,) = console.export_text().splitlines()
        assert line.startswith("imagenet weights of resnet18 cannot be fetched")
        assert line.endswith("starting from random weights")

    def test_offline_the_checkpoint_says_so_and_can_be_resumed(
        self, config: FitConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def offline(name: str, weights: str) -> None:
            raise FileNotFoundError

        monkeypatch.setattr(pretrained, "get_encoder", offline)
        config = with_steps(config, 1, encoder_weights="imagenet")
        for _ in range(2):
            fit(config, tmp_path, cache).run()
            told = Checkpoint.load(tmp_path / "last.pt").recipe["encoder_weights"]
            assert told == "none, as they could not be fetched"

    def test_that_there_are_not_are_refused(
        self, config: FitConfig, tmp_path: Path, cache: Path
    ) -> None:
        made = network()
        with pytest.raises(DataError, match="no sketches weights for encoder 'resnet18'"):
            pretrained.begin_with(made, "sketches", Console(quiet=True))
        with pytest.raises(DataError, match="encoder_weights 'sketches' is unknown"):
            replace(config, encoder_weights="sketches")
        config = replace(config, network="dncnn", arguments={}, encoder_weights="imagenet")
        with pytest.raises(DataError, match="dncnn has no encoder"):
            fit(config, tmp_path, cache)
