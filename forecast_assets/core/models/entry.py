"""What the catalogue holds of a model: its name and texts, its settings, and how it is built or fitted.

Imports neither torch nor the catalogue, so that a file with a model of one's own can import it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from forecast_assets.core.reads import Reads
from forecast_assets.core.specs import Spec

if TYPE_CHECKING:
    from forecast_assets.core.models.base import ForecastModel
    from forecast_assets.core.models.protocol import Estimator
    from forecast_assets.core.windows.stats import FoldStats

MODELS_PACKAGE = "forecast_assets.core.models"


class ModelSpec(Spec):
    """Settings that every model has."""

    fits: int = Field(default=1, ge=1, description="independent fits (seeds)")
    seed: int = Field(default=0, ge=0, description="seed of the first fit; the others follow")

    @property
    def reads(self) -> Reads:
        """What the model reads beside the summary: by default a return, to count sessions by."""
        return Reads(("log_return",))

    @property
    def most_epochs(self) -> int:
        """The epochs of a fit at most; an estimator is fitted once."""
        return 1

    @property
    def attempt(self) -> str:
        """What a checkpoint of a fit depends on beside the seed, and ``with_less_memory`` changes."""
        return ""

    def with_less_memory(self) -> "Self | None":
        """Return settings that need about half the memory; None where there are none."""
        return None

    def retrained_by(self, settings: Mapping[str, Any]) -> Self:
        """Return the settings of a nightly retraining: the same, where it is not our loop that trains."""
        return self

    @classmethod
    def published(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings that a manifest or a bundle holds."""
        return cls.model_validate(dict(settings))


@dataclass(frozen=True)
class Step:
    """A step of the ablation, fixed in advance: the model that an entry is held against, and what it adds to it."""

    against: str
    adds: str


@dataclass(frozen=True)
class Model:
    """A model, in one of three forms.

    - A network alone: our own loop trains it.
    - An estimator alone: anything with ``fit`` and ``predict`` (``protocol``), which cannot be served.
    - Both: the estimator fits, and the network forecasts with the weights that it gives.
    """

    experiment: str
    """Its name in the ablation and on the command line of ``forecast_assets.train``: ``B3``."""
    key: str
    """Its asset key and its section of the settings: ``b3_tft_sector``."""
    title: str
    """What readers see."""
    spec: type[ModelSpec]
    """The type of its settings."""
    description: str
    """Of its asset."""
    family: str = field(default="", kw_only=True)
    """The models that it shares defaults with, if any: a section of the settings and a folder of ``conf/model``."""
    constructor: str | Callable[..., Any] | None = None
    """Of the network: ``module:Class`` in ``core/models``, or a class; called as ``build`` does."""
    estimator: "str | Callable[[Any], Estimator] | None" = None
    """What fits it, if our loop does not: ``module:Class`` in ``core/models``, or a class; called with its settings."""
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "torch"
    """The library that the Dagster UI shows."""
    step: Step | None = None
    is_baseline: bool = False
    """Whether the others are compared with it, and an ensemble may not have it as a member."""
    file: str = ""
    """The file that it was loaded from, if it is not one of ours."""
    digest: str = ""
    """Of that file's content."""

    def build(self, spec: ModelSpec, *, stats: "FoldStats", lookback: int) -> "ForecastModel":
        """Return the network with its first, random weights (from torch's global generator)."""
        if self.constructor is None:
            raise ValueError(f"{self.key}: has no network")
        made: ForecastModel = _resolved(self.constructor)(spec, stats=stats, lookback=lookback, **self.options)
        return made

    def make_estimator(self, spec: ModelSpec) -> "Estimator":
        """Return the estimator, not fitted yet."""
        if self.estimator is None:
            raise ValueError(f"{self.key}: is trained by our own loop, not by an estimator")
        made: Estimator = _resolved(self.estimator)(spec)
        return made

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of ours that it is built and fitted by."""
        ours = (name for name in (self.constructor, self.estimator) if isinstance(name, str))
        return tuple(f"{MODELS_PACKAGE}.{name.partition(':')[0]}" for name in ours)

    @property
    def is_candidate(self) -> bool:
        """Whether an ensemble may have it as a member: each has to be served."""
        return self.constructor is not None and not self.is_baseline

    @property
    def why_not_searched(self) -> str:
        """Why the sweep does not search its settings; empty where it can."""
        if self.estimator is not None:
            return "The sweep does not search its settings, which are not those of the networks' training."
        return "The sweep leaves the baseline as it is." if self.is_baseline else ""

    @property
    def limits(self) -> tuple[str, ...]:
        """What it cannot do for its form, and why: sentences."""
        if self.estimator is None:
            return ()
        kept = "A nightly challenger keeps it as it is, since only our own training goes on from given weights."
        alone = "It is in every table and in no ensemble, which has to be served: only a network can be."
        return (alone if self.constructor is None else kept, self.why_not_searched)

    @property
    def about(self) -> str:
        """The description of its asset, with its limits."""
        return " ".join((self.description, *self.limits))


def _resolved(name: str | Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(name, str):
        return name
    found: Callable[..., Any] = resolve_name(f"{MODELS_PACKAGE}.{name}")
    return found
