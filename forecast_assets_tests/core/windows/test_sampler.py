import pytest
import torch
from scipy.stats import chisquare

from forecast_assets.core.windows.sampler import OVERSAMPLING_CAP, draw_epoch, ticker_shares


def test_every_ticker_gets_the_same_share() -> None:
    assert ticker_shares(torch.tensor([100, 300, 200])).tolist() == pytest.approx([1 / 3] * 3)


def test_a_short_history_is_capped_and_the_others_share_the_rest() -> None:
    counts = torch.tensor([1, 999, 1000])
    shares = ticker_shares(counts)
    assert shares[0] == pytest.approx(OVERSAMPLING_CAP / 2000)
    assert shares[1] == pytest.approx(float(shares[2]))
    assert float(shares.sum()) == pytest.approx(1.0)


def test_shares_sum_to_one_where_all_but_one_are_capped() -> None:
    shares = ticker_shares(torch.tensor([1, 2, 3, 10_000]))
    assert float(shares.sum()) == pytest.approx(1.0)
    assert shares[:3].tolist() == pytest.approx([10 * k / 10_006 for k in (1, 2, 3)])


def test_draws_are_even_over_tickers_and_over_the_windows_of_a_ticker() -> None:
    ends = torch.arange(1000, 1050)
    ticker = torch.tensor([3] * 10 + [8] * 40)
    drawn = draw_epoch(ends, ticker, visits=20_000, generator=torch.Generator().manual_seed(0)) - 1000
    counts = torch.bincount(drawn, minlength=50).double()
    expected = torch.tensor([1000.0] * 10 + [250.0] * 40, dtype=torch.float64)
    assert chisquare(counts.numpy(), expected.numpy()).pvalue > 0.01


def test_a_seed_draws_the_same_windows_and_another_seed_others() -> None:
    ends, ticker = torch.arange(50), torch.arange(50) // 10
    first, again, other = (
        draw_epoch(ends, ticker, visits=100, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
