from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import fit, trained
from torch import Tensor, nn

from rtdenoise.train.checkpoint import Checkpoint
from rtdenoise.train.data import DataError
from rtdenoise.train.fit import FitConfig
from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.norms import measured_anew
from rtdenoise.train.objective import Objective


def statistics(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in weights.items() if "running" in k}


def test_norms_take_the_mean_of_what_they_see_and_nothing_else_changes() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.2), nn.Dropout(0.5))
    weights = {k: v.clone() for k, v in network.named_parameters()}
    network(torch.full((4, 1, 9, 9), 7.0))  # what it saw before must not count
    batches = [torch.randn(4, 1, 9, 9) for _ in range(5)]
    with measured_anew(network):
        given = [network(batch) for batch in batches]
    seen = [network[0](batch) for batch in batches]
    mean = torch.stack([s.mean((0, 2, 3)) for s in seen]).mean(0)
    variance = torch.stack([s.var((0, 2, 3)) for s in seen]).mean(0)
    torch.testing.assert_close(network[1].running_mean, mean)
    torch.testing.assert_close(network[1].running_var, variance)
    assert all((g != 0).all() for g in given)  # no dropout meanwhile
    assert network[1].momentum == 0.2
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(v, weights[k]) for k, v in network.named_parameters())


@pytest.mark.parametrize(
    ("network", "arguments", "frames"),
    [
        ("dncnn", {"width": 8, "depth": 2, "dropout": 0.1}, 20),
        ("dualpath", {"channels": 8, "width": 12, "blocks": 1}, 20),
        ("resunet", {"encoder": "resnet18", "encoder_depth": 3, "width": 16}, 64),
    ],
)
def test_every_network_is_measured_on_what_its_training_shows(
    config: FitConfig, network: str, arguments: dict[str, object], frames: int
) -> None:
    torch.manual_seed(2)
    config = replace(config, network=network, arguments=arguments, patch_frames=frames)
    objective = Objective(NETWORKS[network](**arguments), config)
    clips = [torch.randn(2, config.clip_samples) for _ in range(3)]
    before = {k: v.clone() for k, v in objective.network.state_dict().items()}
    objective.measure_norms(clips)
    after = objective.network.state_dict()
    assert statistics(after)
    for name, value in after.items():
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) != is_statistic, name


def test_checkpoints_have_the_statistics_of_their_averaged_weights(
    config: FitConfig, tmp_path: Path, cache: Path
) -> None:
    # A slow average, and weights that move fast: what the training kept is far off.
    config = replace(config, ema=0.95, learning_rate=0.02)
    runs = {
        clips: fit(replace(config, norm_clips=clips), tmp_path / str(clips), cache)
        for clips in (0, 32)
    }
    for run in runs.values():
        run.run()
    kept, measured = (Checkpoint.load(tmp_path / str(n) / "last.pt").weights for n in runs)
    for name, value in kept.items():  # the training itself went the same way
        is_statistic = "running" in name
        assert torch.equal(measured[name], value) != is_statistic or "num_batches" in name, name

    def distance(weights: dict[str, Tensor]) -> float:
        """Return how far the statistics are from those of other clips."""
        run = runs[0]
        run.objective.network.load_state_dict(weights)
        run.objective.measure_norms(run.mixer.batch(k, 8)[0] for k in range(1000, 1020))
        found = statistics(run.objective.network.state_dict())
        return sum(
            float(((weights[k] - v) / v.abs().mean()).abs().mean()) for k, v in found.items()
        )

    assert distance(measured) < 0.5 * distance(kept)


def test_fixed_statistics_are_measured_once_before_the_first_step(
    config: FitConfig, tmp_path: Path, cache: Path
) -> None:
    first = trained(config, tmp_path / "start", cache)
    start = str(tmp_path / "start" / "last.pt")
    config = replace(config, fixed_norms=True, norm_clips=8, start_from=start)
    runs = [
        trained(replace(config, learning_rate=rate), tmp_path / str(rate), cache)
        for rate in (1e-4, 1e-2)
    ]
    for name, value in first.weights.items():
        slow, fast = (run.weights[name] for run in runs)
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(slow, fast) == is_statistic, name
        assert not torch.equal(slow, value) or "num_batches" in name, name


def test_only_a_part_keeps_the_statistics_of_the_rest(config: FitConfig) -> None:
    with pytest.raises(DataError, match="--norm-clips changes what --only") as caught:
        replace(config, norm_clips=8, only="middle")
    assert "\n" not in str(caught.value)
