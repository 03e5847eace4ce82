"""Deeper residual networks that begin as shallower ones."""

import pytest
import torch

from rtdenoise.train.deepen import deepened
from rtdenoise.train.networks.dualpath import DualPath
from rtdenoise.train.networks.resunet import ResUNet


def network(encoder: str, seed: int) -> ResUNet:
    torch.manual_seed(seed)
    made = ResUNet(encoder=encoder, encoder_depth=4, width=16)
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
            layer.bias.data.normal_(0, 0.2)
    return made


@pytest.mark.parametrize(
    ("shallow", "deep", "blocks"), [("resnet18", "resnet34", 7), ("resnet50", "resnet101", 17)]
)
def test_computes_the_same_and_learns_in_its_new_blocks(
    shallow: str, deep: str, blocks: int
) -> None:
    before, after = network(shallow, 1), network(deep, 2)
    after.load_state_dict(deepened(after, before.state_dict()))
    patches = 0.1 * torch.rand(2, 64, 161)
    with torch.no_grad():
        torch.testing.assert_close(after.eval().patch(patches), before.eval().patch(patches))
    after.train().patch(patches).square().mean().backward()
    added = {k: p for k, p in after.named_parameters() if k not in before.state_dict()}
    silent = [k for k, p in added.items() if ".bn" in k and not p.any()]
    assert len(silent) == 2 * blocks  # scale and offset
    assert all(float(added[k].grad.abs().max()) > 0 for k in silent)
    assert all(p.std() > 0 for k, p in added.items() if ".conv" in k)


def test_a_recurrent_network_computes_the_same_and_learns_in_its_new_blocks() -> None:
    torch.manual_seed(7)
    sizes = {"channels": 8, "width": 12}
    before, after = DualPath(blocks=1, **sizes), DualPath(blocks=3, **sizes)
    after.load_state_dict(deepened(after, before.state_dict()))
    spectrum = torch.randn(2, 30, 161, 2)
    with torch.no_grad():
        want = before.eval()(spectrum, before.start(2))[0]
        torch.testing.assert_close(after.eval()(spectrum, after.start(2))[0], want)
    after.train()(spectrum, after.start(2))[0].square().mean().backward()
    added = {k: p for k, p in after.named_parameters() if k not in before.state_dict()}
    silent = [k for k, p in added.items() if not p.any()]
    assert len(silent) == 2 * 2 * 2  # scale and offset of both paths of both blocks
    assert all(float(added[k].grad.abs().max()) > 0 for k in silent)


def test_a_low_band_that_is_added_changes_nothing_yet() -> None:
    torch.manual_seed(8)
    sizes = {"channels": 8, "width": 12}
    before, after = DualPath(**sizes), DualPath(low=6, **sizes)
    after.load_state_dict(deepened(after, before.state_dict()))
    spectrum = torch.randn(2, 30, 161, 2)
    with torch.no_grad():
        want = before.eval()(spectrum, before.start(2))[0]
        torch.testing.assert_close(after.eval()(spectrum, after.start(2))[0], want)


def test_leaves_a_network_of_the_same_depth_alone() -> None:
    before, after = network("resnet18", 3), network("resnet18", 4)
    weights = deepened(after, before.state_dict())
    assert weights.keys() == before.state_dict().keys()
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in weights.items())


def test_a_deeper_one_does_not_fit_a_shallower() -> None:
    before, after = network("resnet34", 5), network("resnet18", 6)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        after.load_state_dict(deepened(after, before.state_dict()))
