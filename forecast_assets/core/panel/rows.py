"""Type the rows of an input file, each with the reason why it is not usable, if there is one."""

from dataclasses import dataclass, field

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.delivery import Delivery
from forecast_assets.core.panel.adapters.layouts import OPTIONS, Layout
from forecast_assets.core.panel.dates import FIRST_YEAR, LAST_YEAR, PLAIN, find_notation, parse_dates
from forecast_assets.core.panel.dates import Notation as DateNotation
from forecast_assets.core.panel.exchange_names import add_exchange
from forecast_assets.core.panel.numbers import Notation, Style, check_notation, find_style, parse_numbers
from forecast_assets.core.specs import PanelSpec

KEY = ("ticker", "date")
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")
COLUMNS = ("date", "ticker", "exchange", "sector", *NUMBERS)


LONGEST_TICKER = 40  # what the service takes too
TICKER = r"^[A-Za-z0-9^.*!]([A-Za-z0-9^.*!&=/:+_ -]*[A-Za-z0-9^.*!=+_-])?$"
"""Letters, digits and the marks that feeds put into tickers (BRK.B, BF/B, M&M.NS, ^GSPC, EURUSD=X, ES1!)."""


SHARES = ("EQ", "BE", "BZ", "SM", "ST")
"""Series of the National Stock Exchange of India that are shares; others are bonds, warrants, rights and the like."""
WHOLE_PRICES = frozenset({"XKRX", "XIDX"})
"""Exchanges whose prices have no decimals, so that a comma in one marks thousands."""
FEWEST_STEPS, WILD_STEP, WILD_SHARE = 5, 0.01, 0.2
"""Days, |log| and share of the days of changes of adjusted close / close beyond which it is no adjustment."""
CENT = 0.01
FRACTIONS = frozenset({"24/7", "24/5"})
"""Calendars of instruments whose volumes have decimals."""


@dataclass
class Typing:
    """How the rows of one file are typed, found from its first block."""

    spec: PanelSpec
    layout: Layout
    dates: tuple[DateNotation, ...]
    style: Style
    prices: Notation = field(default_factory=Notation)
    volumes: Notation = field(default_factory=Notation)

    @classmethod
    def of(cls, first: Delivery, *, layout: Layout, spec: PanelSpec) -> "Typing":
        """Return it for a file that begins with ``first``. Raises BadInput where its dates have two readings."""
        values = first.values
        dates = find_notation(values["date"], file=first.file, declared=spec.date_format)
        exchanges = add_exchange(_texts(values), spec=spec)["exchange"].unique()
        style = find_style(
            [values[name] for name in PRICES if name in values.columns],
            values["volume"] if "volume" in values.columns else None,
            decimal=spec.decimal,
            whole_prices=set(exchanges) <= WHOLE_PRICES,
        )
        return cls(spec, layout, dates, style)

    def check(self, file: str) -> None:
        """Raise BadInput where the numbers that were read have two readings."""
        check_notation(file, prices=self.prices, volumes=self.volumes, style=self.style)

    def _numbers(self, values: pl.DataFrame, *, fractions: pl.Series) -> dict[str, pl.Series]:
        """Return the numbers of each field, and as ``unread_`` fields where there is something that is none."""
        found = {}
        for name in (*NUMBERS, "unadjusted_close"):
            empty = pl.Series(name, [None] * values.height, dtype=pl.Float64)
            column = values[name] if name in values.columns else empty
            if name != "volume":
                read = parse_numbers(column, whole=False, notation=self.prices, style=self.style)
            else:
                # A volume of coins has decimals, which tell nothing about the notation of whole ones.
                some = fractions.any() and column.dtype == pl.String
                counted = Notation() if some else self.volumes
                read = parse_numbers(column, whole=True, notation=counted, style=self.style)
                if some:
                    parse_numbers(column.filter(~fractions), whole=True, notation=self.volumes, style=self.style)
            found[name], found[f"unread_{name}"] = read
        return found


def type_rows(delivery: Delivery, typing: Typing) -> pl.DataFrame:
    """Return ``entry``, the raw panel's columns, ``assigned_by``, ``reason`` and ``class`` of a file's well-formed rows.

    A null reason is a usable row. A row is invalid when its date or ticker is missing, its exchange is one that nobody
    knows, a price is missing, non-numeric, not finite or not above zero, or its volume is negative. It is outside what a
    panel holds when its date lies before all calendars, or it is of another instrument. The exchange is what the name
    says (see ``exchange_names``), null where it says none.
    """
    values, spec = delivery.values, typing.spec
    texts = add_exchange(_texts(values), spec=spec)
    dates = parse_dates(values["date"], typing.dates, exchanges=texts["exchange"])
    fractions = texts["exchange"].is_in(list(FRACTIONS)).fill_null(False)
    numbers = pl.DataFrame(typing._numbers(values, fractions=fractions))
    frame = pl.concat([values.select("entry"), dates.to_frame(), texts, numbers], how="horizontal")
    if "unadjusted_close" in values.columns:
        factor = pl.col("close") / pl.when(pl.col("unadjusted_close") > 0).then(pl.col("unadjusted_close"))
        _refuse_wild_factor(frame.select("ticker", "date", "close", factor=factor), file=delivery.file)
        frame = frame.with_columns(pl.col("open", "high", "low") * factor)
    if spec.one_price and "open" not in values.columns:
        frame = frame.with_columns(open=pl.col("close"))
    outside = _outside(typing.layout)
    frame = frame.with_columns(reason=pl.coalesce(_first_reason(typing), outside), early=outside.is_not_null())
    kind = (
        pl.when(pl.col("reason").is_null())
        .then(None)
        .when("early")
        .then(pl.lit("outside"))
        .otherwise(pl.lit("invalid"))
    )
    return frame.select("entry", *COLUMNS, "assigned_by", "reason", kind.alias("class"))


def _refuse_wild_factor(rows: pl.DataFrame, *, file: str) -> None:
    """Raise BadInput where adjusted close / close changes on many days: then one of the two columns is something else."""
    step = (pl.col("factor") / pl.col("factor").shift(1)).log().abs().over("ticker")
    steps = rows.drop_nulls().sort("ticker", "date").select("close", step=step).drop_nulls()
    # An adjusted close of some cents, written in cents, moves its factor by rounding alone.
    wild = steps.filter(pl.col("step") > WILD_STEP + 2 * CENT / pl.col("close"))
    if steps.height >= FEWEST_STEPS and wild.height > WILD_SHARE * steps.height:
        raise BadInput(
            f"{file}: its adjusted close is no close times a factor that changes at splits and dividends alone; say which "
            f"columns are close and adjusted close, in {OPTIONS}: columns: {{close: NAME, adj_close: NAME}}"
        )


def _texts(values: pl.DataFrame) -> pl.DataFrame:
    """Return ticker, sector, exchange and series as stripped text, null where empty or absent."""
    found = {}
    for name in ("ticker", "sector", "exchange", "series"):
        absent = pl.Series([None] * values.height, dtype=pl.String)
        text = (values[name].cast(pl.String) if name in values.columns else absent).str.strip_chars()
        found[name] = text.set((text == "").fill_null(False), None).alias(name)
    return pl.DataFrame(found)


def _outside(layout: Layout) -> pl.Expr:
    """Return why a row is not of what a panel holds, or null."""
    reasons = [
        pl.when(pl.col("date").dt.year() < FIRST_YEAR).then(
            pl.format("{} is before {}, where the calendars of exchanges begin", "date", pl.lit(FIRST_YEAR))
        )
    ]
    if layout.shares_only:
        other = ~pl.col("series").str.to_uppercase().is_in(SHARES)
        reasons.append(pl.when(other.fill_null(False)).then(pl.format("series {} is no share", "series")))
    return pl.coalesce(reasons)


def _first_reason(typing: Typing) -> pl.Expr:
    written = "an ISO date (YYYY-MM-DD)" if typing.dates == PLAIN else f"written like {typing.dates[-1].code}"
    reasons = [
        pl.when(pl.col("date").is_null()).then(pl.lit(f"the date is missing or not {written}")),
        pl.when(pl.col("date").dt.year() > LAST_YEAR).then(pl.lit(f"the date is after {LAST_YEAR}")),
        pl.when(pl.col("ticker").is_null()).then(pl.lit("the ticker is missing")),
        pl.when(pl.col("ticker").str.len_chars() > LONGEST_TICKER).then(
            pl.lit(f"the ticker is longer than {LONGEST_TICKER} characters")
        ),
        pl.when(~pl.col("ticker").str.contains(TICKER)).then(
            pl.lit("the ticker holds a character that tickers do not have")
        ),
        pl.col("exchange_problem"),
    ]
    if "unadjusted_close" in typing.layout.fields:
        quoted = pl.col("unadjusted_close")
        reasons.append(pl.when(~(quoted > 0).fill_null(False)).then(pl.lit("the unadjusted close is missing")))
    for name in NUMBERS:
        column = pl.col(name)
        reasons.append(pl.when(pl.col(f"unread_{name}")).then(pl.lit(f"{name} is not a number")))
        reasons.append(pl.when(column.is_infinite()).then(pl.lit(f"{name} is not finite")))
        if name in ("open", "close"):
            reasons.append(pl.when(column.is_null()).then(pl.lit(f"{name} is missing")))
        if name == "volume":
            reasons.append(pl.when(column < 0).then(pl.format("volume is {}, below zero", column)))
        else:
            reasons.append(pl.when(column <= 0).then(pl.format("{} is {}, not above zero", pl.lit(name), column)))
    return pl.coalesce(reasons)
