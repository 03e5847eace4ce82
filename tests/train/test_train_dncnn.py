import pytest
import torch
from torch import Tensor

from rtdenoise.train.networks import NETWORKS
from rtdenoise.train.networks.dncnn import DILATION_CYCLE, DnCnn
from rtdenoise.train.networks.level import LEVEL_FRAMES, running_level


def magnitudes(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 1, **arguments: float) -> DnCnn:
    """A network in evaluation mode whose batch norms have seen something."""
    torch.manual_seed(seed)
    made = DnCnn(**{"width": 12, "depth": 5, **arguments})
    for layer in made.middle:
        layer.norm.running_mean.normal_(0, 0.2)
        layer.norm.running_var.uniform_(0.5, 2)
    return made.eval()


def gains(made: DnCnn, magnitude: Tensor) -> Tensor:
    with torch.no_grad():
        return made(magnitude, made.start(magnitude.shape[0]))[0]


def test_is_registered() -> None:
    assert NETWORKS["dncnn"] is DnCnn


def test_gain_lies_between_zero_and_one() -> None:
    made = network()
    for level in (0.0, 1e-6, 1.0, 1e4):
        gain = gains(made, level * magnitudes(2, 2, 30, 161))
        assert gain.shape == (2, 30, 161)
        assert float(gain.min()) >= 0
        assert float(gain.max()) <= 1


@pytest.mark.parametrize("bins", [81, 161, 481])
def test_any_bins_that_fit_the_stride(bins: int) -> None:
    assert gains(network(bins=bins), magnitudes(3, 1, 4, bins)).shape == (1, 4, bins)


@pytest.mark.parametrize("bins", [160, 162, 257 + 4])
def test_other_bins_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8 plus 1"):
        DnCnn(bins=bins)


def test_is_causal() -> None:
    made = network()
    before = magnitudes(4, 1, 60, 161)
    after = before.clone()
    after[:, 40:] = magnitudes(5, 1, 20, 161)
    one, other = gains(made, before), gains(made, after)
    torch.testing.assert_close(one[:, :40], other[:, :40], atol=1e-6, rtol=0)
    assert (one[:, 40] != other[:, 40]).any()


@pytest.mark.parametrize("volume_db", [-30.0, 10.0, 30.0])
def test_gain_does_not_depend_on_the_volume(volume_db: float) -> None:
    made = network()
    # No silence: there the floor of the logarithm is heard.
    magnitude = 0.01 + magnitudes(14, 1, 150, 161)
    louder = 10 ** (volume_db / 20) * magnitude
    torch.testing.assert_close(gains(made, louder), gains(made, magnitude), atol=5e-3, rtol=0)


def test_level_is_the_mean_of_the_last_second() -> None:
    level = torch.randn(2, 250, generator=torch.Generator().manual_seed(15))
    got, past = running_level(level[:, None], torch.zeros(2, 2, LEVEL_FRAMES - 1))
    for t in range(250):
        want = level[:, max(0, t + 1 - LEVEL_FRAMES) : t + 1].mean(1)
        torch.testing.assert_close(got[:, 0, t], want, atol=1e-5, rtol=1e-5)
    assert torch.equal(past[:, 0], level[:, 1 - LEVEL_FRAMES :])
    assert (past[:, 1] == 1).all()


@pytest.mark.parametrize("depth", [0, 1, 3, 7])
def test_receptive_field_is_what_the_dilations_say(depth: int) -> None:
    made = network(depth=depth)
    context = 2 + sum(2 * DILATION_CYCLE[i % len(DILATION_CYCLE)] for i in range(depth))
    # The oldest frame that the convolutions see is set against the second before it.
    context += LEVEL_FRAMES - 1
    magnitude = magnitudes(6, 1, context + 20, 161).requires_grad_()
    gain, _ = made(magnitude, made.start(1))
    gain[:, -1].sum().backward()
    assert magnitude.grad is not None
    heard = magnitude.grad.abs().amax((0, 2)) > 0
    assert heard[-1 - context]
    assert not heard[: -1 - context].any()


@pytest.mark.parametrize(("width", "depth"), [(8, 1), (16, 4), (64, 8)])
def test_parameter_count(width: int, depth: int) -> None:
    first = 3 * 17 * width + width
    middle = 9 * width**2 + 2 * width
    last = 8 * (3 * width + 1)
    count = sum(p.numel() for p in DnCnn(width=width, depth=depth).parameters())
    assert count == first + depth * middle + last


def test_dropout_acts_in_training_only() -> None:
    made = network(dropout=0.5)
    magnitude = magnitudes(11, 2, 20, 161)
    assert torch.equal(gains(made, magnitude), gains(made, magnitude))
    made.middle.train()
    for layer in made.middle:
        layer.norm.eval()
    torch.manual_seed(12)
    one, other = gains(made, magnitude), gains(made, magnitude)
    assert (one != other).any()
    torch.manual_seed(12)
    assert torch.equal(gains(made, magnitude), one)


def test_no_dropout_by_default() -> None:
    made = network()
    magnitude = magnitudes(13, 2, 20, 161)
    resting = gains(made, magnitude)
    for layer in made.middle:
        layer.dropout.train()
    assert torch.equal(gains(made, magnitude), resting)
