"""Recognise columns by their names: which field of the raw panel each one holds, and in which of a pair of bases."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from forecast_assets.core.errors import BadInput

Spellings = Mapping[str, Sequence[str]]
"""Field -> accepted spellings of its column, the best one first; compared without case, spaces and marks."""

FIRST_OF = ("ticker", "exchange", "sector", "close", "volume", "date")
"""Fields of which a file may have several columns; the best spelling is taken. Of the others that is an error."""
PRICE_FIELDS = ("open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close")
LESSER = frozenset(
    ("close/last", "last price", "last", "price", "ltp", "px last", "zuletzt", "último", "ultimo", "dernier", "tickvol")
)
"""Names of a last trade or a number of ticks, which may stand beside a close or a volume; others are two of one thing."""
LETTERS = {"t": "timestamp", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "S": "symbol"}
UNNAMED = ("", "index", "unnamed: 0", "index level 0")


@lru_cache(maxsize=4096)  # the same spellings for each of many small files
def plain(name: str) -> str:
    """Return a column's name in lower case, with single spaces for marks and between the words of adjClose.

    The number before a name like ``1. open``, as Alpha Vantage gives them, is left out.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"^\d+[ab]?\. ", "", name.strip().strip("<>")))
    return " ".join(re.sub(r"[_*#]|\.(?= )", " ", words).lower().rstrip(".:").split())


def _spelt_out(names: Sequence[str]) -> Sequence[str]:
    """Return names in words where they are the letters of bars in JSON: t, o, h, l, c, together."""
    return [LETTERS.get(name, name) for name in names] if set("tohlc") <= set(names) else names


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read: field -> place."""

    places: Mapping[str, int]
    names: Sequence[str]

    def spelling(self, field: str) -> str:
        """Return how the file spells the column of a field."""
        return self.names[self.places[field]]


def fields_of(
    names: Sequence[str], spellings: Spellings, *, file: str, declared: Mapping[str, str] | None = None
) -> Columns:
    """Return the fields that the columns ``names`` hold; a column that is ``declared`` for a field is taken before others.

    Raises BadInput where two columns are one field alike.
    """
    found: dict[str, int] = {}
    words = [plain(name) for name in _spelt_out(names)]
    chosen = {field: (name,) for field, name in (declared or {}).items() if plain(name) in words}
    for field, accepted in {**spellings, **chosen}.items():
        order = {plain(spelling): rank for rank, spelling in reversed(list(enumerate(accepted)))}
        matches = [place for place, word in enumerate(words) if word in order]
        if not matches:
            continue
        matches.sort(key=lambda place: order[words[place]])
        alike = [words[place] for place in matches[1:] if field not in FIRST_OF or words[place] == words[matches[0]]]
        if field in ("close", "volume"):
            alike += [words[place] for place in matches[1:] if words[place] not in LESSER]
        if alike:
            both = [names[place] for place in matches]
            raise BadInput(
                f"{file}: columns {both} all mean {field}; keep one of them, or name it: columns: {{{field}: {both[0]}}}"
            )
        found[field] = matches[0]
    return Columns(found, list(names))


def is_field(name: str, spellings: Spellings) -> str | None:
    """Return the field that a column of this name holds; None where there is none."""
    word = plain(name)
    return next((field for field, accepted in spellings.items() if word in map(plain, accepted)), None)


def known_fields(names: Sequence[str], spellings: Spellings) -> set[str]:
    """Return the fields that columns of these names hold, however often."""
    known = {plain(spelling): field for field, accepted in spellings.items() for spelling in accepted}
    return {known[word] for name in _spelt_out(names) if (word := plain(name)) in known}


def is_header(columns: Columns, *, dated: bool = False) -> bool:
    """Whether names are those of a table of prices: a day (unless ``dated`` elsewhere) and a price."""
    dated = dated or "date" in columns.places or plain(columns.names[0]) in UNNAMED
    return dated and any(field in columns.places for field in PRICE_FIELDS)
