import copy

import pytest
import torch
from torch import nn

from rtdenoise.train.muon import Muon, orthogonal
from rtdenoise.train.networks.dncnn import DnCnn
from rtdenoise.train.optimizer import MuonAndAdam, make_optimizer


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 48), nn.Tanh(), nn.Linear(48, 4))


def stepped(network: nn.Module, optimizer: MuonAndAdam, steps: int, seed: int = 1) -> list[float]:
    """Take steps towards a map of an ill-conditioned input, and return the losses."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.logspace(0, -2, 32)
    target = torch.randn(32, 4, generator=torch.Generator().manual_seed(9))
    losses = []
    for _ in range(steps):
        x = torch.randn(64, 32, generator=generator)
        optimizer.zero_grad()
        loss = ((network(x * scale) - x @ target / 6) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


class TestMuon:
    def test_a_step_goes_equally_far_in_all_directions(self, network: nn.Module) -> None:
        """Also where the gradient's are of very different sizes."""
        before = network[0].weight.detach().clone()
        stepped(network, make_optimizer("muon", network, 1e-3, 0.0), 1)
        gradient = torch.linalg.svdvals(network[0].weight.grad)[:4]  # all that four outputs give
        moved = torch.linalg.svdvals(network[0].weight.detach() - before)[:4]
        assert gradient.max() / gradient.min() > 3
        assert moved.max() / moved.min() < 2

    @pytest.mark.parametrize("shape", [(40, 40), (24, 96), (96, 24)])
    def test_orthogonal_keeps_directions_and_levels_their_sizes(self, shape) -> None:
        matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        sizes = left.T @ orthogonal(1e-4 * matrix) @ right.T
        assert torch.allclose(sizes, torch.diag(sizes.diag()), atol=1e-4)
        assert 0.5 < sizes.diag().min() <= sizes.diag().max() < 1.25

    @pytest.mark.parametrize("decay", [0.0, 0.5])
    def test_it_steps_as_pytorchs_does(self, decay: float) -> None:
        start = torch.randn(24, 48, generator=torch.Generator().manual_seed(4))
        ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
        optimizers = (
            Muon([ours], 1e-2, decay),
            torch.optim.Muon([theirs], lr=1e-2, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        )
        generator = torch.Generator().manual_seed(5)
        for _ in range(4):
            gradient = torch.randn(24, 48, generator=generator)
            ours.grad, theirs.grad = gradient, gradient.clone()
            for optimizer in optimizers:
                optimizer.step()
        moved, wanted = (w.detach() - start for w in (ours, theirs))
        # PyTorch's rounds to the 8 bits of bfloat16.
        assert float((moved - wanted).norm() / wanted.norm()) < 0.02

    def test_a_step_is_of_the_size_of_adams(self) -> None:
        size = {}
        for name in ("adam", "muon"):
            torch.manual_seed(0)
            network = nn.Linear(64, 64)
            before = network.weight.detach().clone()
            optimizer = make_optimizer(name, network, 1e-3, 0.0)
            network(torch.randn(256, 64)).square().sum().backward()
            optimizer.step()
            size[name] = float((network.weight.detach() - before).square().mean().sqrt())
        assert 0.1 < size["muon"] / size["adam"] < 1

    def test_it_learns(self, network: nn.Module) -> None:
        losses = stepped(network, make_optimizer("muon", network, 1e-2, 0.0), 200)
        assert sum(losses[-10:]) < 0.5 * sum(losses[:10])

    def test_the_learning_rate_can_be_set(self, network: nn.Module) -> None:
        optimizer = make_optimizer("muon", network, 1e-2, 0.0)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        before = copy.deepcopy(network.state_dict())
        stepped(network, optimizer, 3)
        assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())

    def test_it_goes_on_where_it_was(self, network: nn.Module) -> None:
        optimizer = make_optimizer("muon", network, 1e-2, 0.0)
        stepped(network, optimizer, 5)
        twin = copy.deepcopy(network)
        resumed = make_optimizer("muon", twin, 1e-2, 0.0)
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        stepped(network, optimizer, 5, seed=2)
        stepped(twin, resumed, 5, seed=2)
        for one, other in zip(network.parameters(), twin.parameters(), strict=True):
            assert torch.equal(one, other)

    def test_a_network_without_matrices_learns_as_with_adam(self) -> None:
        ends = []
        for name in ("adam", "muon"):
            torch.manual_seed(0)
            network = DnCnn(bins=33, width=8, depth=2)
            optimizer = make_optimizer(name, network, 1e-3, 0.0)
            for _ in range(3):
                optimizer.zero_grad()
                gain, _ = network(torch.rand(2, 9, 33), network.start(2))
                gain.square().sum().backward()
                optimizer.step()
            ends.append(network.state_dict())
        assert all(torch.equal(v, ends[1][k]) for k, v in ends[0].items())
