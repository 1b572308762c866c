"""Typical changes of the product, as edits of the package's own text: the cost of one is the number of files it touches."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Change:
    """A change, by files under ``forecast_assets``; ``check`` is Python code that fails where the change does not work."""

    name: str
    what: str
    check: str
    added: Mapping[str, str] = field(default_factory=dict)
    """File -> its text."""
    edited: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """File -> (old text, which stands there exactly once, new text)."""


MODEL_VARIANT = Change(
    "model_variant",
    "B9, a TFT that reads the ticker's sector and whose training hides a share of the observed variables",
    added={
        "core/models/masked.py": '''"""B9: the TFT of B3, trained with some variables hidden."""

from dataclasses import replace

import torch
from torch import Tensor

from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.tft.model import Tft

HIDDEN_SHARE = 0.1


class MaskedTft(Tft):
    """The TFT; in training each block has a share of its variables at their mean."""

    def raw(self, batch: Batch) -> Tensor:
        """Return the raw numbers of each forecast, (B, 3, 7)."""
        if not self.training:
            return super().raw(batch)
        rows = batch.rows  # (K, T, V)
        kept = torch.rand(rows.shape[0], 1, rows.shape[2], device=rows.device) >= HIDDEN_SHARE
        return super().raw(replace(batch, rows=rows * kept))
'''
    },
    edited={
        "core/models/catalogue.py": (
            (
                """place of its embedding"),
    ),
""",
                """place of its embedding"),
    ),
    Model(
        "B9",
        "b9_masked",
        title="TFT + hidden variables",
        family="tft",
        spec=TftSpec,
        constructor="masked:MaskedTft",
        options={"static": ("ticker", "sector")},
        description="B9: B3, trained with some observed variables hidden.",
        step=Step("b3_tft_sector", "Training with some observed variables hidden"),
    ),
""",
            ),
        )
    },
    check="""
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.report.ablation import STEPS
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.definitions import defs
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.tensors import random_panel

graph = defs.resolve_asset_graph()
parents = {key.to_user_string(): graph.get(key).parent_keys for key in graph.get_all_asset_keys()}
assert "b9_masked" in parents
assert "b9_masked" in {key.to_user_string() for key in parents["ensemble"]}
assert "b9_masked" in CANDIDATES
assert "b9_masked" in str(STEPS)
settings = compose_settings("smoke", ["b9_masked.hidden=6"])
spec = settings.network("b9_masked")
assert spec.hidden == 6
assert spec.observed == settings.network("b3_tft_sector").observed
spec = spec.model_copy(update={"observed": ("log_return",), "known": ("noise_1",), "samples_per_epoch": 32})
panel = random_panel(tickers=3, sessions=620)
fold = make_fold(panel, year=2019, spec=FoldSpec(validation_sessions=40), lookback=20)
hardware = Hardware(accelerator="cpu", precision="32-true")
done = FoldTrainer("b9_masked", spec, panel, fold, fit_stats(panel, fold), 20, hardware).fit(0)
assert done.validation_pinball > 0
""",
)

COST_RULE = Change(
    "cost_rule",
    "costs by exchange, beside those by region and by ticker",
    edited={
        "core/backtest/costs.py": (
            (
                "        return cls(default, {ticker: cost_bps.get(ticker, bps) for ticker, bps in by_region.items()})",
                "        exchange = _latest(calendar_panel, 'exchange')\n"
                "        rates = {ticker: cost_bps.get(exchange[ticker], bps) for ticker, bps in by_region.items()}\n"
                "        return cls(default, {ticker: cost_bps.get(ticker, bps) for ticker, bps in rates.items()})",
            ),
            (
                'known = {"default", *regions.values(), *regions}',
                'known = {"default", *regions.values(), *regions, *_latest(calendar_panel, "exchange").values()}',
            ),
            (
                '    """Region of each ticker, the latest where it has moved."""\n',
                '    return _latest(calendar_panel, "region")\n\n\n'
                "def _latest(calendar_panel: pl.DataFrame | pl.LazyFrame, column: str) -> dict[str, str]:\n"
                '    """Region or exchange of each ticker, the latest where it has moved."""\n',
            ),
            ('pl.col("region").drop_nulls()', "pl.col(column).drop_nulls()"),
        ),
        "core/specs.py": (
            ("a number, or by region and ticker, such as ", "a number, or by region, exchange and ticker, such as "),
        ),
    },
    check="""
import polars as pl

from forecast_assets.core.backtest.costs import Costs, require_known
from forecast_assets.resources.settings import compose_settings

cost_bps = compose_settings("smoke", ["backtest.cost_bps={default:5,Europe:8,XLON:50,BMW.DE:3}"]).backtest.cost_bps
panel = pl.DataFrame(
    {
        "ticker": ["AAPL", "BMW.DE", "SAP.DE", "VOD.L"],
        "region": ["Americas", "Europe", "Europe", "Europe"],
        "exchange": ["XNYS", "XETR", "XETR", "XLON"],
    }
)
require_known(cost_bps, panel)
assert Costs.of(cost_bps, panel).bps(panel["ticker"]).tolist() == [5, 3, 8, 50]
""",
)

HORIZON = Change(
    "horizon",
    "forecasts 60 sessions ahead, beside those of 1, 5 and 20",
    edited={
        "core/horizons.py": (("HORIZONS: tuple[int, ...] = (1, 5, 20)", "HORIZONS: tuple[int, ...] = (1, 5, 20, 60)"),)
    },
    check="""
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.contracts import FeaturePanel
from forecast_assets.definitions import defs
from forecast_assets.resources.settings import compose_settings

assert TARGETS[-1] == "target_60d"
assert "target_60d" in FeaturePanel.column_names()
settings = compose_settings("smoke", ["backtest.horizon_sessions=60"])
assert settings.backtest.horizon_sessions == 60
assert settings.folds.purge_sessions == 61
assert "quarter_end_60d" in settings.network("b2_tft_ticker").known
""",
)

ALERT_CHANNEL = Change(
    "alert_channel",
    "alerts to a pager, beside those to Slack",
    added={
        "resources/channels/pager.py": '''"""The pager channel: posts a message as JSON to a URL."""

import json
import os
import urllib.request
from typing import ClassVar
from urllib.error import HTTPError

from forecast_assets.resources.channels.channel import Message, NotDelivered

VARIABLE = "FORECAST_PAGER"


class Pager:
    """A URL that takes messages by POST."""

    name: ClassVar[str] = "pager"

    def missing(self) -> list[str]:
        """Return the environment variable, where it is not set."""
        return [] if os.environ.get(VARIABLE) else [VARIABLE]

    def post(self, message: Message) -> None:
        """Post the message; return once it is acknowledged."""
        body = json.dumps({"id": message.id, "title": message.title, "text": message.sentence}).encode()
        request = urllib.request.Request(os.environ[VARIABLE], body, {"content-type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except HTTPError as error:
            raise NotDelivered(f"the pager answered {error.code}", certain=error.code < 500) from None
        except OSError as error:
            raise NotDelivered(f"no answer ({type(error).__name__})", certain=False) from None

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        """Return None: a pager can't be asked."""
        return None
'''
    },
    edited={
        "resources/channels/table.py": (
            (
                "from forecast_assets.resources.channels.slack import AlertSlack\n",
                "from forecast_assets.resources.channels.pager import Pager\n"
                "from forecast_assets.resources.channels.slack import AlertSlack\n",
            ),
            ("= (AlertSlack, ", "= (AlertSlack, Pager, "),
        )
    },
    check="""
import datetime as dt
import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels.channel import Message
from forecast_assets.resources.channels.table import open_channels

received = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["FORECAST_PAGER"] = f"http://127.0.0.1:{server.server_port}/"
os.environ["no_proxy"] = "127.0.0.1"
for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
    os.environ.pop(name, None)
channels = open_channels()
now = dt.datetime.now(dt.UTC)
with tempfile.TemporaryDirectory() as folder:
    outbox = Outbox(folder, channels)
    with outbox.alone():
        outbox.enqueue([Message("a.b.opened", "a", "b", "opened", "warning", "title", "text", "http://ui.test/")], now=now)
        print(outbox.deliver(now=now))
assert [message["id"] for message in received] == ["a.b.opened"], received
""",
)

CHANGES = (MODEL_VARIANT, COST_RULE, HORIZON, ALERT_CHANNEL)
