"""Recipes and the options of the command line, with the training itself left out."""

from pathlib import Path
from typing import Any

import pytest
import typer

from rtdenoise.model import read_card
from rtdenoise.stft import StftConfig
from rtdenoise.train import cli, tune
from rtdenoise.train.config import FitConfig
from rtdenoise.train.data import RATE_HZ, DataError
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.recipes import list_recipes, read_recipe
from rtdenoise.train.shape import with_defaults
from rtdenoise.train.trials import Trial


class Asked(Exception):
    def __init__(self, config: FitConfig) -> None:
        self.config = config


@pytest.fixture
def ask(monkeypatch):
    """Return the configuration that a command line asks for."""

    def fit(config: FitConfig, *_: Any) -> None:
        raise Asked(config)

    monkeypatch.setattr(cli, "Fit", fit)

    def run(*arguments: str) -> FitConfig:
        with pytest.raises(Asked) as caught:
            typer.main.get_command(cli.app)(
                [*arguments, "--speech", "s", "--noise", "n"], standalone_mode=False
            )
        return caught.value.config

    return run


def refused(*arguments: str) -> str:
    with pytest.raises(DataError) as caught:
        typer.main.get_command(cli.app)([*arguments], standalone_mode=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_describe_a_training(ask, name: str) -> None:
    values = read_recipe(name)
    start = ["--start-from", "a.pt"] if values.get("fixed_norms") else []
    config = ask("--preset", name, *start)
    network = NETWORKS[config.network](**config.arguments)
    assert sum(p.numel() for p in network.parameters()) > 10_000
    assert config.hours == values["hours"]
    assert config.batch_clips == values["batch"]


def test_the_benchmark_varies_nothing_but_the_level(ask) -> None:
    drawn = vars(ask("--preset", "voicebank-demand").mix.augmentations)
    assert {name for name, strength in drawn.items() if strength.probability > 0} == {"volume"}


def test_the_sizes_are_ordered() -> None:
    def size(name: str) -> int:
        values = read_recipe(name)
        shape = {k: values[k] for k in ("channels", "width", "blocks", "heads")}
        return sum(p.numel() for p in NETWORKS["dualpath"](**shape).parameters())

    assert size("tiny") < size("base") < size("large")


@pytest.mark.parametrize(
    ("recipe", "model"), [("base", "dualpath"), ("tiny", "dualpath-tiny"), ("resunet", "resunet")]
)
def test_recipes_make_the_networks_that_ship(ask, recipe: str, model: str) -> None:
    made = ask("--preset", recipe)
    shipped = read_card(model).details["network"]
    assert made.network == shipped["class"]
    name = made.network
    assert with_defaults(name, made.arguments) == with_defaults(name, shipped["arguments"])


def test_going_further_fits_the_default_models_weights(ask) -> None:
    further = ask("--preset", "further", "--start-from", "a.pt")
    assert further.arguments == ask("--preset", "base").arguments
    assert further.fixed_norms


def test_options_win_over_the_recipe(ask, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'network = "dncnn"\ndepth = 3\nlearning-rate = 0.01\nsnr = [0, 5]\n'
        'augment = ["reverb=0", "clipping=0.5"]\nkeep-reverb = true\n'
    )
    config = ask("--preset", str(recipe), "--learning-rate", "0.5")
    assert config.network == "dncnn"
    assert config.arguments == {"depth": 3}
    assert config.learning_rate == 0.5
    assert config.mix.snr_db == (0.0, 5.0)
    assert config.mix.augmentations.reverb.probability == 0
    assert config.mix.augmentations.clipping.probability == 0.5
    assert not config.mix.dereverberate


def test_without_a_recipe_the_networks_own_sizes_hold(ask) -> None:
    assert ask("dncnn").arguments == {}
    assert ask("dncnn", "--width", "24").arguments == {"width": 24}
    assert ask("dualpath", "--merge", "4").arguments == {"merge": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth = ", "not valid TOML"),
        ("colour = 3", "'colour' is no option"),
        ('preset = "base"', "'preset' is no option"),
        (b"\xff\xfe", "is unknown"),
    ],
)
def test_broken_recipes_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused("dncnn", "--preset", str(recipe))


def test_unknown_names_are_refused_with_those_there_are() -> None:
    assert "base" in refused("dncnn", "--preset", "huge")
    assert "dualpath" in refused("transformer")


def test_options_of_another_network_are_refused() -> None:
    message = refused("dualpath", "--depth", "3")
    assert "--depth" in message
    assert "--blocks" in message
    assert "--heads" in refused("dncnn", "--heads", "2")


def test_tune_hands_the_configuration_to_the_search(monkeypatch, capsys, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def search(config, folder, cache, device, trials, workers, console):
        asked.update(config=config, folder=folder, trials=trials, workers=workers)
        return [Trial(3, "complete", {"depth": 5, "learning_rate": 0.01}, 1.5, {}, 9, 0.1, 2.0, "")]

    monkeypatch.setattr(tune, "tune", search)
    arguments = ["dncnn", "--speech", "s", "--noise", "n", "--depth", "4", "--run", str(tmp_path)]
    command = typer.main.get_command(cli.app)
    command([*arguments, "--tune", "12", "--workers", "2"], standalone_mode=False)
    assert asked["config"].arguments == {"depth": 4}
    assert (asked["folder"], asked["trials"], asked["workers"]) == (tmp_path, 12, 2)
    told = capsys.readouterr().out.replace("\n", "")
    assert "trial 3" in told
    assert "--depth 5" in told


class TestPatches:
    def test_are_as_long_as_suits_the_network(self, ask) -> None:
        assert ask("dncnn").patch_frames == 161
        assert ask("dncnn", "--patch-frames", "322").patch_frames == 322
        config = ask("resunet")
        assert (config.patch_frames, config.arguments) == (64, {})
        config = ask("resunet", "--patch-frames", "96")
        assert (config.patch_frames, config.arguments) == (96, {"window_frames": 96})

    def test_options_of_their_network(self, ask) -> None:
        options = ["--encoder", "resnet34", "--encoder-depth", "3", "--emit-frames", "4"]
        more = ["--width", "64", "--encoder-weights", "imagenet", "--newest-weight", "2"]
        config = ask("resunet", *options, *more)
        shape = {"encoder": "resnet34", "encoder_depth": 3, "emit_frames": 4, "width": 64}
        assert config.arguments == shape
        assert (config.encoder_weights, config.newest_weight) == ("imagenet", 2.0)

    def test_options_of_another_network_are_refused(self) -> None:
        message = refused("dncnn", "--encoder-depth", "3")
        assert "dncnn has no option --encoder-depth" in message
        assert "--emit-frames" in refused("resunet", "--heads", "2")


def test_a_teacher_is_asked_for_by_its_place(ask) -> None:
    config = ask("dncnn", "--teacher", "models/resunet", "--teacher-weight", "0.5")
    assert (config.teacher, config.teacher_weight) == (str(Path("models/resunet")), 0.5)
    assert ask("dncnn").teacher is None


class TestAnalysisWindow:
    def test_is_that_of_the_front_end_if_not_given(self, ask) -> None:
        config = ask("dualpath")
        assert (config.stft, config.arguments) == (StftConfig(), {})

    def test_a_longer_one_has_finer_bins_at_equal_latency(self, ask) -> None:
        config = ask("dualpath", "--analysis-ms", "40", "--width", "32")
        assert config.arguments == {"width": 32, "bins": 321}
        assert config.stft.bins(RATE_HZ) == 321
        assert config.stft.latency_samples(RATE_HZ) == StftConfig().latency_samples(RATE_HZ)

    def test_one_that_does_not_fit_the_hop_is_refused(self) -> None:
        assert "--analysis-ms 25: " in refused("dualpath", "--analysis-ms", "25")
        assert "--analysis-ms 10: " in refused("dualpath", "--analysis-ms", "10")
