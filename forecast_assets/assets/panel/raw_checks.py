"""What a new raw panel is checked for: is it the panel of this store, long enough, and with few invalid rows."""

import datetime as dt
import math
from collections.abc import Mapping

import polars as pl

from forecast_assets.assets.framework.output import Check
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.lineage import SAME_PANEL_SHARE, rename, rows_kept
from forecast_assets.core.panel.reasons import frequent_reasons
from forecast_assets.core.panel.sessions import ending_calendars, ending_sentence
from forecast_assets.core.specs import FoldSpec
from forecast_assets.resources.source import InputFiles
from forecast_assets.store.artefact_files import PARTITIONS, TABLE
from forecast_assets.store.versions import Version

CALENDARS_GO_ON = "calendars_go_on"

FEW_INVALID_ROWS = "few_invalid_rows"
"""The check of the raw panel that nothing is made from where it fails; its rows and flags can be looked at all the same."""


def require_few_invalid_rows(raw_panel: Version) -> None:
    """Raise BadInput where too many rows of the raw panel were invalid."""
    check = raw_panel.manifest.facts["checks"][FEW_INVALID_ROWS]
    if not check["passed"]:
        raise BadInput(check["description"])


def require_same_panel(
    in_use: Version, table: pl.LazyFrame, files: InputFiles, *, renames: Mapping[str, str], data_root: str
) -> None:
    """Raise BadInput, with the ways out, where ``table`` is another panel than the one in use."""
    rows = rows_kept(pl.scan_parquet(in_use.path(TABLE)), table, renames=renames)
    if rows.same_panel:
        return
    root, names = data_root.rstrip("/"), [file.stem for file in files.files]
    facts = in_use.manifest.facts
    raise BadInput(
        f"this is another panel than the one in {root}, whose years and nights would be mixed with its own: of "
        f"{rows.before} rows up to its last day that the panel there has ({facts['tickers']} tickers, "
        f"{facts['first_session']} to {facts['last_session']}) it has {rows.kept}, and {SAME_PANEL_SHARE:.0%} would make it "
        f"the same; give it a data root of its own, such as --data-dir data/{names[0] if len(names) == 1 else 'new'}, or "
        f"move {root}/store, {root}/reports and {root}/ledger away (tickers that were only renamed: panel.renames)"
    )


def exchanges_published(in_use: Version | None, renames: Mapping[str, str]) -> dict[str, str]:
    """Return the exchange of each ticker of the panel in use, under its latest name; empty without one."""
    if in_use is None:
        return {}
    found = rename(pl.scan_parquet(in_use.path(TABLE)).select("ticker", "exchange"), renames).unique()
    return dict(found.collect(engine="streaming").sort("ticker", "exchange").iter_rows())


def kept_test_year(in_use: Version | None, folds: FoldSpec, *, first: dt.date) -> int | None:
    """Return the first test year of the panel in use, None where it was made by other settings or begins later."""
    if in_use is None or in_use.manifest.config["folds"] != folds.model_dump(mode="json"):
        return None
    if str(first) < in_use.manifest.facts["first_session"]:
        return None
    kept: int | None = in_use.json(PARTITIONS)["first_test_year"]
    return kept


def few_invalid_rows(rejected: pl.DataFrame, invalid: int, read: int, *, limit: float) -> Check:
    """Return whether few enough rows are invalid; if not, the most frequent reasons, an example each, and what to type."""
    share = invalid / max(read, 1)
    found = f"{invalid:,} of {read:,} rows ({share:.1%}) are invalid; {limit:.0%} is the limit"
    if share <= limit:
        return Check(True, found)
    allowed = math.ceil(share * 100) / 100
    return Check(
        False,
        f"{found} (panel.max_invalid_share). The most frequent reasons: {frequent_reasons(rejected)}. "
        "See all with `forecast-assets export rejected_rows rejected.csv` (same --profile and --data-dir); correct the "
        f"file, or accept them with --set panel.max_invalid_share={allowed}",
    )


def calendars_go_on(exchanges: pl.Series, last: dt.date, *, days: int) -> Check:
    """Return whether the calendars of the panel's exchanges go on for so many days after its last one."""
    ending = ending_calendars(exchanges.drop_nulls().unique(), by=last + dt.timedelta(days=days))
    return Check(not ending, ending_sentence(ending) if ending else "every calendar goes on", warns=True)


def has_a_test_year(first: dt.date, last: dt.date, first_test: int | None, history: int, folds: FoldSpec) -> Check:
    """Return whether the panel is long enough for a first test year, and if not how long it has to be."""
    if first_test is not None and last.year >= first_test:
        return Check(True, f"the first test year is {first_test}, with {history} sessions before it")
    if first_test is not None:
        return Check(False, f"the panel ends on {last}, before its first test year {first_test}", warns=True)
    return Check(
        False,
        f"the history is too short for a test year: from {first} to {last} it has {history} sessions before its last year, "
        f"and a test year needs {folds.min_history_sessions} before it (folds.min_history_sessions); give earlier prices or "
        "lower it together with windows.lookback and folds.validation_sessions",
        warns=True,
    )
