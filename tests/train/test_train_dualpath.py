import pytest
import torch
from torch import Tensor, nn

from rtdenoise.train.networks import NETWORKS, gains
from rtdenoise.train.networks.dualpath import LARGEST, DualPath, decompressed
from rtdenoise.train.networks.lowband import LowBand


def spectrum(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, dtype=torch.complex64, generator=generator)


def network(seed: int = 1, **arguments: int) -> DualPath:
    """A network in evaluation mode whose batch norms have seen something; no part is nothing."""
    torch.manual_seed(seed)
    made = DualPath(**{"channels": 8, "width": 12, "blocks": 2, "heads": 2, **arguments})
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    if made.low is not None:
        nn.init.normal_(made.low.out.weight, 0, 0.3)
    return made.eval()


def gain(made: DualPath, frames: Tensor) -> Tensor:
    with torch.no_grad():
        return gains(made, frames, made.start(frames.shape[0]))[0]


def test_is_registered() -> None:
    assert NETWORKS["dualpath"] is DualPath


WITH_LOW = pytest.mark.parametrize("low", [0, 6])


@WITH_LOW
def test_gain_is_complex_finite_and_bounded(low: int) -> None:
    made = network(low=low)
    for level in (0.0, 1e-6, 1.0, 1e4):
        got = gain(made, level * spectrum(2, 2, 30, 161))
        assert got.shape == (2, 30, 161)
        assert got.is_complex()
        assert got.isfinite().all()
        most = LARGEST ** (1 / 0.3) + (abs(2 + 2j) if low else 0)
        assert float(got.abs().max()) <= most + 1e-4


def test_changes_phases() -> None:
    made = network()
    angle = gain(made, spectrum(3, 1, 30, 161)).angle()
    assert float(angle.std()) > 0.01


@pytest.mark.parametrize("bins", [81, 161, 321])
def test_any_bins_that_fit_the_bands(bins: int) -> None:
    assert gain(network(bins=bins), spectrum(3, 1, 4, bins)).shape == (1, 4, bins)


@pytest.mark.parametrize("merge", [1, 2, 4])
def test_any_merge(merge: int) -> None:
    made = network(merge=merge)
    assert made.bands == 40 // merge + 1
    assert gain(made, spectrum(3, 1, 4, 161)).shape == (1, 4, 161)


def test_blocks_without_attention_add_nothing_to_the_recurrence() -> None:
    whole, frames = network(blocks=3), spectrum(13, 2, 20, 161)
    less = network(blocks=3, attentions=1)
    assert len(less.time) == 3
    assert len(less.frequency) == 1
    less.load_state_dict({k: v for k, v in whole.state_dict().items() if k in less.state_dict()})
    for path in whole.frequency[1:]:
        nn.init.zeros_(path.back.norm.weight)
        nn.init.zeros_(path.back.norm.bias)
    torch.testing.assert_close(gain(less, frames), gain(whole, frames))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": 160}, "multiple of 40 plus 1"),
        ({"merge": 3}, "merge must divide 40"),
        ({"width": 10, "heads": 4}, "4 heads do not divide"),
        ({"blocks": 2, "attentions": 3}, "2 blocks cannot have 3 attentions"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DualPath(**arguments)


@pytest.mark.parametrize("below_db", [65.0, 90.0, 300.0])
def test_digital_silence_in_some_bins_sounds_like_what_is_just_inaudible(below_db: float) -> None:
    made, full = network(), torch.view_as_real(spectrum(7, 2, 30, 161))
    strongest = torch.linalg.vector_norm(full[:, :, :80], dim=-1).amax(2)[..., None, None]

    def magnitudes(db: float) -> Tensor:
        limited = full.clone()
        limited[:, :, 80:] = strongest * torch.tensor([10 ** (-db / 20), 0.0])
        planes = limited.permute(0, 3, 1, 2)
        return made._features(planes, made.start(2)["level"])[0][:, 2]

    torch.testing.assert_close(magnitudes(below_db), magnitudes(60.0), atol=1e-4, rtol=1e-4)
    assert (magnitudes(50.0) - magnitudes(60.0)).abs().max() > 1e-2


@WITH_LOW
def test_is_causal_and_remembers(low: int) -> None:
    made = network(low=low)
    before = spectrum(4, 1, 60, 161)
    after = before.clone()
    after[:, 40:] = spectrum(5, 1, 20, 161)
    one, other = gain(made, before), gain(made, after)
    torch.testing.assert_close(one[:, :40], other[:, :40], atol=1e-6, rtol=0)
    assert (one[:, 40] != other[:, 40]).any()
    after = before.clone()
    after[:, :10] = spectrum(6, 1, 10, 161)
    assert (gain(made, after)[:, 30] != one[:, 30]).any()


@WITH_LOW
@pytest.mark.parametrize("volume_db", [-30.0, 10.0, 30.0])
def test_gain_does_not_depend_on_the_volume(volume_db: float, low: int) -> None:
    made = network(low=low)
    frames = spectrum(7, 1, 150, 161)
    louder = 10 ** (volume_db / 20) * frames
    torch.testing.assert_close(gain(made, louder), gain(made, frames), atol=1e-3, rtol=0)


@pytest.mark.parametrize("degrees", [10.0, 90.0])
def test_bands_attend_to_all_bands(degrees: float) -> None:
    made = network()
    frames = spectrum(8, 1, 5, 161)
    turned = frames.clone()
    turned[:, :, 150:] *= 3 * torch.exp(torch.tensor(1j * torch.pi * degrees / 180))
    # More than the shared level tells: phases alone are heard far away.
    difference = (gain(made, turned) - gain(made, frames))[:, :, :20].abs().max()
    assert float(difference) > 1e-6


@WITH_LOW
def test_every_weight_learns(low: int) -> None:
    made = network(low=low).train()
    frames = spectrum(12, 2, 40, 161)
    got, _ = gains(made, frames, made.start(2))
    got.abs().square().mean().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


class TestLowBand:
    @pytest.mark.parametrize("bins", [81, 161, 321])
    def test_changes_the_gains_below_1_khz_and_no_others(self, bins: int) -> None:
        made, frames = network(bins=bins, low=6), spectrum(9, 2, 30, bins)
        with_it = gain(made, frames)
        made.low = None
        changed = (gain(made, frames) != with_it).any(dim=(0, 1))
        below = bins * 1000 // 8000
        assert changed[:below].all()
        assert not changed[below:].any()

    def test_begins_as_nothing(self) -> None:
        made, frames = network(low=6), spectrum(10, 2, 30, 161)
        made.low = DualPath(channels=8, width=12, low=6).eval().low
        begun = gain(made, frames)
        made.low = None
        torch.testing.assert_close(begun, gain(made, frames), atol=0, rtol=0)

    def test_inputs_that_are_always_zero_never_get_weights(self) -> None:
        torch.manual_seed(14)
        low = LowBand(4, 8, 6)
        nn.init.normal_(low.out.weight, 0, 0.3)
        heard: list[Tensor] = []
        low.first.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0].detach()))
        optimizer = torch.optim.Adam(low.parameters(), lr=1e-2)
        for _ in range(5):
            frames = torch.view_as_real(torch.fft.rfft(torch.randn(2, 30, 320))).permute(0, 3, 1, 2)
            added, _ = low(frames, torch.rand(2, 8, 30, 41), low.start(2))
            optimizer.zero_grad()
            added.square().mean().backward()
            optimizer.step()
        silent = (torch.cat(heard) == 0).all(dim=0)
        # The imaginary parts of the present frame by itself, and of others at 0 Hz.
        assert int(silent.sum()) == 20 + 3
        assert (low.first.linear.weight[:, silent] == 0).all()
        assert (low.first.linear.weight[:, ~silent] != 0).all()

    def test_remembers_by_itself(self) -> None:
        made, frames = network(low=6), spectrum(11, 1, 5, 161)
        state = made.start(1)
        one, after = gains(made, frames, state)
        assert after["low_hidden"].shape == after["low_cell"].shape == (1, 1, 6)
        other, _ = gains(made, frames, state | {k: after[k] for k in after if k.startswith("low_")})
        changed = (one != other).any(dim=(0, 1))
        assert changed[:20].all()
        assert not changed[20:].any()


class TestDecompressed:
    def test_size_is_expanded_and_direction_kept(self) -> None:
        point = torch.tensor([[0.5, 0.0], [0.0, -0.5], [0.6, 0.8]])
        got = decompressed(point)
        want = 0.5 ** (1 / 0.3)
        torch.testing.assert_close(got, torch.tensor([[want, 0.0], [0.0, -want], [0.6, 0.8]]))

    def test_too_far_out_is_drawn_in(self) -> None:
        got = decompressed(torch.tensor([[3.0, 4.0]]))
        torch.testing.assert_close(got, LARGEST ** (1 / 0.3) * torch.tensor([[0.6, 0.8]]))

    def test_gradient_at_zero_is_finite(self) -> None:
        point = torch.zeros(1, 2, requires_grad=True)
        decompressed(point).sum().backward()
        assert point.grad is not None
        assert point.grad.isfinite().all()
