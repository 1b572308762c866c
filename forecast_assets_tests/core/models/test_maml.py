"""B7: the head adapts by gradient steps to what was known at the forecast origin, and to nothing else."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from forecast_assets.core.models.base import Batch, make_batch
from forecast_assets.core.models.catalogue import FitSpec, MamlSpec, TftSpec
from forecast_assets.core.models.maml import AdaptedHead, Maml, inner_loss, shortened, squared_errors
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.reads import Reads
from forecast_assets.core.training.explain import explain_forecasts
from forecast_assets.core.training.fit import FoldTrainer, Hardware, forecast
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, single_windows
from forecast_assets_tests.helpers.coefficients import CALENDAR, OWN, Planted, coefficient_panel
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.small_specs import small_fold
from forecast_assets_tests.helpers.tensors import VOLATILITY

LOOKBACK, SUPPORT, LISTING = 5, 30, 100
CPU = Hardware(accelerator="cpu", precision="32-true")
TFT = TftSpec(hidden=8, hidden_continuous=4, heads=2, observed=OWN, known=(CALENDAR,))
SPEC = MamlSpec(**TFT.model_dump(), support_sessions=SUPPORT, description_width=4)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return coefficient_panel(tickers=16, new=60, sessions=650, listing=LISTING)


@pytest.fixture(scope="module")
def panel(planted: Planted) -> PanelTensors:
    return planted.panel


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


@pytest.fixture
def model(stats: FoldStats) -> Maml:
    """In eval mode, with random weights where training begins with zeros."""
    torch.manual_seed(0)
    made = Maml(SPEC, stats=stats, lookback=LOOKBACK, static=("sector",)).eval()
    for weight in (made.personal.weight, made.network.output.weight):
        nn.init.normal_(weight, std=0.3)
    return made


def batch_of(panel: PanelTensors, stats: FoldStats, ends: Tensor, *, support: int = SUPPORT) -> Batch:
    return make_batch(
        panel,
        single_windows(ends),
        layout=Layout(ends=1, stride=1),
        stats=stats,
        reads=Reads((*OWN, CALENDAR), support_sessions=support),
        lookback=LOOKBACK,
    )


def forecasts(model: Maml, panel: PanelTensors, stats: FoldStats, ends: Tensor) -> Tensor:
    return forecast(model, ends, panel=panel, stats=stats)


def episodes(*, decisions: int = 5, sessions: int = 12, width: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Random ones, some of whose outcomes are not known."""
    generator = torch.Generator().manual_seed(0)
    described, support = (
        torch.randn(*shape, width, generator=generator) for shape in ((decisions,), (decisions, sessions))
    )
    outcome = torch.randn(decisions, sessions, 3, generator=generator)
    outcome[torch.rand(outcome.shape, generator=generator) < 0.3] = float("nan")
    outcome[-1] = float("nan")
    return described, support, outcome


def adapted_head(*, steps: int = 10, width: int = 4) -> AdaptedHead:
    """With weights and rates that differ."""
    torch.manual_seed(1)
    head = AdaptedHead(width, steps=steps, rate=0.5, prior_sessions=3.0)
    for parameter in (head.weight, head.rate_logit):
        nn.init.normal_(parameter)
    return head


def test_the_head_takes_gradient_steps_on_the_known_outcomes() -> None:
    """Against a loop over forecasts, horizons and steps, with autograd on the squared error itself."""
    head = adapted_head()
    _, support, outcome = episodes()
    found = head.adapted(support, outcome)
    for b in range(len(support)):
        for h in range(3):
            known = torch.isfinite(outcome[b, :, h])
            x, y = support[b][known], outcome[b, known, h]
            share = 1 / (len(y) + head.log_prior[h].exp())
            rate = 2 * torch.sigmoid(head.rate_logit[h]) / (1 + share * x.square().sum())
            weight = head.weight[h].detach().requires_grad_()
            for _ in range(head.steps):
                (slope,) = torch.autograd.grad(0.5 * share * (x @ weight - y).square().sum(), weight)
                weight = (weight - rate * slope).detach().requires_grad_()
            torch.testing.assert_close(found[b, h], weight, rtol=1e-4, atol=1e-5)


def test_the_gradient_written_out_is_that_of_torch_func() -> None:
    head = adapted_head()
    _, support, outcome = episodes()
    errors = squared_errors(support, outcome, prior_sessions=head.log_prior.exp())
    rate = torch.rand(5, 3, 4)
    torch.testing.assert_close(head.by_hand(errors, rate), vmap(head.by_gradient)(errors, rate), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(head.adapted(support, outcome), head.by_hand(errors, _rates(head, errors)))


def _rates(head: AdaptedHead, errors: object) -> Tensor:
    gram: Tensor = errors.gram  # type: ignore[attr-defined]
    return 2 * torch.sigmoid(head.rate_logit) / (1 + torch.stack([g.trace() for g in gram.flatten(0, 1)]).view(5, 3, 1))


def test_training_reaches_everything_through_the_steps() -> None:
    """Second order included: the gradient is that of finite differences through all steps, not of the last one."""
    head = adapted_head(steps=3).double()
    described, support, outcome = (x.double() for x in episodes())
    support.requires_grad_()
    head(described, support, outcome).sum().backward()
    for parameter in (*head.parameters(), support):
        flat, slope = parameter.data.view(-1), parameter.grad
        assert slope is not None
        at = int(slope.abs().argmax())
        before, step = float(flat[at]), 1e-6
        flat[at] = before + step
        above = head(described, support, outcome).sum().item()
        flat[at] = before - step
        below = head(described, support, outcome).sum().item()
        flat[at] = before
        assert slope.view(-1)[at].item() == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_without_a_known_outcome_the_head_stays_what_was_learned() -> None:
    head = adapted_head()
    described, support, outcome = episodes()
    torch.testing.assert_close(head.adapted(support, outcome)[-1], head.weight)
    nothing = torch.full_like(outcome, float("nan"))
    torch.testing.assert_close(head(described, support, nothing), described @ head.weight.T)


def test_no_step_overshoots_whatever_the_rates_and_the_support() -> None:
    head = adapted_head(steps=1)
    nn.init.constant_(head.rate_logit, 20.0)  # a rate of 2
    _, support, outcome = episodes()
    errors = squared_errors(30 * support, outcome, prior_sessions=head.log_prior.exp())
    losses = []
    for steps in range(5):
        head.steps = steps
        adapted = head.adapted(30 * support, outcome)
        losses.append(torch.stack([inner_loss(w, type(errors)(*e)) for w, *e in zip(adapted, *errors, strict=True)]))
    assert (torch.stack(losses).diff(dim=0) <= 1e-5).all()
    assert (losses[-1] < losses[0])[:-1].all()


def test_training_shortens_the_past_of_some_forecasts() -> None:
    torch.manual_seed(0)
    outcome = torch.zeros(4000, 10, 3)
    seen = torch.isfinite(shortened(outcome, share=0.5))
    assert (seen == seen[..., :1]).all()
    assert (seen[:, :-1] <= seen[:, 1:]).all()  # the latest sessions are the last to go
    length = seen[..., 0].sum(dim=1)
    share = torch.bincount(length, minlength=11) / len(outcome)
    torch.testing.assert_close(share, torch.tensor([0.5 / 11] * 10 + [0.5 + 0.5 / 11]), rtol=0, atol=0.015)


def test_with_a_head_of_zero_it_is_the_tft_with_the_same_weights(
    model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    ends = fold.test[::97]
    nn.init.zeros_(model.personal.weight)
    nn.init.constant_(model.personal.rate_logit, -100.0)
    tft = Tft(TFT, stats=stats, lookback=LOOKBACK, static=("sector",)).eval()
    tft.load_state_dict({name: value for name, value in model.state_dict().items() if name in tft.state_dict()})
    plain = tft(batch_of(panel, stats, ends, support=0))
    torch.testing.assert_close(model(batch_of(panel, stats, ends)), plain)
    assert (plain.diff(dim=0).abs() > 1e-5).any()


def test_a_batch_without_a_past_is_an_error(model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold) -> None:
    with pytest.raises(ValueError, match="no past; make it with the model's support_sessions"):
        model(batch_of(panel, stats, fold.test[:2], support=0))


def test_an_explanation_covers_the_sessions_of_its_windows(
    model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    ends = fold.test[::97]
    found = explain_forecasts(model, ends, panel=panel, stats=stats)
    assert found is not None
    windows_alone = model.explain(batch_of(panel, stats, ends, support=0))
    for name in ("attention", "encoder", "decoder", "static"):
        torch.testing.assert_close(getattr(found, name), getattr(windows_alone, name))
    assert (found.encoder.std(dim=0) > 0).all()


def changed(panel: PanelTensors, name: str, rows: Tensor, by: float) -> PanelTensors:
    features = panel.features.clone()
    features[rows, panel.feature_names.index(name)] += by
    return replace(panel, features=features)


def test_a_forecast_changes_with_each_session_of_the_support_and_with_none_before(
    model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    end = fold.test[panel.run_length[fold.test] > 80][0]
    before = forecasts(model, panel, stats, end[None])
    for ago in (1, LOOKBACK + 1, SUPPORT):
        other = forecasts(model, changed(panel, "signal", end - ago, 1.0), stats, end[None])
        assert (other - before).abs().max() > 1e-7, ago
    for ago in (SUPPORT + 1, SUPPORT + 2, 60):
        other = forecasts(model, changed(panel, "signal", end - ago, 1.0), stats, end[None])
        assert torch.equal(other, before), ago


def test_what_is_not_known_at_the_forecast_origin_changes_no_forecast(
    model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    """Every row after the forecast origin, every label, and all that stands before its ticker's listing, is poisoned."""
    newest = fold.test[(panel.run_length[fold.test] == LOOKBACK + 4) & (panel.ticker[fold.test] >= 16)]
    for end in (newest[3], fold.test[500]):
        first = int(end - panel.run_length[end] + 1)
        poisoned = panel.features.clone()
        poisoned[int(end) + 1 :] = float("nan")
        poisoned[:first] = float("nan")
        other = replace(panel, features=poisoned, targets=torch.full_like(panel.targets, float("nan")))
        assert torch.equal(forecasts(model, other, stats, end[None]), forecasts(model, panel, stats, end[None]))


def test_a_forecast_does_not_read_the_outcomes_of_others_in_its_block(
    model: Maml, panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    """Truncation: the last rows of a block are taken away, returns and all."""
    ends = fold.test[panel.ticker[fold.test] == 3][:20]
    assert torch.equal(ends.diff(), torch.ones_like(ends[1:]))
    together = forecasts(model, panel, stats, ends)
    for k in (1, 7, 19):
        shorter = forecasts(model, panel, stats, ends[:k])
        torch.testing.assert_close(shorter, together[:k], rtol=0, atol=1e-7)


def test_a_model_without_support_gets_the_batch_it_always_got(
    panel: PanelTensors, stats: FoldStats, fold: Fold
) -> None:
    ends = fold.test[::301]
    plain, long = (batch_of(panel, stats, ends, support=support) for support in (0, SUPPORT))
    assert plain.past is None
    assert plain.rows.shape[1] == LOOKBACK
    assert torch.equal(plain.window, long.window)


def test_unseen_tickers_are_forecast_better_than_by_b3_from_their_first_sessions_on(
    planted: Planted, fold: Fold, stats: FoldStats
) -> None:
    """A short fit, applied to tickers that list after it: their coefficients are theirs alone, and zero on average.

    The measure is free of the outcomes' noise: what a forecast of the drift leaves of its square. A forecast of zero leaves
    1; whoever knows how coefficients are distributed leaves less the more sessions there were.
    """
    panel = planted.panel
    budget = {"epochs": 3, "samples_per_epoch": 6000, "learning_rate": 1e-2, "patience": 2}
    made: dict[str, FitSpec] = {"b3_tft_sector": TFT, "b7_maml": SPEC}
    assert not planted.new[fold.train].any()
    ends = fold.test[planted.new[fold.test]]
    left = {}
    for name, spec in made.items():
        asked = spec.model_copy(update=budget)
        done = FoldTrainer(name, asked, panel, fold, stats, LOOKBACK, CPU).fit(0)
        quantiles = predict(
            name, asked, done.weights, panel=panel, ends=ends, stats=stats, lookback=LOOKBACK, device="cpu"
        )
        left[name] = (quantiles[:, 0, 3] - planted.drift[ends]).square() / planted.drift.square().mean()
    age = panel.run_length[ends]
    bayes = (planted.bayes[ends] - planted.drift[ends]).square() / planted.drift.square().mean()
    late = age >= 20
    print({name: float(of[late].mean()) for name, of in left.items()}, float(bayes[late].mean()))
    print({name: float(of[age < 10].mean()) for name, of in left.items()}, float(bayes[age < 10].mean()))
    assert left["b3_tft_sector"][late].mean() > 0.9
    assert left["b7_maml"][late].mean() < 0.6
    assert bayes[late].mean() < left["b7_maml"][late].mean()


def test_the_planted_coefficients_are_zero_on_average_and_differ_by_ticker() -> None:
    planted = coefficient_panel(tickers=60, new=20, sessions=400, listing=50, seed=2)
    panel = planted.panel
    assert panel.rows == 60 * 400 + 20 * 50
    assert panel.run_length[planted.new].max() == 50
    assert int(panel.segment_start.sum()) == 80
    matured = torch.isfinite(panel.targets[:, 0])
    rest, signal = panel.targets[matured, 0] - planted.drift[matured], panel.column("signal")[matured]
    assert rest.std().item() == pytest.approx(VOLATILITY, rel=0.03)
    assert abs(torch.corrcoef(torch.stack([rest, signal]))[0, 1]) < 0.03
    coefficient = torch.stack([(planted.drift / panel.column("signal"))[panel.ticker == code][0] for code in range(80)])
    assert coefficient.std().item() == pytest.approx(0.5 * VOLATILITY, rel=0.25)
    assert abs(coefficient.mean()) < 0.15 * VOLATILITY
    # The posterior mean approaches the truth as a ticker's history grows.
    error = (planted.bayes - planted.drift).square() / planted.drift.square().mean()
    by_age = [
        error[(panel.run_length >= low) & (panel.run_length < high)].mean()
        for low, high in ((2, 5), (20, 40), (200, 400))
    ]
    assert by_age[0] > by_age[1] > by_age[2]
    assert by_age[2] < 0.05


def test_inner_loss_is_half_the_weighted_squared_error_but_for_a_constant() -> None:
    _, support, outcome = episodes()
    prior = torch.tensor([1.0, 2.0, 3.0])
    errors = squared_errors(support, outcome, prior_sessions=prior)
    known = torch.isfinite(outcome)
    share = known / (known.sum(dim=1, keepdim=True) + prior)

    def direct(b: int, weight: Tensor) -> Tensor:
        return 0.5 * (share[b] * (support[b] @ weight.T - outcome[b].nan_to_num()).square()).sum()

    def moments(b: int, weight: Tensor) -> Tensor:
        return inner_loss(weight, type(errors)(errors.gram[b], errors.moment[b]))

    one, other = torch.randn(3, 4), torch.randn(3, 4)
    for b in range(len(support)):
        first, second = (loss(b, one) - loss(b, other) for loss in (direct, moments))
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
