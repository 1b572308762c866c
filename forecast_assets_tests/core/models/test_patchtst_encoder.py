import pytest
import torch

from forecast_assets.core.models.patchtst import EncoderSizes, PatchEncoder, instance_normalise, to_patches
from forecast_assets_tests.core.models import naive_patchtst


def sizes(*, residual_attention: bool, dropout: float = 0.0) -> EncoderSizes:
    return EncoderSizes(
        lookback=21,
        patch=6,
        stride=4,
        hidden=8,
        heads=2,
        layers=3,
        feed_forward=12,
        dropout=dropout,
        residual_attention=residual_attention,
    )


def random_series(count: int, steps: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, steps, generator=torch.Generator().manual_seed(seed))


def encoder(*, residual_attention: bool) -> PatchEncoder:
    """In eval mode, with BatchNorm statistics and affine parts that are not those of a fresh one."""
    torch.manual_seed(1)
    made = PatchEncoder(sizes(residual_attention=residual_attention))
    with torch.no_grad():
        made(random_series(32, 21, seed=9) * 3)
        for name, parameter in made.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def test_the_last_patch_repeats_the_newest_value() -> None:
    found = to_patches(torch.arange(7.0)[:, None], length=4, stride=2)
    assert found.permute(2, 0, 1).tolist() == [[[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 6]]]


@pytest.mark.parametrize(("steps", "length", "stride"), [(336, 16, 8), (120, 16, 8), (21, 6, 4), (5, 5, 3), (9, 2, 5)])
def test_patches_are_those_of_a_loop_and_as_many_as_sizes_say(steps: int, length: int, stride: int) -> None:
    series = random_series(3, steps)
    found = to_patches(series.T, length=length, stride=stride).permute(2, 0, 1)  # (N, P, length)
    expected = torch.stack([naive_patchtst.patches(one, length=length, stride=stride) for one in series])
    assert torch.equal(found, expected)
    shape = EncoderSizes(steps, length, stride, 8, 2, 1, 8, 0.0, True)
    assert found.shape[1] == shape.patches
    assert (found[:, -1] == series[:, -1:]).any(dim=1).all()


@torch.no_grad()
@pytest.mark.parametrize("residual_attention", [True, False])
def test_the_encoder_is_the_one_that_loops_spell_out(residual_attention: bool) -> None:
    ours = encoder(residual_attention=residual_attention)
    series = random_series(4, 21)
    torch.testing.assert_close(ours(series), naive_patchtst.encode(ours, series), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_residual_attention_makes_a_difference() -> None:
    with_it, without = encoder(residual_attention=True), encoder(residual_attention=False)
    without.load_state_dict(with_it.state_dict())
    series = random_series(4, 21)
    assert (with_it(series) - without(series)).abs().max() > 1e-3


def test_a_normalised_channel_has_mean_zero_and_deviation_one_and_comes_back() -> None:
    window = random_series(6, 50).view(2, 3, 50) * 5 + 7
    normalised, mean, deviation = instance_normalise(window)
    torch.testing.assert_close(normalised.mean(dim=-1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised.std(dim=-1, correction=0), torch.ones(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised * deviation + mean, window)


def test_a_constant_channel_becomes_zeros() -> None:
    normalised, _, deviation = instance_normalise(torch.full((1, 1, 30), 4.0))
    assert torch.equal(normalised, torch.zeros(1, 1, 30))
    assert (deviation > 0).all()


@torch.no_grad()
def test_a_channel_scaled_and_shifted_by_constants_has_the_same_encoding() -> None:
    ours = encoder(residual_attention=True)
    series = random_series(4, 21)
    moved = 3.0 * series - 11.0
    plain, same = (ours(instance_normalise(x)[0]) for x in (series, moved))
    torch.testing.assert_close(plain, same, rtol=0, atol=1e-4)
    assert (ours(series) - ours(moved)).abs().max() > 0.1  # without normalisation it would not


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    made = PatchEncoder(sizes(residual_attention=False, dropout=0.5))
    series = random_series(4, 21)
    assert not torch.equal(made(series), made(series))
    made.eval()
    assert torch.equal(made(series), made(series))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"patch": 22}, "longer than the window of 21"), ({"heads": 3}, "3 heads do not divide the width 8")],
)
def test_sizes_that_do_not_fit_are_an_error(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderSizes(**(vars(sizes(residual_attention=True)) | change))
