from pathlib import Path

import pytest
import torch

from rtdenoise.stft import StftConfig
from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.networks.dncnn import DnCnn

ARGUMENTS = {"width": 8, "depth": 2, "dropout": 0.1}


def checkpoint(seed: int) -> Checkpoint:
    torch.manual_seed(seed)
    return Checkpoint(
        network="dncnn",
        arguments=ARGUMENTS,
        stft=StftConfig(20.0, 10.0, 5.0),
        rate_hz=16_000,
        weights=DnCnn(**ARGUMENTS).state_dict(),
        recipe={"seed": seed, "mix": {"snr_db": (-8.0, 22.0)}},
        step=17,
        scores={"snr_db": 3.5},
        resume={"best": 1.0},
    )


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_round_trip_rebuilds_the_network(tmp_path: Path) -> None:
    saved = checkpoint(1)
    saved.save(tmp_path / "a.pt")
    loaded = Checkpoint.load(tmp_path / "a.pt")
    assert same_weights(loaded.weights, saved.weights)
    described = ("network", "arguments", "stft", "rate_hz", "recipe", "step", "scores", "resume")
    for name in described:
        assert getattr(loaded, name) == getattr(saved, name)
    one, other = saved.build(), loaded.build()
    assert not other.training
    magnitude = torch.rand(1, 5, 161, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        gains = [n(magnitude, n.start(1))[0] for n in (one, other)]
    assert torch.equal(*gains)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_interrupted_save_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    old = checkpoint(3)
    old.save(path)

    def write_half(_: object, target: Path) -> None:
        Path(target).write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", write_half)
        with pytest.raises(KeyboardInterrupt):
            checkpoint(4).save(path)
    assert same_weights(Checkpoint.load(path).weights, old.weights)
    new = checkpoint(4)
    new.save(path)
    assert same_weights(Checkpoint.load(path).weights, new.weights)


@pytest.mark.parametrize("junk", ["empty", "text", "half", "other"])
def test_junk_is_refused_in_one_line(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "a.pt"
    checkpoint(5).save(path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"hello\n" * 9, "half": whole[:2000]}.get(junk, whole))
    if junk == "other":
        torch.save({"weights": {}}, path)
    with pytest.raises(DataError, match="is not a checkpoint") as caught:
        Checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    torch.save({"stft": Path("somewhere")}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="is not a checkpoint") as caught:
        Checkpoint.load(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such checkpoint"):
        Checkpoint.load(tmp_path / "gone.pt")
