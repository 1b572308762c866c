"""The champion as one artefact, the bundle: everything that prediction needs, checked before it is loaded.

``model.pt``             every member, their combination and the calibration in one traced binary (``ServedEnsemble``)
``members.safetensors``  the members' weights, ``<k>.<parameter>``, for challengers and explanations
``stats.safetensors``    the fold's scalers, volatility regression and base distribution
``bundle.json``          the card: settings, vocabularies, features, last day of training and validation labels
``model.pt2``            the same as a torch.export program, for other runtimes; nothing here loads it
``calibration.json``     the calibration state when the bundle was made
"""

import datetime as dt
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors.torch import load, save
from torch import Tensor

from forecast_assets.core.errors import BadInput, BadSetting, CorruptArtefact
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import ForecastModel, neighbour_messages
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.models.explanation import Explanation
from forecast_assets.core.models.served import Inputs, ServedEnsemble
from forecast_assets.core.panel.lineage import latest_names
from forecast_assets.core.reads import Reads, is_covariate, union
from forecast_assets.core.specs import FeatureSpec
from forecast_assets.core.training.calibrate import CalibrationState, log_factors
from forecast_assets.core.training.calibration_groups import Groups, Membership
from forecast_assets.core.training.explain import explain_forecasts, neighbours_of
from forecast_assets.core.training.trained import trained_model, with_slope
from forecast_assets.core.windows.graph import Correlations
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import history_sessions
from forecast_assets.store.artefact_files import CALIBRATION_STATE, CARD, FOLD_STATS, MEMBER_WEIGHTS, MODEL_BINARY
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version

PROGRAM_BATCH = 4096  # largest batch that the program is exported for
BINARY_BATCH = 128  # forecasts per call of the binary: small enough for intermediates to stay near a core's cache

VOCABULARIES = ("ticker", "sector", "exchange")
_FITTED = (
    *("mean", "std", "volatility_weights", "volatility_residual"),
    *("base_quantiles", "shape_borders", "shape_gaps", "summary_mean", "summary_std", "target_mean", "target_std"),
)


class Member(BaseModel, frozen=True, extra="forbid"):
    """One fit of the ensemble."""

    fit: str  # "b2_tft_ticker/1"
    model: str  # "b2_tft_ticker"
    settings: dict[str, Any]

    @property
    def spec(self) -> ModelSpec:
        """The settings as the model's own class. Raises BadSetting for a model that is not known here."""
        if self.model not in MODELS:
            raise BadSetting(
                f"{self.fit}: the champion has a member of {self.model}, which is no model here; name its file with "
                "FORECAST_MODELS"
            )
        return MODELS[self.model].spec.published(self.settings)


class Card(BaseModel, frozen=True, extra="forbid"):
    """The description of a bundle: ``bundle.json``."""

    fold: int  # test year of the fold that the members' statistics come from
    members: tuple[Member, ...]  # best first; member k is in group k mod groups
    groups: int
    lookback: int
    history_sessions: int  # sessions of features that one forecast needs
    features: tuple[str, ...]
    feature_hash: str
    vocabularies: dict[str, dict[str, int]]  # ticker, sector, exchange: name -> embedding id
    regime_borders: tuple[float, float]  # of the calibration's groups, as the next two
    volatility_weights: tuple[float, ...] = ()  # empty in an earlier champion, which is calibrated by regime alone
    volatility_borders: tuple[float, ...] = ()
    unconditional_mean: tuple[float, ...]  # (3,) simple return over each horizon in the training labels
    cutoff: dt.date  # last day of a training or validation label; later forecasts are out of sample
    calibrated: bool
    model_version: str = ""  # digest of all else and of the weights

    @property
    def calibration_groups(self) -> Groups:
        """The groups that its forecasts are calibrated in."""
        if not self.volatility_borders:
            return Groups(self.regime_borders)
        exchanges = tuple(self.vocabularies["exchange"])  # those among the training rows
        return Groups(self.regime_borders, exchanges, self.volatility_weights, self.volatility_borders)

    @property
    def reads(self) -> Reads:
        """What its members read together; ValueError where they read different graphs."""
        return union([member.spec.reads for member in self.members])


class Forecast(NamedTuple):
    """Quantiles of the log returns from B forecast origins."""

    quantiles: NDArray[np.float64]  # (B, 3, 7), calibrated
    raw: NDArray[np.float64]  # (B, 3, 7)
    groups: Membership  # of the B forecasts, for the calibration


@dataclass(frozen=True)
class TrainedEnsemble:
    """An ensemble to make a bundle from; ``card`` without its ``model_version``."""

    card: Card
    weights: Sequence[Mapping[str, Tensor]]  # of each member
    stats: FoldStats
    state: CalibrationState

    def current_weights(self) -> list[dict[str, Tensor]]:
        """Return the weights of each member as today's networks take them."""
        return [with_slope(own, member.settings) for own, member in zip(self.weights, self.card.members, strict=True)]

    def networks(self) -> list[ForecastModel]:
        """Build the members, in evaluation mode."""
        stats = replace(self.stats, **_vocabulary_ids(self.card))
        return [
            trained_model(member.model, member.spec, weights, stats=stats, lookback=self.card.lookback)
            for member, weights in zip(self.card.members, self.current_weights(), strict=True)
        ]

    def module(self) -> ServedEnsemble:
        """Build the module to trace: members, combination and calibration."""
        return ServedEnsemble(
            self.networks(), stats=self.stats, feature_names=self.card.features, groups=self.card.groups
        ).eval()

    def signed_card(self) -> Card:
        """Return the card with its model version, a digest of settings and weights."""
        weights = sha256_text(save(flat_weights(self.weights)).hex() + save(_fitted(self.stats)).hex())
        unsigned = self.card.model_copy(update={"model_version": ""})
        later = {"volatility_weights", "volatility_borders"} if not self.card.volatility_borders else None
        content = unsigned.model_dump(mode="json", exclude=later)  # an earlier champion was signed without them
        return self.card.model_copy(update={"model_version": sha256_text(canonical_json([content, weights]))[:16]})

    def files(self) -> dict[str, bytes]:
        """Return the files of the bundle."""
        binary = io.BytesIO()
        with _tracing(), torch.no_grad():
            # The trace is checked on real forecasts before it is published (asset check of serving_model).
            traced = torch.jit.trace(self.module(), _example(self.card).arguments(), check_trace=False)
            torch.jit.save(traced, binary)
        return {
            MODEL_BINARY: binary.getvalue(),
            MEMBER_WEIGHTS: save(flat_weights(self.weights)),
            FOLD_STATS: save(_fitted(self.stats)),
            CARD: (self.signed_card().model_dump_json(indent=1) + "\n").encode(),
            CALIBRATION_STATE: (canonical_json(self.state.to_json()) + "\n").encode(),
        }

    def program(self) -> bytes:
        """Export ``model.pt2``: the module as a torch.export program for batches of up to ``PROGRAM_BATCH``."""
        decisions = torch.export.Dim("decisions", min=1, max=PROGRAM_BATCH)
        cells = torch.export.Dim("cells", min=1, max=PROGRAM_BATCH)
        example = _example(self.card)
        shapes: tuple[Any, ...] = tuple(
            {0: cells if name == "log_factor" else decisions} for name, _ in _named(example)
        )
        others = Inputs._fields.index("log_factor") + 1  # the rest comes as ``*others``: one argument, a tuple
        if len(shapes) > others:
            shapes = (*shapes[:others], shapes[others:])
        with torch.no_grad():
            exported = torch.export.export(self.module(), example.arguments(), dynamic_shapes=shapes)
        content = io.BytesIO()
        torch.export.save(exported, content)
        return content.getvalue()


class Bundle:
    """A champion, ready to forecast."""

    def __init__(self, card: Card, state: CalibrationState, *, binary: Any, trained: TrainedEnsemble) -> None:
        self.card, self.state = card, state
        self.vocabularies = card.vocabularies
        self._binary, self.trained = binary, trained
        self._edges: Correlations | None = None  # of the last panel that was forecast

    @classmethod
    def open(cls, version: Version) -> "Bundle":
        """Load a published bundle after comparing every file's sha256 with the manifest.

        Raises CorruptArtefact where a file is gone or altered, or the card does not fit its weights.
        """
        version.check()
        content = {name: version.path(name).read_bytes() for name in (MODEL_BINARY, MEMBER_WEIGHTS, FOLD_STATS, CARD)}
        try:
            card = Card.model_validate_json(content[CARD])
        except ValidationError as error:
            raise CorruptArtefact(f"{version.label}: {CARD} is not a card ({error.error_count()} problems)") from error
        state = CalibrationState.from_json(version.json(CALIBRATION_STATE))
        weights = by_member(load(content[MEMBER_WEIGHTS]), count=len(card.members))
        trained = TrainedEnsemble(card, weights, _stats(load(content[FOLD_STATS]), card), state)
        if trained.signed_card() != card:
            raise CorruptArtefact(f"{version.label}: {CARD} does not belong to the weights beside it; export it again")
        return cls.of(trained, content)

    @classmethod
    def of(cls, trained: TrainedEnsemble, files: Mapping[str, bytes]) -> "Bundle":
        """Return the bundle of ``trained`` with the ``files`` made from it."""
        with _tracing():
            binary = torch.jit.load(io.BytesIO(files[MODEL_BINARY]))
        card = trained.signed_card()
        return cls(card, trained.state, binary=binary, trained=replace(trained, card=card))

    def rename(self, renames: Mapping[str, str]) -> None:
        """Give the embedding of each renamed ticker (old name -> new one) to its latest name."""
        ids, latest = self.card.vocabularies["ticker"], latest_names(renames)
        moved = {latest[ticker]: i for ticker, i in ids.items() if ticker in latest}
        kept = {ticker: i for ticker, i in ids.items() if ticker not in latest}
        self.vocabularies = {**self.card.vocabularies, "ticker": moved | kept}

    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState | None = None) -> Forecast:
        """Forecast from rows ``rows`` (B,) of a panel; ``state`` of the calibration, else the bundle's own.

        Raises BadInput where the panel lacks a feature or a row has fewer complete sessions than the lookback.
        """
        groups = self.groups(panel, rows)
        given = self.inputs(panel, rows, groups=groups, state=state or self.state)
        parts = []
        with torch.inference_mode():
            for k in range(0, len(rows), BINARY_BATCH):
                chunk = slice(k, k + BINARY_BATCH)
                parts.append(self._binary(*(x if name == "log_factor" else x[chunk] for name, x in _named(given))))
        quantiles, raw = (torch.cat(of).numpy() for of in zip(*parts, strict=True))
        return Forecast(quantiles, raw, groups)

    def inputs(self, panel: PanelTensors, rows: Tensor, *, groups: Membership, state: CalibrationState) -> Inputs:
        """Return the inputs of the binary for rows ``rows`` (B,); zero before a row's complete sessions."""
        if not len(rows):
            raise BadInput("forecast: no rows were given")
        complete = panel.run_length[rows].long()
        if bool((complete < self.card.lookback).any()):
            raise BadInput(
                f"forecast: {int((complete < self.card.lookback).sum())} of {len(rows)} forecast origins have fewer than "
                f"{self.card.lookback} complete sessions behind them"
            )
        steps = torch.arange(1 - self.card.history_sessions, 1)
        shown = rows[:, None] + steps  # (B, H)
        features = panel.features[shown.clamp(min=0)][:, :, self._columns(panel)]  # (B, H, F)
        neighbours, edges, reads = None, None, self.card.reads
        if reads.messages:
            window = shown[:, -self.card.lookback :]  # (B, L)
            neighbours, edges = neighbour_messages(self.with_edges(panel), window, panel.columns(reads.messages))
        within = (steps > -complete[:, None])[..., None]
        combinations, cell = np.unique(groups.code, axis=0, return_inverse=True)  # (C, K), (B,)
        log_factor = log_factors(state, Membership(groups.names, combinations))
        ids = [self._ids(panel, name)[getattr(panel, name)[rows].long()] for name in VOCABULARIES]
        return Inputs(
            features=torch.where(within, features, 0.0),
            complete=complete,
            scale=panel.scale[rows],
            ids=torch.stack(ids, dim=1),
            cell=torch.from_numpy(cell.reshape(-1)),
            log_factor=torch.from_numpy(log_factor),
            neighbours=neighbours,
            edges=edges,
            quoted=panel.observed[shown.clamp(min=0)] & within[..., 0] if reads.support_sessions else None,
        )

    def with_edges(self, panel: PanelTensors) -> PanelTensors:
        """Return ``panel`` with the neighbour graph that members read, made on demand; ``panel`` itself where none does."""
        graph = self.card.reads.graph
        if graph is None:
            return panel
        edges = self._edges
        if edges is None or edges.panel is not panel:
            edges = self._edges = Correlations(panel, graph)
        return replace(panel, graph=edges)

    def groups(self, panel: PanelTensors, rows: Tensor) -> Membership:
        """Return the groups that rows ``rows`` (B,) are calibrated in, from their tickers' histories up to them.

        Raises BadInput where the panel lacks a feature.
        """
        self._columns(panel)
        return self.card.calibration_groups.of(self._as_trained(panel), rows)

    def _as_trained(self, panel: PanelTensors) -> PanelTensors:
        """Return ``panel`` with the series declared since the training under names that nothing reads; nothing is copied."""
        new = {name for name in panel.feature_names if is_covariate(name)} - set(self.card.features)
        if not new:
            return panel
        return replace(panel, feature_names=tuple(f"new {n}" if n in new else n for n in panel.feature_names))

    def explain(self, panel: PanelTensors, row: int) -> tuple[str, Explanation] | None:
        """Explain the forecast at ``row`` by one member: the best that reads neighbours, else the best that has attention
        and variable selection. Return its fit and the explanation, or None where no member has any.
        """
        stats, panel, end = self.stats_for(panel), self.with_edges(panel), torch.tensor([row])
        for member, network in sorted(
            zip(self.card.members, self._networks, strict=True), key=lambda pair: not pair[1].reads.messages
        ):
            found = explain_forecasts(network, end, panel=panel, stats=stats)
            if found is not None:
                neighbours = neighbours_of(network, end, panel=panel, stats=stats)
                return member.fit, replace(found, neighbours=neighbours)
        return None

    def check_features(self, panel: PanelTensors, spec: FeatureSpec) -> None:
        """Raise BadInput where the features of ``panel``, made by ``spec``, differ from those of the training."""
        if feature_hash(panel.feature_names, spec) != self.card.feature_hash:
            raise BadInput(_other_features(panel, self.card))

    def stats_for(self, panel: PanelTensors) -> FoldStats:
        """Return the fold's statistics with embedding ids in the order of ``panel``, which may have other tickers.

        Raises BadInput where its features differ.
        """
        if panel.feature_names != self.card.features:
            raise BadInput(_other_features(panel, self.card))
        ids: Any = {f"{name}_ids": self._ids(panel, name) for name in VOCABULARIES}
        return replace(self.trained.stats, **ids)

    @cached_property
    def _networks(self) -> list[ForecastModel]:
        return self.trained.networks()

    def _columns(self, panel: PanelTensors) -> Tensor | slice:
        if panel.feature_names == self.card.features:
            return slice(None)
        if set(self.card.features) - set(panel.feature_names):
            raise BadInput(_other_features(panel, self.card))
        return panel.columns(self.card.features)

    def _ids(self, panel: PanelTensors, name: str) -> Tensor:
        vocabulary = self.vocabularies[name]
        return torch.tensor([vocabulary.get(entry, UNKNOWN_ID) for entry in getattr(panel, f"{name}s")])


def vocabularies(panel: PanelTensors, stats: FoldStats) -> dict[str, dict[str, int]]:
    """Return the embedding ids of a fold by ticker, sector and exchange, without those that map to unknown."""
    return {
        name: {entry: i for entry, i in zip(getattr(panel, f"{name}s"), getattr(stats, f"{name}_ids").tolist(), strict=True)
               if i != UNKNOWN_ID}
        for name in VOCABULARIES
    }  # fmt: skip


def _vocabulary_ids(card: Card) -> dict[str, Any]:
    """Return embedding ids in the order of the vocabularies, by field of FoldStats: to build networks without a panel."""
    return {f"{name}_ids": torch.arange(1, len(card.vocabularies[name]) + 1) for name in VOCABULARIES}


def by_member(flat: Mapping[str, Tensor], *, count: int) -> list[dict[str, Tensor]]:
    """Split weights named ``<k>.<parameter>`` into those of ``count`` members."""
    weights: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name, tensor in flat.items():
        place, _, parameter = name.partition(".")
        weights[int(place)][parameter] = tensor
    return weights


def feature_hash(names: Sequence[str], spec: FeatureSpec) -> str:
    """Digest the features' names, in order, and their settings, which not every name shows."""
    return sha256_text(canonical_json([list(names), spec.model_dump(mode="json")]))[:16]


def _stats(fitted: Mapping[str, Tensor], card: Card) -> FoldStats:
    fields = {name: fitted[name] for name in _FITTED} | _vocabulary_ids(card)
    return FoldStats(**fields, unconditional_mean=card.unconditional_mean)


def _fitted(stats: FoldStats) -> dict[str, Tensor]:
    return {name: getattr(stats, name).contiguous() for name in _FITTED}


def flat_weights(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the weights of all members in one mapping, named ``<k>.<parameter>``."""
    return {f"{k}.{name}": tensor.contiguous() for k, of in enumerate(weights) for name, tensor in of.items()}


def _named(given: Inputs) -> Iterator[tuple[str, Tensor]]:
    return ((name, tensor) for name, tensor in zip(Inputs._fields, given, strict=True) if tensor is not None)


def _example(card: Card) -> Inputs:
    """Return inputs to trace with; any values will do, since the module has no value-dependent branch."""
    count, sessions, reads = 3, max(card.history_sessions, card.lookback), card.reads
    edges = torch.zeros(count, card.lookback, reads.graph.neighbours) if reads.graph else None
    return Inputs(
        features=torch.zeros(count, sessions, len(card.features)),
        complete=torch.full((count,), sessions),
        scale=torch.full((count,), 0.01),
        ids=torch.zeros(count, len(VOCABULARIES), dtype=torch.int64),
        cell=torch.arange(count),
        log_factor=torch.zeros(count, len(HORIZONS), len(QUANTILES), dtype=torch.float64),
        neighbours=None if edges is None else torch.zeros(*edges.shape, len(reads.messages)),
        edges=edges,
        quoted=torch.ones(count, sessions, dtype=torch.bool) if reads.support_sessions else None,
    )


def sessions_needed(lookback: int, members: Sequence[Member]) -> int:
    """Return the sessions of features that one forecast needs: for its window, the volatility forecast and adaptation."""
    return max(lookback, history_sessions(), *(member.spec.reads.support_sessions + 1 for member in members))


def _other_features(panel: PanelTensors, card: Card) -> str:
    missing = sorted(set(card.features) - set(panel.feature_names))
    extra = sorted(set(panel.feature_names) - set(card.features))
    return (
        f"the panel's features are not those that fold {card.fold} was trained on (missing {missing}, new {extra}"
        + ("" if missing or extra else ", the same names with other settings")
        + "); run the walk-forward again"
    )


@contextmanager
def _tracing() -> Iterator[None]:
    """Silence torch's two warnings about tracing itself: that it is deprecated, and that constants are registered."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated", category=DeprecationWarning)
        constants = "torch.tensor results are registered as constants"
        warnings.filterwarnings("ignore", message=constants, category=torch.jit.TracerWarning)
        yield
