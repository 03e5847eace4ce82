import pytest
import torch
from torch import Tensor, nn

from rtdenoise.train.networks import NETWORKS, gains
from rtdenoise.train.networks.dualpath import LARGEST, DualPath, bounded, decompressed
from rtdenoise.train.networks.low_path import LARGEST_RATIO, LowPath, filtered, past_ratios

LOW_PATHS = [{}, {"low_width": 8}, {"low_width": 8, "low_past": 3}]


def spectrum(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, dtype=torch.complex64, generator=generator)


def network(seed: int = 1, **arguments: int) -> DualPath:
    """A network in evaluation mode whose batch norms have seen something."""
    torch.manual_seed(seed)
    made = DualPath(**{"channels": 8, "width": 12, "blocks": 2, "heads": 2, **arguments})
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
        elif isinstance(layer, LowPath):  # which begins with no correction
            nn.init.normal_(layer.back.weight, 0, 0.1)
    return made.eval()


def gain(made: DualPath, frames: Tensor) -> Tensor:
    with torch.no_grad():
        return gains(made, frames, made.start(frames.shape[0]))[0]


def test_is_registered() -> None:
    assert NETWORKS["dualpath"] is DualPath


@pytest.mark.parametrize("low_path", LOW_PATHS)
def test_gain_is_complex_finite_and_bounded(low_path: dict[str, int]) -> None:
    made = network(**low_path)
    for level in (0.0, 1e-6, 1.0, 1e4):
        got = gain(made, level * spectrum(2, 2, 30, 161))
        assert got.shape == (2, 30, 161)
        assert got.is_complex()
        assert got.isfinite().all()
        assert float(got.abs().max()) <= LARGEST ** (1 / 0.3) + 1e-4


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": 160}, "multiple of 40 plus 1"),
        ({"merge": 3}, "merge must divide 40"),
        ({"width": 10, "heads": 4}, "4 heads do not divide"),
        ({"low_past": 2}, "low_past filters what low_width sees"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DualPath(**arguments)


@pytest.mark.parametrize("low_path", LOW_PATHS)
def test_is_causal_and_remembers(low_path: dict[str, int]) -> None:
    made = network(**low_path)
    before = spectrum(4, 1, 60, 161)
    after = before.clone()
    after[:, 40:] = spectrum(5, 1, 20, 161)
    one, other = gain(made, before), gain(made, after)
    torch.testing.assert_close(one[:, :40], other[:, :40], atol=1e-6, rtol=0)
    assert (one[:, 40] != other[:, 40]).any()
    after = before.clone()
    after[:, :10] = spectrum(6, 1, 10, 161)
    assert (gain(made, after)[:, 30] != one[:, 30]).any()


@pytest.mark.parametrize("low_path", LOW_PATHS)
@pytest.mark.parametrize("volume_db", [-30.0, 10.0, 30.0])
def test_gain_does_not_depend_on_the_volume(volume_db: float, low_path: dict[str, int]) -> None:
    made = network(**low_path)
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


@pytest.mark.parametrize("low_path", LOW_PATHS)
def test_every_weight_learns(low_path: dict[str, int]) -> None:
    made = network(**low_path).train()
    frames = spectrum(12, 2, 40, 161)
    got, _ = gains(made, frames, made.start(2))
    got.abs().square().mean().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


class TestLowPath:
    @pytest.mark.parametrize("past", [0, 2])
    @pytest.mark.parametrize(("bins", "seen"), [(81, 16), (161, 32), (321, 64)])
    def test_corrects_bins_below_1600_hz_only(self, bins: int, seen: int, past: int) -> None:
        without, with_path = network(bins=bins), network(bins=bins, low_width=8, low_past=past)
        with_path.load_state_dict(without.state_dict(), strict=False)
        frames = spectrum(9, 2, 12, bins)
        differs = (gain(without, frames) != gain(with_path, frames)).any(dim=(0, 1))
        assert differs.nonzero().flatten().tolist() == list(range(seen))

    def test_remembers_what_only_it_has_seen(self) -> None:
        made = LowPath(8, 4)
        nn.init.normal_(made.back.weight)
        torch.manual_seed(10)
        features, gains = torch.randn(2, 3, 20, 9), torch.randn(2, 20, 18)
        start = torch.zeros(2, 1, 8), torch.zeros(2, 1, 8)
        whole = made(features, gains, None, start)
        first = made(features[:, :, :7], gains[:, :7], None, start)
        second = made(features[:, :, 7:], gains[:, 7:], None, first[2:])
        torch.testing.assert_close(torch.cat((first[0], second[0]), dim=1), whole[0])
        for later, want in zip(second[2:], whole[2:], strict=True):
            assert later.shape == (2, 1, 8)
            torch.testing.assert_close(later, want)


class TestPastRatios:
    def parts(self, frames: Tensor) -> Tensor:
        """``[streams, frames, 2, bins]`` of complex ``[streams, frames, bins]``."""
        return torch.view_as_real(frames).transpose(2, 3).contiguous()

    def complex(self, parts: Tensor, axis: int) -> Tensor:
        return torch.complex(*parts.unbind(axis))

    def test_are_what_was_over_what_is(self) -> None:
        frames = torch.exp(torch.rand(2, 12, 5) + 6j * torch.rand(2, 12, 5))
        got, after = past_ratios(self.parts(frames[:, 3:]), self.parts(frames[:, :3]))
        assert got.shape == (2, 9, 3, 2, 5)
        for k in range(3):
            want = frames[:, k : k + 9] / frames[:, 3:]
            torch.testing.assert_close(self.complex(got, 3)[:, :, k], want)
        assert torch.equal(after, self.parts(frames[:, -3:]))

    @pytest.mark.parametrize("now", [0.0, 1e-9, 1e-3])
    def test_are_bounded_where_the_present_is_quiet(self, now: float) -> None:
        past, present = spectrum(13, 1, 4, 30), now * spectrum(14, 1, 1, 30)
        got, _ = past_ratios(self.parts(present), self.parts(past))
        sizes = self.complex(got, 3).abs()
        assert float(sizes.max()) <= LARGEST_RATIO * (1 + 1e-5)
        if now == 1e-3:
            torch.testing.assert_close(sizes, torch.full_like(sizes, LARGEST_RATIO))

    def test_filter_is_a_complex_sum_of_products(self) -> None:
        torch.manual_seed(15)
        ratios, taps = torch.randn(2, 7, 4, 2, 5), torch.randn(2, 7, 4, 2, 5)
        got = self.complex(filtered(ratios, taps), 2)
        want = (self.complex(ratios, 3) * self.complex(taps, 3)).sum(2)
        torch.testing.assert_close(got, want)

    def test_taps_add_earlier_frames_to_what_comes_out(self) -> None:
        """A constant tap of t on the newest frame before: gain times (x + t x_before)."""
        before = network(low_width=8)
        made = network(low_width=8, low_past=2)
        plain = {k: v for k, v in before.state_dict().items() if not k.startswith("low.")}
        made.load_state_dict(plain, strict=False)
        with torch.no_grad():
            for weight in (*made.low.back.parameters(), *before.low.back.parameters()):
                weight.zero_()
            taps = made.low.back.bias[64:].reshape(2, 2, 32)
            taps[1, 0], taps[1, 1] = 0.2, -0.1
        frames = spectrum(16, 1, 9, 161)
        frames /= frames.abs()
        gains, want = gain(made, frames), gain(before, frames)
        earlier = torch.nn.functional.pad(frames, (0, 0, 1, 0))[:, :-1]
        low = want[..., :32]
        added = low.abs() * (0.2 - 0.1j) * earlier[..., :32]
        expected = (low * frames[..., :32] + added) / frames[..., :32]
        unbounded = expected.abs() < LARGEST ** (1 / 0.3)
        assert unbounded.float().mean() > 0.9
        torch.testing.assert_close(gains[..., :32][unbounded], expected[unbounded])
        assert torch.equal(gains[..., 32:], want[..., 32:])


def test_bounded_draws_in_only_what_is_too_large() -> None:
    point = torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    got = bounded(point)
    torch.testing.assert_close(got[0], LARGEST ** (1 / 0.3) * torch.tensor([0.6, 0.8]))
    assert torch.equal(got[1:], point[1:])


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
