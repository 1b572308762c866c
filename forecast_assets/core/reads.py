"""What a network reads, declared once by its settings: features, neighbours, outcomes of the past."""

from collections.abc import Sequence
from dataclasses import dataclass

COVARIATE = "x_"
"""What the names of features begin with that are made from the user's own series (``core.panel.covariates``)."""


def is_covariate(name: str) -> bool:
    """Return whether a feature is made from the user's own series: its value may be missing in a row."""
    return name.startswith(COVARIATE)


@dataclass(frozen=True)
class GraphSettings:
    """Settings of the correlation graph of ``core.windows.graph``."""

    window_sessions: int
    min_pairs: int
    neighbours: int


@dataclass(frozen=True)
class Reads:
    """What a forecast is made from."""

    required: tuple[str, ...]  # features of the window's rows without which there is no forecast
    optional: tuple[str, ...] = ()  # further ones, which may be missing in a row
    messages: tuple[str, ...] = ()  # features of each row's neighbours in ``graph``
    graph: GraphSettings | None = None
    support_sessions: int = 0  # sessions before the forecast origin whose outcomes are read, as many as there are

    @property
    def complete(self) -> tuple[str, ...]:
        """The required features that have a value in every complete row: all but the user's own series."""
        return tuple(name for name in self.required if not is_covariate(name))

    @property
    def columns(self) -> tuple[str, ...]:
        """All features of the window's rows, in the order of ``Batch.rows``."""
        return (*self.required, *self.optional)


def union(each: Sequence[Reads]) -> Reads:
    """Return what several networks read together, in the order of their first reader.

    Raises ValueError where they read different graphs.
    """
    graphs = {reads.graph for reads in each if reads.graph is not None}
    if len(graphs) > 1:
        raise ValueError("the members read different graphs; an ensemble has room for one")
    return Reads(
        required=tuple(dict.fromkeys(name for reads in each for name in reads.required)),
        optional=tuple(dict.fromkeys(name for reads in each for name in reads.optional)),
        messages=tuple(dict.fromkeys(name for reads in each for name in reads.messages)),
        graph=next(iter(graphs), None),
        support_sessions=max(reads.support_sessions for reads in each),
    )
