"""A bundle forecasts what its members forecast: eager, traced, after a round trip through a store."""

import datetime as dt
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from forecast_assets.champion.bundle import (
    Bundle,
    Card,
    Member,
    TrainedEnsemble,
    _fitted,
    feature_hash,
    flat_weights,
    sessions_needed,
    vocabularies,
)
from forecast_assets.core.errors import BadInput, BadSetting, CorruptArtefact
from forecast_assets.core.models.attribution import attributions
from forecast_assets.core.models.catalogue import (
    MODELS,
    BoostedSpec,
    GraphSpec,
    MamlSpec,
    MoeSpec,
    PatchTstSpec,
    TftSpec,
)
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.training.calibrate import CalibrationState, apply
from forecast_assets.core.training.calibration_groups import Groups
from forecast_assets.core.training.ensemble import median_of_means
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import CALIBRATION_STATE, CARD, MODEL_BINARY
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 12
TFT = TftSpec(hidden=8, hidden_continuous=4, heads=2, observed=("log_return", "noise_1", "x_own"), known=("noise_2",))
PATCHTST = PatchTstSpec(
    patch_sessions=4, patch_stride=2, hidden=4, heads=2, layers=1, feed_forward=8, channel_width=2, head_hidden=8,
    observed=("log_return", "noise_1"), known=("noise_2",),
)  # fmt: skip
MOE = MoeSpec(**TFT.model_dump(), regime=("noise_1",), experts=3, active=2, gate_hidden=4)
GRAPH = GraphSpec(
    **TFT.model_dump(), messages=("log_return", "noise_1"), neighbours=2, window_sessions=20, min_pairs=10,
    message_width=3, edge_hidden=4,
)  # fmt: skip
MAML = MamlSpec(**TFT.model_dump(), support_sessions=20, inner_steps=3, description_width=3)
STUMPS = BoostedSpec(rounds=5, leaves=2)
FITS: dict[str, ModelSpec] = {
    "b3_tft_sector": TFT,
    "b7_maml": MAML,
    "b6_graph": GRAPH,
    "b5_moe": MOE,
    "b4_patchtst": PATCHTST,
    "b1_tft": TFT,
    "b2_tft_ticker": TFT,
    "g0_lightgbm": STUMPS,
}


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """Six tickers of 700 sessions, volatility not constant; the last ticker is new. A covariate is missing in places."""
    made = random_panel(tickers=6, sessions=700, features=5)
    names = ["x_own" if name == "noise_3" else "x_far" if name == "noise_4" else name for name in made.feature_names]
    made = replace(made, feature_names=tuple(names))
    made.features[::3, names.index("x_own")] = torch.nan
    made.features[:, names.index("x_far")] += 1e3
    generator = torch.Generator().manual_seed(1)
    made.scale.mul_(torch.exp(0.3 * torch.randn(made.rows, generator=generator)))
    made.features[:, made.feature_names.index("har_1")] += 0.5 * torch.randn(made.rows, generator=generator)
    return made


def fold_of(panel: PanelTensors) -> Fold:
    """Trains on the first five tickers' first 400 sessions."""
    ends = panel.ends(LOOKBACK)
    early = ends[(panel.run_length[ends] <= 400) & (panel.ticker[ends] < 5)]
    return Fold(2019, early[::2], early[1::2], ends[panel.run_length[ends] > 600])


def trained(panel: PanelTensors) -> tuple[TrainedEnsemble, FoldStats]:
    """Members with random weights, every one of them: a head of zeros would hide what they compute."""
    fold = fold_of(panel)
    stats = fit_stats(panel, fold)
    torch.manual_seed(3)
    weights = []
    for name, spec in FITS.items():
        network = MODELS[name].build(spec, stats=stats, lookback=LOOKBACK)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        weights.append(network.state_dict() | (stumps(len(stats.summary_mean)) if spec is STUMPS else {}))
    groups = Groups.fit(panel, train=fold.train)
    state = CalibrationState(groups.names, np.random.default_rng(0).normal(0, 0.1, (len(groups.names), 3, 7)))
    members = tuple(Member(fit=f"{n}/0", model=n, settings=s.model_dump(mode="json")) for n, s in FITS.items())
    card = Card(
        fold=2019,
        members=members,
        groups=3,
        lookback=LOOKBACK,
        history_sessions=sessions_needed(LOOKBACK, members),
        features=panel.feature_names,
        feature_hash=feature_hash(panel.feature_names, FeatureSpec()),
        vocabularies=vocabularies(panel, stats),
        regime_borders=groups.regime_borders,
        volatility_weights=groups.volatility_weights,
        volatility_borders=groups.volatility_borders,
        unconditional_mean=stats.unconditional_mean,
        cutoff=dt.date(2018, 12, 31),
        calibrated=True,
    )
    return TrainedEnsemble(card, weights, stats, state), stats


def stumps(columns: int) -> dict[str, torch.Tensor]:
    """Trees of one random split each, (3, 5)."""
    trees = (3, STUMPS.rounds)
    return {
        "column": torch.randint(columns, (*trees, 1)),
        "threshold": torch.randn(*trees, 1, dtype=torch.float64),
        "path": torch.tensor([[1.0, -1.0]]).expand(*trees, 1, 2).clone(),
        "depth": torch.ones(*trees, 2),
        "value": 0.2 * torch.randn(*trees, 2, dtype=torch.float64),
    }


@pytest.fixture(scope="module")
def made(panel: PanelTensors) -> TrainedEnsemble:
    return trained(panel)[0]


@pytest.fixture(scope="module")
def bundle(made: TrainedEnsemble, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(publish(Store(tmp_path_factory.mktemp("bundle")), made.files()))


def expected(panel: PanelTensors, made: TrainedEnsemble, stats: FoldStats, rows: torch.Tensor) -> NDArray[np.float64]:
    """Forecast as the walk-forward does."""
    each = [
        predict(n, s, w, panel=with_graph(panel, GRAPH.graph), ends=rows, stats=stats, lookback=LOOKBACK, device="cpu")
        .double()
        .numpy()
        for (n, s), w in zip(FITS.items(), made.weights, strict=True)
    ]
    groups = Groups.fit(panel, train=fold_of(panel).train).of(panel, rows)
    assert len(np.unique(groups.code[:, 0])) == 3
    assert len(np.unique(groups.code[:, 2])) == 10
    return apply(made.state, median_of_means(np.stack(each), groups=3), groups=groups)


def publish(store: Store, files: dict[str, bytes], *, key: str = "one") -> Any:
    staging = store.stage("serving_model", input_key=sha256_text(key))
    for name, content in files.items():
        (staging.path / name).write_bytes(content)
    fields: Any = {"parents": {}, "config": {}, "code_version": "c", "seeds": [], "slices": {}, "facts": {}}
    return store.commit(staging, fields)


def test_the_binary_forecasts_what_the_walk_forward_would(
    panel: PanelTensors, made: TrainedEnsemble, bundle: Bundle
) -> None:
    stats = fit_stats(panel, fold_of(panel))
    ends = panel.ends(LOOKBACK)
    for rows in (ends[::7], ends[:5], ends[-1:], ends[torch.tensor([300, 20, 2000])]):
        given = bundle.forecast(panel, rows)
        assert given.quantiles.shape == (len(rows), 3, 7)
        if len(rows) > 100:
            reference = expected(panel, made, stats, rows)
            assert np.abs(given.quantiles - reference).max() <= 1e-5 * np.abs(reference).max()
        assert (np.diff(given.quantiles, axis=-1) >= 0).all()


def test_a_member_whose_model_is_not_known_here_is_named() -> None:
    member = Member(fit="u1_mine/0", model="u1_mine", settings={})
    with pytest.raises(
        BadSetting, match=r"u1_mine/0: the champion has a member of u1_mine, which is no model here; name"
    ):
        _ = member.spec


@pytest.mark.parametrize("members", [slice(1, 4), slice(6, 8)], ids=["networks", "a network and trees"])
def test_the_exported_program_gives_what_the_binary_gives(
    panel: PanelTensors, made: TrainedEnsemble, members: slice
) -> None:
    card = made.card.model_copy(update={"members": made.card.members[members]})
    some = TrainedEnsemble(card, made.weights[members], made.stats, made.state)
    program, bundle = torch.export.load(io.BytesIO(some.program())).module(), Bundle.of(some, some.files())
    for rows in (panel.ends(LOOKBACK)[::70], panel.ends(LOOKBACK)[-1:]):
        given = bundle.inputs(panel, rows, groups=bundle.groups(panel, rows), state=made.state)
        for ours, eager in zip(program(*given.arguments()), some.module()(*given.arguments()), strict=True):
            torch.testing.assert_close(ours, eager, rtol=0, atol=1e-6)


def test_how_forecasts_are_batched_changes_nothing(panel: PanelTensors, bundle: Bundle) -> None:
    rows = panel.ends(LOOKBACK)[::50]
    together = bundle.forecast(panel, rows).quantiles
    alone = np.concatenate([bundle.forecast(panel, row[None]).quantiles for row in rows])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_rows_before_the_complete_sessions_and_after_the_origin_are_not_read(
    panel: PanelTensors, bundle: Bundle
) -> None:
    """The rows before a ticker's first row are the end of another's history, so they are later too."""
    for session in (LOOKBACK - 1, 200):  # of the second ticker
        row = torch.tensor([700 + session])
        before = bundle.forecast(panel, row).quantiles
        late = panel.date > panel.date[row]
        poisoned = replace(
            panel,
            features=torch.where(late[:, None], float("nan"), panel.features),
            scale=torch.where(late, float("nan"), panel.scale),
        )
        assert (bundle.forecast(poisoned, row).quantiles == before).all()


def test_a_new_listing_is_forecast_from_the_outcomes_of_its_own_first_sessions(
    panel: PanelTensors, made: TrainedEnsemble
) -> None:
    """By B7 alone, whose window has 12 sessions; the 20 before the forecast origin are its support set."""
    card = made.card.model_copy(update={"members": made.card.members[1:2], "groups": 1})
    alone = TrainedEnsemble(card, made.weights[1:2], made.stats, made.state)
    bundle = Bundle.of(alone, alone.files())
    listed = int(torch.nonzero(panel.ticker == 5)[0])
    assert bundle._ids(panel, "ticker")[5] == 0

    def matters(row: int, ago: int) -> tuple[bool, bool]:
        """Whether the forecast changes with a session's return, and with whether it was quoted."""
        origin = torch.tensor([row])
        features, observed = panel.features.clone(), panel.observed.clone()
        features[row - ago, panel.feature_names.index("log_return")] += 0.02
        observed[row - ago] = False
        before = bundle.forecast(panel, origin).raw
        others = (replace(panel, features=features), replace(panel, observed=observed))
        first, second = (bool(np.abs(bundle.forecast(other, origin).raw - before).max() > 1e-7) for other in others)
        return first, second

    for session, support in ((LOOKBACK, ()), (LOOKBACK + 6, (13, 17)), (40, (13, 17, 20)), (300, (13, 17, 20))):
        for ago in (13, 17, 20, 21, 30):
            assert matters(listed + session - 1, ago) == ((ago in support),) * 2, (session, ago)


def test_filled_sessions_are_no_outcomes_to_the_binary_nor_to_the_walk_forward(
    panel: PanelTensors, made: TrainedEnsemble
) -> None:
    card = made.card.model_copy(update={"members": made.card.members[1:2], "groups": 1})
    alone = TrainedEnsemble(card, made.weights[1:2], made.stats, made.state)
    observed = torch.rand(panel.rows, generator=torch.Generator().manual_seed(0)) > 0.1
    holed = replace(panel, observed=observed)
    rows = holed.ends(LOOKBACK)[::7]
    given = Bundle.of(alone, alone.files()).forecast(holed, rows).raw
    reference = predict(
        "b7_maml", MAML, made.weights[1], panel=holed, ends=rows, stats=alone.stats, lookback=LOOKBACK, device="cpu"
    )
    assert np.abs(given - reference.double().numpy()).max() <= 1e-5 * float(reference.abs().max())


def test_a_ticker_keeps_its_embedding_when_others_list_and_a_new_one_is_unknown(
    panel: PanelTensors, bundle: Bundle
) -> None:
    renamed = PanelTensors(**{**vars(panel), "tickers": ("T00", "T01", "T02", "T03", "T04", "ZZ")})
    assert bundle._ids(panel, "ticker").tolist() == [1, 2, 3, 4, 5, 0]
    assert bundle._ids(renamed, "ticker").tolist() == [1, 2, 3, 4, 5, 0]
    shifted = PanelTensors(**{**vars(panel), "tickers": ("AA", "T00", "T01", "T02", "T03", "T04")})
    assert bundle._ids(shifted, "ticker").tolist() == [0, 1, 2, 3, 4, 5]


def test_another_calibration_state_is_an_input(panel: PanelTensors, bundle: Bundle) -> None:
    rows = panel.ends(LOOKBACK)[-40:]
    neutral = bundle.forecast(panel, rows, state=CalibrationState.initial())
    np.testing.assert_allclose(neutral.quantiles, neutral.raw, rtol=1e-12, atol=1e-15)
    assert not np.allclose(bundle.forecast(panel, rows).quantiles, neutral.quantiles)


def test_a_champion_from_before_exchange_and_volatility_groups_goes_on_serving(
    panel: PanelTensors, made: TrainedEnsemble, tmp_path: Path
) -> None:
    """Its card has no volatility borders and was signed without them; its state is a list of three regimes."""
    content = {"volatility_weights": (), "volatility_borders": ()}
    factors = made.state.log_factor[:3]
    earlier = TrainedEnsemble(made.card.model_copy(update=content), made.weights, made.stats, made.state)
    written = earlier.signed_card().model_dump(mode="json", exclude=set(content))
    weights = sha256_text(save(flat_weights(made.weights)).hex() + save(_fitted(made.stats)).hex())
    signed = sha256_text(canonical_json([{**written, "model_version": ""}, weights]))[:16]  # as it was signed then
    files = {
        **earlier.files(),
        CARD: json.dumps({**written, "model_version": signed}).encode(),
        CALIBRATION_STATE: json.dumps({"log_factor": factors.tolist()}).encode(),
    }
    bundle = Bundle.open(publish(Store(tmp_path), files))
    rows = panel.ends(LOOKBACK)[::50]
    given = bundle.forecast(panel, rows)
    assert given.groups.names == ("regime 0", "regime 1", "regime 2")
    median = given.raw[..., 3:4]
    expected = np.sort(median + np.exp(factors[given.groups.code[:, 0]]) * (given.raw - median), axis=-1)
    np.testing.assert_allclose(given.quantiles, expected, rtol=1e-12, atol=1e-15)


def test_a_ticker_of_an_exchange_that_training_has_not_seen_is_forecast(
    panel: PanelTensors, made: TrainedEnsemble, bundle: Bundle
) -> None:
    elsewhere = replace(panel, exchanges=("XTKS",))
    rows = panel.ends(LOOKBACK)[::50]
    before, given = bundle.forecast(panel, rows), bundle.forecast(elsewhere, rows)
    names = made.card.calibration_groups.names
    assert {names[k] for k in before.groups.code[:, 1]} == {"exchange XNYS"}
    assert {names[k] for k in given.groups.code[:, 1]} == {"exchange other"}
    np.testing.assert_array_equal(given.quantiles, np.sort(given.quantiles, axis=-1))
    np.testing.assert_array_equal(np.delete(given.groups.code, 1, axis=1), np.delete(before.groups.code, 1, axis=1))


def test_a_bundle_is_explained_by_its_best_member_that_reads_neighbours(panel: PanelTensors, bundle: Bundle) -> None:
    found = bundle.explain(panel, int(panel.ends(LOOKBACK)[-1]))
    assert found is not None
    fit, seen = found
    assert fit == "b6_graph/0"
    assert float(seen.encoder.sum()) == pytest.approx(1, abs=1e-5)
    assert seen.neighbours is not None
    (found_neighbours,) = attributions(seen.neighbours, ticker=panel.ticker, tickers=panel.tickers)
    assert {one.ticker for one in found_neighbours} <= {
        "T00",
        "T01",
        "T02",
        "T03",
        "T04",
    }  # the forecast is the last ticker's
    assert sum(one.correlation is not None for one in found_neighbours) == GRAPH.neighbours
    assert max(abs(one.added) for one in found_neighbours) > 0


def test_an_altered_binary_is_rejected_before_it_is_loaded(made: TrainedEnsemble, tmp_path: Path) -> None:
    version = publish(Store(tmp_path), made.files())
    path = version.path(MODEL_BINARY)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(CorruptArtefact, match=r"model\.pt"):
        Bundle.open(version)


def test_a_card_of_other_weights_is_rejected(made: TrainedEnsemble, tmp_path: Path) -> None:
    weights = [{n: t + 1 if t.is_floating_point() else t for n, t in w.items()} for w in made.weights]
    other = TrainedEnsemble(made.card, weights, made.stats, made.state)
    files = {**made.files(), "members.safetensors": other.files()["members.safetensors"]}
    with pytest.raises(CorruptArtefact, match="does not belong to the weights"):
        Bundle.open(publish(Store(tmp_path), files))


def test_a_panel_without_a_feature_raises_and_names_it(panel: PanelTensors, bundle: Bundle) -> None:
    renamed = PanelTensors(**{**vars(panel), "feature_names": ("other", *panel.feature_names[1:])})
    with pytest.raises(BadInput, match=r"missing \['log_return'\], new \['other'\]"):
        bundle.forecast(renamed, panel.ends(LOOKBACK)[:1])
    with pytest.raises(BadInput, match="1 of 1 forecast origins have fewer than 12 complete sessions"):
        bundle.forecast(panel, torch.tensor([3]))


def test_a_series_declared_after_the_training_changes_no_forecast(panel: PanelTensors, bundle: Bundle) -> None:
    later = replace(
        panel,
        features=torch.cat([torch.ones(panel.rows, 1), panel.features], dim=1),
        feature_names=("x_a", *panel.feature_names),
    )
    rows = panel.ends(LOOKBACK)[::70]
    assert (bundle.forecast(later, rows).quantiles == bundle.forecast(panel, rows).quantiles).all()


def test_features_of_the_same_names_with_other_settings_are_rejected(panel: PanelTensors, bundle: Bundle) -> None:
    bundle.check_features(panel, FeatureSpec())
    with pytest.raises(BadInput, match="the same names with other settings"):
        bundle.check_features(panel, FeatureSpec(macd_signal=7))
