"""The latent announcement calendar: inferred announcements, and those expected ahead, per ticker and session."""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from forecast_assets.assets.framework.causality_checks import CAUSAL, causal_checks
from forecast_assets.assets.framework.column_lineage import announcement_columns
from forecast_assets.assets.framework.inputs import OutputFolder, Previous, PreviousVersion
from forecast_assets.assets.framework.output import StageOutput, write_table
from forecast_assets.assets.framework.stage import stage
from forecast_assets.store.artefact_files import (
    ANNOUNCEMENT_PARAMETERS,
    CUT_ROWS,
    CUT_STATE,
    CUT_TAIL,
    INFERRED,
    LATEST,
    PLOT_PREFIX,
    TABLE,
)
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecast_assets.core.panel.announcements.build import Announcements, Cut
    from forecast_assets.core.panel.build import AnnouncementRows
    from forecast_assets.core.panel.leakage_checks import LeakageCheck

LATEST_FROM = "latest_from"  # day of the first row in the file LATEST
FIGURE_DAYS = 3 * 365  # of prices that are drawn
QUOTED = (
    "date",
    "ticker",
    "exchange",
    "sector",
    "region",
    "segment",
    "is_member",
    "open",
    "high",
    "low",
    "close",
    "volume",
)


@stage(group="panel", kinds={"numpy"}, checks=CAUSAL)
def announcements(calendar_panel: Version, previous: Previous, folder: OutputFolder) -> StageOutput:
    """Quarterly announcements inferred from gaps, returns and volume, and those expected ahead, as known at each close.

    New rows at the panel's end continue what was made before; whatever else changes, everything is computed again.
    """
    from forecast_assets.core.panel.announcements.saved import parameters_record, state_bytes

    done = continue_earlier(calendar_panel, previous, folder) if previous else None
    extended = done is not None
    done = done or compute_anew(calendar_panel, folder)
    cut = done.found.cut
    drawn = {} if previous is None or not extended else kept_figures(previous.version, weekday=cut.weekday)
    return StageOutput(
        files={
            **drawn,
            INFERRED: done.events,
            ANNOUNCEMENT_PARAMETERS: parameters_record(cut) | {LATEST_FROM: done.latest_from.isoformat()},
            CUT_STATE: state_bytes(cut),
            CUT_TAIL: cut.tail,
            CUT_ROWS: cut.recent,
        },
        facts={
            "announcements": done.events.height,
            "years_fitted": len(cut.schedule),
            "extended": extended,
        },
        plots={} if drawn else draw(done, calendar_panel),
        checks=causal_checks(done.checks),
        slices=done.slices,
        columns=announcement_columns(),
    )


def kept_figures(version: Version, *, weekday: int) -> dict[str, bytes]:
    """Return the figures of an earlier version with the same cut: they are drawn again only when it moves."""
    if version.json(ANNOUNCEMENT_PARAMETERS)["weekday"] != weekday:
        return {}
    return {name: version.path(name).read_bytes() for name in version.manifest.files if name.startswith(PLOT_PREFIX)}


def draw(done: "Done", calendar_panel: Version) -> "dict[str, Figure]":
    """Draw the figures, those of a ticker for the most traded one."""
    from forecast_assets.core.report.announcement_figures import announcement_figures, most_traded

    sessions = pl.scan_parquet(calendar_panel.path(TABLE))
    last = done.latest["date"].max()
    if not isinstance(last, dt.date):
        return {}
    recent = sessions.filter(pl.col("date") > last - dt.timedelta(days=FIGURE_DAYS))
    ticker = most_traded(recent.select("date", "ticker", "exchange", "close", "volume").collect())
    prices = recent.filter(pl.col("ticker") == ticker).select("date", "close").collect()
    rows = done.latest.filter(pl.col("ticker") == ticker)
    return dict(announcement_figures(ticker, prices=prices, rows=rows, events=done.events))


@dataclass(frozen=True)
class Done:
    """What was computed; the table is written."""

    found: "Announcements"
    latest: pl.DataFrame  # rows of the table from ``latest_from`` on
    events: pl.DataFrame
    latest_from: dt.date
    slices: dict[str, str]
    checks: "dict[str, LeakageCheck]"


class Continued(NamedTuple):
    """Where an earlier version was cut, and the last day up to which the calendar panel's quotes are the same."""

    cut: "Cut"
    until: dt.date


def announcement_rows(version: Version) -> "AnnouncementRows":
    """Return the rows of a version of the announcements."""
    from forecast_assets.core.panel.build import AnnouncementRows

    day = dt.date.fromisoformat(version.json(ANNOUNCEMENT_PARAMETERS)[LATEST_FROM])
    return AnnouncementRows(pl.scan_parquet(version.path(TABLE)), pl.scan_parquet(version.path(LATEST)), day)


def compute_anew(calendar_panel: Version, folder: OutputFolder) -> Done:
    """Infer all announcements, and write the table: rows of the year of the cut and later apart."""
    from forecast_assets.core.panel.announcements.build import Announcements
    from forecast_assets.core.panel.announcements.leakage_checks import announcement_leakage
    from forecast_assets.core.panel.announcements.weekdays import date_of
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.parts import ticker_parts

    sessions = pl.scan_parquet(calendar_panel.path(TABLE))
    found = Announcements(lambda: ticker_parts(sessions))
    # A week before: the Sunday of a week from Sunday to Thursday counts as the Monday after it.
    latest_from = dt.date((date_of(found.days.first + found.last_cut) - dt.timedelta(days=7)).year, 1, 1)
    digests, latest = YearDigests(), []

    def earlier_rows() -> Iterator[pl.DataFrame]:
        is_late = pl.col("date") >= latest_from
        for part in digests.watch(found.parts()):
            latest.append(part.filter(is_late))
            yield part.filter(~is_late)

    write_table(earlier_rows(), folder / TABLE)
    write_table(latest, folder / LATEST)
    checks = announcement_leakage(sessions)
    return Done(found, pl.concat(latest), found.events, latest_from, digests.digests(), checks)


def continue_earlier(calendar_panel: Version, previous: PreviousVersion, folder: OutputFolder) -> Done | None:
    """Go on from the previous version's cut and write the table; None where everything has to be computed again."""
    from forecast_assets.core.panel.announcements.build import Announcements, joined_events
    from forecast_assets.core.panel.announcements.leakage_checks import continued_leakage
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.parts import ticker_parts

    begins = continuable(previous, calendar_panel)
    if begins is None:
        return None
    cut, version = begins.cut, previous.version
    sessions = pl.scan_parquet(calendar_panel.path(TABLE)).filter(pl.col("date") >= cut.reads_from).collect().rechunk()
    found = Announcements(lambda: ticker_parts(sessions.lazy()), cut)
    if found.last_year != cut.year:
        return None
    before = announcement_rows(version)
    old, new = before.latest.collect(), pl.concat(found.parts())
    shutil.copyfile(version.path(TABLE), folder / TABLE)
    latest = replaced_rows(old, new, since=cut.date)
    write_table([latest], folder / LATEST)
    digests = YearDigests()
    digests.add(latest)
    kept = {year: digest for year, digest in version.manifest.slices.items() if int(year) < before.day.year}
    events = joined_events(pl.read_parquet(version.path(INFERRED)), found.events, cut)
    checks = continued_leakage(sessions.lazy(), cut, until=begins.until, new=new, old=old)
    return Done(found, latest, events, before.day, kept | digests.digests(), checks)


def continuable(previous: PreviousVersion, calendar_panel: Version) -> Continued | None:
    """Return where to go on from the previous version, if the calendar panel is the same up to its cut."""
    from forecast_assets.core.panel.announcements.saved import read_cut

    version, made_from = previous.version, previous.parents.get("calendar_panel")
    if made_from is None:  # it is gone from the store
        return None
    cut = read_cut(
        version.json(ANNOUNCEMENT_PARAMETERS),
        version.path(CUT_STATE).read_bytes(),
        tail=pl.read_parquet(version.path(CUT_TAIL)),
        recent=pl.read_parquet(version.path(CUT_ROWS)),
    )
    if cut.weekday == 0:
        return None
    old, new = (
        {y: d for y, d in v.manifest.slices.items() if int(y) < cut.date.year} for v in (made_from, calendar_panel)
    )
    if old != new:
        return None
    this_year = pl.col("date") >= dt.date(cut.date.year, 1, 1)
    before, now = (pl.scan_parquet(v.path(TABLE)).filter(this_year).collect() for v in (made_from, calendar_panel))
    early = pl.col("date") < cut.date
    if not before.filter(early).equals(now.filter(early)):
        return None
    until = same_until(before.filter(~early), now.filter(~early))
    return Continued(cut, until) if until >= cut.date else None


def same_until(before: pl.DataFrame, now: pl.DataFrame) -> dt.date:
    """Return the last day of ``before`` up to which both calendar panels have the same quotes."""
    last: dt.date = before.select(pl.max("date")).item()
    was, is_now = (rows.filter(~pl.col("is_missing"), pl.col("date") <= last).select(QUOTED) for rows in (before, now))
    changed = [
        left.join(right, on=QUOTED, how="anti", nulls_equal=True) for left, right in ((was, is_now), (is_now, was))
    ]
    first = pl.concat(changed)["date"].min()
    if not isinstance(first, dt.date):
        return last
    return before.select(pl.col("date").filter(pl.col("date") < first).max()).item() or first - dt.timedelta(days=1)


def replaced_rows(old: pl.DataFrame, new: pl.DataFrame, *, since: dt.date) -> pl.DataFrame:
    """Return the ``old`` rows before ``since``, or before their ticker's first new one, and the ``new`` ones."""
    first = new.group_by("ticker").agg(first=pl.min("date"))
    joined = old.join(first, on="ticker", how="left", maintain_order="left")
    kept = joined.filter(pl.col("date") < pl.min_horizontal(pl.col("first"), pl.lit(since))).drop("first")
    return pl.concat([kept, new]).sort("ticker", "date")
