"""The catalogue of the networks: one entry each, from which all else that lists networks is made.

Made from it: the assets and their settings, the candidates of the ensemble, the steps of the ablation, the experiments of
``forecast_assets.train``, the readable titles in reports and pages, and the README's table. To add a model, write its file
and its entry. This module imports no torch: a constructor is imported when a model is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from forecast_assets.core.specs import FitSpec, GraphSpec, MamlSpec, MlpSpec, MoeSpec, PatchTstSpec, TftSpec

if TYPE_CHECKING:
    from forecast_assets.core.models.base import ForecastModel
    from forecast_assets.core.windows.stats import FoldStats

MODELS_PACKAGE = "forecast_assets.core.models"


@dataclass(frozen=True)
class Step:
    """A step of the ablation, fixed in advance: the model that an entry is held against, and what it adds to it."""

    against: str
    adds: str


@dataclass(frozen=True)
class Model:
    """A network."""

    experiment: str
    """Its name in the ablation and on the command line of ``forecast_assets.train``: ``B3``."""
    key: str
    """Its asset key and its section of the settings: ``b3_tft_sector``."""
    title: str
    """What readers see."""
    family: str
    """The networks that it shares defaults with: a section of the settings and a folder of ``conf/model``."""
    spec: type[FitSpec]
    """The type of its settings."""
    constructor: str
    """``module:Class`` in ``core/models``, called with ``(spec, *, stats, lookback, **options)``."""
    description: str
    """Of its asset."""
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: str | None = None
    """The setting that names feature columns without which it cannot be trained on a panel."""
    step: Step | None = None
    candidate: bool = True
    """Whether an ensemble may have it as a member."""

    def build(self, spec: FitSpec, *, stats: "FoldStats", lookback: int) -> "ForecastModel":
        """Return the network with its first, random weights (from torch's global generator)."""
        made: ForecastModel = resolve_name(f"{MODELS_PACKAGE}.{self.constructor}")(
            spec, stats=stats, lookback=lookback, **self.options
        )
        return made

    @property
    def module(self) -> str:
        """The module of its constructor."""
        return f"{MODELS_PACKAGE}.{self.constructor.partition(':')[0]}"


CATALOGUE = (
    Model(
        "B0",
        "b0_mlp",
        title="MLP baseline (4 lags)",
        family="mlp",
        spec=MlpSpec,
        constructor="mlp:NormalMlp",
        description="B0, the baseline to beat: a 3-layer probabilistic MLP on 4 lagged returns, Normal output.",
        candidate=False,
    ),
    Model(
        "B1",
        "b1_tft",
        title="TFT",
        family="tft",
        spec=TftSpec,
        constructor="tft.model:Tft",
        options={"static": ()},
        description="B1: the Temporal Fusion Transformer without an embedding of the ticker, 3 horizons, 7 quantiles.",
        step=Step("b0_mlp", "A Temporal Fusion Transformer in place of the MLP baseline"),
    ),
    Model(
        "B2",
        "b2_tft_ticker",
        title="TFT + ticker embedding",
        family="tft",
        spec=TftSpec,
        constructor="tft.model:Tft",
        options={"static": ("ticker",)},
        description="B2: the Temporal Fusion Transformer with a ticker embedding, 3 horizons, 7 quantiles.",
        step=Step("b1_tft", "An embedding of the ticker"),
    ),
    Model(
        "B3",
        "b3_tft_sector",
        title="TFT + ticker and sector embeddings",
        family="tft",
        spec=TftSpec,
        constructor="tft.model:Tft",
        options={"static": ("ticker", "sector")},
        description="B3: the Temporal Fusion Transformer with embeddings of ticker and sector, 3 horizons, 7 quantiles.",
        step=Step("b2_tft_ticker", "An embedding of the sector"),
    ),
    Model(
        "B4",
        "b4_patchtst",
        title="PatchTST",
        family="patchtst",
        spec=PatchTstSpec,
        constructor="patchtst:PatchTst",
        description="B4: a PatchTST encoder over the same variables, static context, the same quantile head.",
        step=Step("b3_tft_sector", "A PatchTST encoder in place of the TFT's"),
    ),
    Model(
        "B5",
        "b5_moe",
        title="TFT + mixture of experts",
        family="tft",
        spec=MoeSpec,
        constructor="moe:Moe",
        options={"static": ("ticker", "sector")},
        description=(
            "B5: B3 with a mixture of experts, gated by VIX and interest rates; skipped, with the reason, without them."
        ),
        needs="regime",
        step=Step("b3_tft_sector", "A mixture of experts, weighed by VIX and interest rates"),
    ),
    Model(
        "B6",
        "b6_graph",
        title="TFT + graph of correlated tickers",
        family="tft",
        spec=GraphSpec,
        constructor="graph:GraphTft",
        options={"static": ("ticker", "sector")},
        description=(
            "B6: B3 with messages of the most correlated tickers, along a graph of the last 60 sessions as known at each "
            "forecast origin."
        ),
        step=Step("b3_tft_sector", "Messages from the most correlated tickers"),
    ),
    Model(
        "B7",
        "b7_maml",
        title="TFT + meta-learned head",
        family="tft",
        spec=MamlSpec,
        constructor="maml:Maml",
        options={"static": ("sector",)},
        description=(
            "B7: the TFT without a ticker embedding, with a head that adapts to the ticker's last sessions by meta-learned "
            "steps."
        ),
        step=Step("b3_tft_sector", "A head adapted to each ticker's last sessions, in place of its embedding"),
    ),
)

MODELS: dict[str, Model] = {model.key: model for model in CATALOGUE}
EXPERIMENTS: dict[str, Model] = {model.experiment: model for model in CATALOGUE}

NETWORKS = tuple(MODELS)
CANDIDATES = tuple(model.key for model in CATALOGUE if model.candidate)
"""Those that an ensemble may be made of: all but the baseline."""

MLP_BASELINE = "b0_mlp"
FAMILIES = tuple(dict.fromkeys(model.family for model in CATALOGUE))
