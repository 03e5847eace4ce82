"""What holds for every network: frames in any portions, streams side by side."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rtdenoise.train.networks import NETWORKS, gains

ARGUMENTS = {
    "dncnn": {"width": 12, "depth": 7},
    "dualpath": {"channels": 8, "width": 12, "blocks": 2, "heads": 2},
    "resunet": {"encoder": "resnet18", "encoder_depth": 3, "width": 16, "emit_frames": 7},
}


def spectrum(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, dtype=torch.complex64, generator=generator)


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> nn.Module:
    """A network in evaluation mode whose batch norms have seen something."""
    torch.manual_seed(1)
    made = NETWORKS[request.param](**ARGUMENTS[request.param])
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return made.eval()


@pytest.fixture
def gain(network: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(frames: Tensor) -> Tensor:
        with torch.no_grad():
            return gains(network, frames, network.start(frames.shape[0]))[0]

    return run


def test_streaming_in_any_portions_equals_one_pass(network, gain) -> None:
    frames = spectrum(9, 2, 150, 161)
    whole = gain(frames)
    generator = torch.Generator().manual_seed(8)
    for _ in range(3):
        state, parts, done = network.start(2), [], 0
        while done < 150:
            count = int(torch.randint(1, 40, (), generator=generator))
            with torch.no_grad():
                part, state = gains(network, frames[:, done : done + count], state)
            parts.append(part)
            done += count
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


def test_state_has_the_shapes_of_the_start(network) -> None:
    start = network.start(3)
    with torch.no_grad():
        _, state = gains(network, spectrum(10, 3, 1, 161), start)
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in start.items()}


def test_streams_are_independent(gain) -> None:
    frames = spectrum(11, 3, 30, 161)
    together = gain(frames)
    for k in range(3):
        alone = gain(frames[k : k + 1])
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-5, rtol=0)
