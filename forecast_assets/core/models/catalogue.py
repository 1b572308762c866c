"""The catalogue of the models: one entry each, from which all else that lists models is made.

Made from it: the assets and their settings, the candidates of the ensemble, the steps of the ablation, the experiments of
``forecast_assets.train``, the readable titles in reports and pages, and the table in docs/graph.md. To add a model, write
its file and its entry; one of one's own is a file elsewhere (``docs/own_model.md``). This module imports no torch: a
constructor is imported when a model is built.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.entry import Model, ModelSpec, Step
from forecast_assets.core.models.own import own_models
from forecast_assets.core.reads import GraphSettings, Reads
from forecast_assets.model_files import model_files

DEFAULT_KNOWN = ("day_of_week_1d", "month_1d", *(f"quarter_end_{h}d" for h in HORIZONS))
"""Known-future columns that a network reads where its settings name none."""


EARLIER_NAMES = {
    "visits_per_epoch": "samples_per_epoch",
    "ends_per_run": "ends_per_block",
    "young_share": "new_listing_share",
}

EARLIER_LOCATION = "location_shrink"
"""Setting of earlier releases: a fixed factor on the learned location, in place of the slope that it earns."""


class FitSpec(ModelSpec):
    """How a network is trained; shared by all of them."""

    epochs: int = Field(default=3, ge=1, description="passes over samples_per_epoch samples")
    samples_per_epoch: int = Field(
        default=20_000, ge=1, description="samples (windows) per epoch, drawn evenly over tickers"
    )
    batch_size: int = Field(default=256, ge=1, description="windows of a training step")
    ends_per_block: int = Field(
        default=1,
        ge=1,
        description="windows of a step that end in one contiguous block of a ticker's history and share work",
    )
    stride_sessions: int = Field(default=1, ge=1, description="sessions between neighbouring window ends of a block")
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW, where its cosine decay begins")
    weight_decay: float = Field(default=1e-2, ge=0, description="of AdamW")
    patience: int = Field(default=3, ge=1, description="epochs without a better validation loss before stopping")
    gradient_clip: float = Field(default=1.0, gt=0, description="largest norm of a gradient step")
    compared_origins: int = Field(
        default=16_000,
        ge=1,
        description="validation origins that epochs are compared on, those of as many tickers; the best is scored on all",
    )

    @property
    def most_epochs(self) -> int:
        """The epochs of a fit that is not stopped early."""
        return self.epochs

    @property
    def attempt(self) -> str:
        """The size of a batch."""
        return str(self.batch_size)

    def with_less_memory(self) -> Self | None:
        """Return the settings with half the batch; None where a batch is a single block."""
        if self.batch_size <= self.ends_per_block:
            return None
        return self.model_copy(update={"batch_size": max(self.ends_per_block, self.batch_size // 2)})

    def retrained_by(self, settings: Mapping[str, Any]) -> Self:
        """Return them with the epochs, samples and learning rate of a nightly retraining."""
        return self.model_copy(update=dict(settings))

    @classmethod
    def published(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings that a manifest or a bundle holds, those of earlier releases under today's names."""
        kept = {name: value for name, value in settings.items() if name != EARLIER_LOCATION}
        return cls.model_validate({EARLIER_NAMES.get(name, name): value for name, value in kept.items()})


class MlpSpec(FitSpec):
    """B0, the MLP baseline: lagged returns in, one Normal per horizon out."""

    lags: int = Field(default=4, ge=1, description="latest log returns that it reads")
    hidden: int = Field(default=64, ge=1, description="width of each of the three layers")

    @property
    def reads(self) -> Reads:
        """The lagged returns."""
        return Reads(("log_return",))


class HeadSpec(FitSpec):
    """What all but the baseline share: the head of location, scale and shape, and the network of the summary."""

    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of activations dropped in training")
    shape_shrink: float = Field(default=0.03, ge=0, le=1, description="factor on what quantiles learn beside the scale")
    volatility_weight: float = Field(
        default=0.2, ge=0, description="weight of realised volatility, that the scale is fitted to beside outcomes"
    )
    summary_hidden: int = Field(default=32, ge=1, description="width of the layers that read the history's summary")


class SummarySpec(HeadSpec):
    """B8: the network of the summary alone, without a window of sessions."""

    @property
    def reads(self) -> Reads:
        """A return, to count sessions by: all else is in the summary."""
        return Reads(("log_return",))


class BoostedSpec(ModelSpec):
    """G0: boosted trees of the summary. Chosen on the years 2014 to 2018."""

    rounds: int = Field(default=120, ge=1, description="trees per horizon")
    learning_rate: float = Field(default=0.05, gt=0, description="factor on each tree")
    leaves: int = Field(default=15, ge=2, description="leaves of a tree at most")
    leaf_rows: int = Field(
        default=2_000, ge=1, description="training rows of a leaf at least; on a small panel a hundredth of them"
    )
    feature_share: float = Field(default=0.5, gt=0, le=1, description="share of the summary that a tree may read")
    row_share: float = Field(default=0.5, gt=0, le=1, description="share of the training rows that a tree is fitted to")
    shrinkage: float = Field(default=10.0, ge=0, description="rows of no excess that each leaf is averaged with")
    stride: int = Field(
        default=2, ge=1, description="every which training row is fitted to: neighbouring labels overlap"
    )


class LocationScaleSpec(HeadSpec):
    """What the TFTs and PatchTST share: variables and ids."""

    unknown_share: float = Field(default=0.02, ge=0, lt=1, description="share of training ids shown as unknown")
    observed: tuple[str, ...] = Field(description="feature columns observed up to the forecast origin")
    known: tuple[str, ...] = Field(default=DEFAULT_KNOWN, description="known-future calendar columns")

    @property
    def reads(self) -> Reads:
        """The observed columns, then the known ones."""
        return Reads((*self.observed, *self.known))


class TftSpec(LocationScaleSpec):
    """The Temporal Fusion Transformer family (B1-B3)."""

    ends_per_block: int = Field(
        default=32,
        ge=1,
        description="windows of a step that end in one contiguous block of a ticker's history and share work",
    )
    stride_sessions: int = Field(
        default=4,
        ge=1,
        description="sessions between neighbouring window ends of a block; close ones are nearly the same sample",
    )
    hidden: int = Field(default=32, ge=1, description="width of every layer of the TFT")
    hidden_continuous: int = Field(default=16, ge=1, description="width each real variable is embedded to")
    heads: int = Field(default=4, ge=1, description="attention heads")


class MoeSpec(TftSpec):
    """B5: B3 with a mixture of experts on its last hidden state, gated by the macro regime alone."""

    regime: tuple[str, ...] = Field(
        default=("vix", "vix_change_5", "us10y_change_5", "term_slope"),
        min_length=1,
        description="feature columns that the gate reads, as known at the forecast origin",
    )
    experts: int = Field(default=4, ge=2, description="networks on the last hidden state that the gate mixes")
    active: int = Field(
        default=4,
        ge=1,
        validate_default=True,
        description="experts mixed for a forecast, those with the largest gate weights",
    )
    gate_hidden: int = Field(default=16, ge=1, description="width of the gate's hidden layer")
    balance_weight: float = Field(
        default=0.01, ge=0, description="weight of the squared coefficient of variation of the experts' use"
    )

    @field_validator("active")
    @classmethod
    def _are_there(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("experts", value):
            raise ValueError(f"has to be at most experts ({info.data['experts']})")
        return value

    @property
    def reads(self) -> Reads:
        """What the TFT reads, then the regime: a macro feed may pause."""
        return replace(super().reads, optional=self.regime)


class GraphSpec(TftSpec):
    """B6: B3 with the last returns of the most correlated tickers among its observed variables."""

    messages: tuple[str, ...] = Field(
        default=("log_return", "return_5"),
        min_length=1,
        description="feature columns of a neighbour's message: returns, since a negative correlation flips their sign",
    )
    neighbours: int = Field(
        default=8, ge=1, description="most correlated tickers whose messages a ticker gets on a session"
    )
    window_sessions: int = Field(default=60, ge=5, description="sessions of the ticker's exchange behind a correlation")
    min_pairs: int = Field(
        default=40, ge=5, validate_default=True, description="returns that two tickers need in common there"
    )
    message_width: int = Field(default=4, ge=1, description="width of the aggregated messages")
    edge_hidden: int = Field(default=8, ge=1, description="width of the network that weighs an edge's message")

    @field_validator("min_pairs")
    @classmethod
    def _fit_in(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("window_sessions", value):
            raise ValueError(f"has to be at most window_sessions ({info.data['window_sessions']})")
        return value

    @property
    def graph(self) -> GraphSettings:
        """Settings of the correlation graph."""
        return GraphSettings(self.window_sessions, self.min_pairs, self.neighbours)

    @property
    def reads(self) -> Reads:
        """What the TFT reads, and the messages of neighbours."""
        return replace(super().reads, messages=self.messages, graph=self.graph)


class MamlSpec(TftSpec):
    """B7: the TFT without an embedding of the ticker, with a head adapted to the ticker's own past."""

    support_sessions: int = Field(
        default=60,
        ge=1,
        description="sessions before the forecast origin whose outcomes, as far as matured, adapt the head",
    )
    inner_steps: int = Field(default=10, ge=1, description="gradient steps of the adaptation")
    inner_rate: float = Field(
        default=0.2, gt=0, lt=2, description="step of the adaptation that training begins with; steps are learned"
    )
    prior_sessions: float = Field(
        default=20, gt=0, description="outcomes that the head before adaptation counts for initially; learned"
    )
    description_width: int = Field(default=8, ge=1, description="numbers that describe a session to the adapted head")
    new_listing_share: float = Field(
        default=0.5, ge=0, le=1, description="share of training samples with a shortened past, like a new listing's"
    )

    @property
    def reads(self) -> Reads:
        """What the TFT reads, and the outcomes of the support sessions."""
        return replace(super().reads, support_sessions=self.support_sessions)


class PatchTstSpec(LocationScaleSpec):
    """B4, PatchTST: a transformer over patches of each observed variable."""

    patch_sessions: int = Field(default=16, ge=1, description="sessions of a patch, at most the lookback")
    patch_stride: int = Field(default=8, ge=1, description="sessions between the starts of neighbouring patches")
    hidden: int = Field(default=16, ge=1, description="width of a patch's token; a multiple of heads")
    heads: int = Field(default=4, ge=1, description="attention heads")
    layers: int = Field(default=2, ge=1, description="encoder layers")
    feed_forward: int = Field(default=64, ge=1, description="width inside a layer's feed-forward network")
    residual_attention: bool = Field(default=False, description="attention scores are added up from layer to layer")
    channel_width: int = Field(default=8, ge=1, description="numbers that each variable's encoding is reduced to")
    head_hidden: int = Field(default=64, ge=1, description="width of the layer that joins variables, levels and ids")


SHIPPED = (
    Model(
        "B0",
        "b0_mlp",
        title="MLP baseline (4 lags)",
        family="mlp",
        spec=MlpSpec,
        constructor="mlp:NormalMlp",
        description="B0, the baseline to beat: a 3-layer probabilistic MLP on 4 lagged returns, Normal output.",
        is_baseline=True,
    ),
    Model(
        "B1",
        "b1_tft",
        title="TFT",
        family="tft",
        spec=TftSpec,
        constructor="tft.model:Tft",
        options={"static": ()},
        description="B1: the Temporal Fusion Transformer without an embedding of the ticker, all horizons, 7 quantiles.",
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
        description="B2: the Temporal Fusion Transformer with a ticker embedding, all horizons, 7 quantiles.",
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
        description="B3: the Temporal Fusion Transformer with embeddings of ticker and sector, all horizons, 7 quantiles.",
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
    Model(
        "B8",
        "b8_summary",
        title="MLP on summaries",
        family="summary",
        spec=SummarySpec,
        constructor="summary:SummaryMlp",
        description=(
            "B8: a small MLP on numbers that sum up a ticker's history, what the volatility regression reads; without a "
            "window of sessions, under the same head and loss."
        ),
        step=Step("b1_tft", "The summary of the history alone, without its sessions"),
    ),
    Model(
        "G0",
        "g0_lightgbm",
        title="Boosted trees (LightGBM)",
        family="boosted",
        spec=BoostedSpec,
        constructor="boosted:TreeNetwork",
        estimator="boosted:BoostedTrees",
        kind="lightgbm",
        description="G0: LightGBM on the numbers that B8 reads, one booster per horizon; the trees scale HAR-X's quantiles.",
        step=Step("b8_summary", "Boosted trees in place of the MLP, on the same summaries"),
    ),
)

CATALOGUE = (*SHIPPED, *own_models(model_files(), shipped=SHIPPED))

MODELS: dict[str, Model] = {model.key: model for model in CATALOGUE}
EXPERIMENTS: dict[str, Model] = {model.experiment: model for model in CATALOGUE}

NETWORKS = tuple(MODELS)
(MLP_BASELINE,) = (model.key for model in CATALOGUE if model.is_baseline)
BESIDE_BASELINE = tuple(key for key in MODELS if key != MLP_BASELINE)
"""All but the baseline, which reports compare them with."""
CANDIDATES = tuple(model.key for model in CATALOGUE if model.is_candidate)
"""Those that an ensemble may be made of: all of them that can be served."""
SEARCHED = tuple(model.key for model in CATALOGUE if not model.why_not_searched)
"""Those whose settings the sweep can search."""
FAMILIES = tuple(dict.fromkeys(model.family for model in CATALOGUE if model.family))
