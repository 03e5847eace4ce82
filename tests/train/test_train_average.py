from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rtdenoise.stft import StftConfig
from rtdenoise.train.average import average
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.cli_checkpoints import average as command
from rtdenoise.train.data import DataError
from rtdenoise.train.networks.dncnn import DnCnn
from rtdenoise.train.shape import with_defaults

ARGUMENTS = {"width": 8, "depth": 2, "dropout": 0.1}


def checkpoint(seed: int) -> Checkpoint:
    torch.manual_seed(seed)
    network = DnCnn(**ARGUMENTS)
    network(torch.rand(1, 9, 161), network.start(1))  # so that batch norm has counted and measured
    return Checkpoint(
        network="dncnn",
        arguments=ARGUMENTS,
        stft=StftConfig(),
        rate_hz=16_000,
        weights=network.state_dict(),
        recipe={"seed": seed},
        step=17 * seed,
        scores={"snr_db": 3.5},
        resume={"best": 1.0},
    )


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{seed}.pt" for seed in (1, 2, 3)]
    for seed, path in enumerate(found, 1):
        checkpoint(seed).save(path)
    return found


def test_every_weight_is_the_weighted_mean(paths: list[Path]) -> None:
    mean = average(paths, [2.0, 5.0, 3.0])
    parts = [Checkpoint.load(path).weights for path in paths]
    moved = 0
    for name, value in mean.weights.items():
        one, two, three = (part[name] for part in parts)
        assert value.dtype == one.dtype
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.2 * one + 0.5 * two + 0.3 * three)
            moved += not torch.equal(one, two)
        else:
            assert torch.equal(value, one)
    assert moved >= 3
    mean.build()


def test_order_and_scale_of_shares_make_no_difference(paths: list[Path]) -> None:
    one = average(paths, [1.0, 2.0, 4.0]).weights
    other = average(paths[::-1], [0.4, 0.2, 0.1]).weights
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-6, atol=1e-7)


def test_average_of_equals_is_the_same(paths: list[Path]) -> None:
    mean = average([paths[0], paths[0]], [0.3, 0.7]).weights
    for name, value in Checkpoint.load(paths[0]).weights.items():
        assert torch.equal(mean[name], value)


def test_it_says_what_it_is_and_claims_no_scores(paths: list[Path]) -> None:
    mean = average(paths[:2], [3.0, 1.0])
    assert mean.recipe == {"seed": 1, "average": [["1.pt", 0.75], ["2.pt", 0.25]]}
    assert mean.step == 17
    assert mean.scores == {}
    assert mean.resume == {}


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf")])
def test_unfit_shares_are_refused(paths: list[Path], share: float) -> None:
    with pytest.raises(DataError, match=r"2\.pt: its share is"):
        average(paths[:2], [1.0, share])


@pytest.mark.parametrize(
    "change",
    [
        {"network": "dualpath"},
        {"arguments": ARGUMENTS | {"width": 16}},
        {"stft": StftConfig(40.0, 20.0, 10.0)},
        {"rate_hz": 8_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_networks_are_refused(paths: list[Path], change: dict[str, object]) -> None:
    replace(checkpoint(2), **change).save(paths[1])
    with pytest.raises(DataError, match=rf"2\.pt: not the same {next(iter(change))} as .*1\.pt"):
        average(paths[:2], [1.0, 1.0])


def test_a_default_written_out_is_no_other_network(paths: list[Path]) -> None:
    before = average(paths, [1.0, 1.0, 1.0]).weights
    replace(checkpoint(2), arguments=with_defaults("dncnn", ARGUMENTS)).save(paths[1])
    after = average(paths, [1.0, 1.0, 1.0]).weights
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("change", ["a name less", "another shape"])
def test_weights_that_do_not_match_are_refused(paths: list[Path], change: str) -> None:
    odd = checkpoint(2)
    name = next(iter(odd.weights))
    if change == "a name less":
        del odd.weights[name]
    else:
        odd.weights[name] = odd.weights[name][:1]
    odd.save(paths[1])
    for order in (paths[:2], paths[1::-1]):
        with pytest.raises(DataError, match="not the same weights as"):
            average(order, [1.0, 1.0])


def test_one_alone_has_no_average(paths: list[Path]) -> None:
    with pytest.raises(DataError, match="two checkpoints"):
        average(paths[:1], [1.0])


def test_command_takes_shares_and_replaces_nothing_unasked(paths: list[Path]) -> None:
    out = paths[0].with_name("mean.pt")
    command([f"{paths[0]}:3", str(paths[1])], out)
    wanted = average(paths[:2], [0.75, 0.25])
    found = Checkpoint.load(out)
    assert found.recipe == wanted.recipe
    for name, value in wanted.weights.items():
        torch.testing.assert_close(found.weights[name], value)
    before = out.read_bytes()
    with pytest.raises(DataError, match="--force"):
        command([str(paths[0]), str(paths[2])], out)
    assert out.read_bytes() == before
    command([str(paths[0]), str(paths[2])], out, force=True)
    assert out.read_bytes() != before


def test_a_colon_may_be_part_of_a_name(paths: list[Path]) -> None:
    odd = paths[0].rename(paths[0].with_name("run:2"))
    out = odd.with_name("mean.pt")
    command([str(odd), f"{paths[1]}:2"], out)
    assert Checkpoint.load(out).recipe["average"] == [["run:2", 0.3333], ["2.pt", 0.6667]]
    with pytest.raises(DataError, match=r"a:b\.pt: no such checkpoint"):
        command(["a:b.pt", str(odd)], odd.with_name("other.pt"))


def test_a_folder_that_is_not_there_is_told(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        command([str(p) for p in paths], tmp_path / "gone" / "mean.pt")


def test_a_folder_is_not_replaced_even_if_asked(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(DataError, match="runs is a folder"):
        command([str(p) for p in paths], tmp_path / "runs", force=True)
    assert not list(tmp_path.glob("*.part"))
