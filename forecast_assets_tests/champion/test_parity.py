"""The service answers what the members' own code forecasts: over HTTP, with the champion of the smoke graph."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import torch

from forecast_assets.champion.bundle import Bundle
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.loading import Loader
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.live_service import LiveService

NEEDED = ("serving_model", "windowed_tensors", "calendar_panel")


def test_an_answer_computed_on_demand_is_the_members_own(smoke_graph: Graph, tmp_path: Path) -> None:
    for asset in NEEDED:  # without nights and folds there is nothing to look up
        shutil.copytree(smoke_graph.root / "store" / asset, tmp_path / asset)
    store = Store(tmp_path)
    bundle = Bundle.open(store.current("serving_model"))
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    ends = panel.ends(bundle.card.lookback)
    last = torch.tensor([int(ends[panel.ticker[ends] == code].max()) for code in range(len(panel.tickers))])
    last = last[panel.date[last] == panel.date.max()]
    given = bundle.inputs(panel, last, groups=bundle.groups(panel, last), state=bundle.state)
    with torch.inference_mode():
        eager = bundle.trained.module()(*given.arguments())[0].numpy()
    with LiveService(Loader(store, Bundle.open)) as service:
        for row, expected in zip(last.tolist(), eager, strict=True):
            ticker = panel.tickers[int(panel.ticker[row])]
            answer = service.client.get("/predict", params={"ticker": ticker}).json()
            assert answer["source"] == "computed"
            assert answer["model_version"] == bundle.card.model_version
            quantiles = pl.DataFrame([h["quantiles"] for h in answer["horizons"]]).to_numpy()
            assert np.abs(quantiles - expected).max() <= 1e-5
