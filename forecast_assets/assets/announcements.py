"""The latent announcement calendar: inferred announcements, and those expected ahead, per ticker and session."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
    TABLE,
)
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.panel.announcements.build import Announcements, Cut


@stage(group="panel", kinds={"numpy"}, checks=CAUSAL)
def announcements(calendar_panel: Version, previous: Previous, folder: OutputFolder) -> StageOutput:
    """Quarterly announcements inferred from gaps, returns and volume, and those expected ahead, as known at each close.

    New rows at the panel's end continue what was made before; whatever else changes, everything is computed again.
    """
    from forecast_assets.core.panel.announcements.build import Announcements, joined_events
    from forecast_assets.core.panel.announcements.leakage_checks import announcement_leakage
    from forecast_assets.core.panel.announcements.saved import parameters_record, state_bytes
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.parts import ticker_parts

    sessions = pl.scan_parquet(calendar_panel.path(TABLE))
    begins = continuable(previous, calendar_panel) if previous else None
    recent = sessions if begins is None else sessions.filter(pl.col("date") >= begins.reads_from)
    found = Announcements(lambda: ticker_parts(recent), begins)
    digests = YearDigests()
    parts = found.parts() if previous is None or begins is None else continued_parts(found, previous.version)
    write_table(digests.watch(parts), folder / TABLE)
    events, cut = found.events, found.cut
    if previous is not None and begins is not None:
        events = joined_events(pl.read_parquet(previous.version.path(INFERRED)), events, begins)
    last_year = int(found.days.year[-1]) if found.days.count else 0
    return StageOutput(
        files={
            INFERRED: events,
            ANNOUNCEMENT_PARAMETERS: parameters_record(cut, last_year=last_year),
            CUT_STATE: state_bytes(cut),
            CUT_TAIL: cut.tail,
            CUT_ROWS: cut.recent,
        },
        facts={
            "announcements": events.height,
            "years_fitted": len(found.schedule),
            "extended": begins is not None,
        },
        checks=causal_checks(announcement_leakage(sessions)),
        slices=digests.digests(),
        columns=announcement_columns(),
    )


def continuable(previous: PreviousVersion, calendar_panel: Version) -> "Cut | None":
    """Return where the previous version was cut, if the calendar panel is the same up to there and ends in the same year."""
    from forecast_assets.core.panel.announcements.saved import read_cut

    version, made_from = previous.version, previous.parents.get("calendar_panel")
    if made_from is None:  # it is gone from the store
        return None
    record = version.json(ANNOUNCEMENT_PARAMETERS)
    before, now = made_from.manifest.slices, calendar_panel.manifest.slices
    if not now or max(map(int, now)) != record["last_year"]:
        return None
    cut = read_cut(
        record,
        version.path(CUT_STATE).read_bytes(),
        tail=pl.read_parquet(version.path(CUT_TAIL)),
        recent=pl.read_parquet(version.path(CUT_ROWS)),
    )
    if cut.weekday == 0:
        return None
    day = cut.date
    if {y: d for y, d in before.items() if int(y) < day.year} != {y: d for y, d in now.items() if int(y) < day.year}:
        return None
    this_year = pl.col("date").is_between(pl.date(day.year, 1, 1), day, closed="left")
    old, new = (pl.scan_parquet(v.path(TABLE)).filter(this_year).collect() for v in (made_from, calendar_panel))
    return cut if old.equals(new) else None


def continued_parts(found: "Announcements", previous: Version) -> Iterator[pl.DataFrame]:
    """Yield the table by tickers: the previous version's rows before the cut, then the new ones."""
    from forecast_assets.core.panel.parts import ticker_parts

    new = pl.concat(found.parts())
    first = new.group_by("ticker").agg(first=pl.min("date"))
    after = ""
    for part in ticker_parts(pl.scan_parquet(previous.path(TABLE))):
        until = part["ticker"][-1]
        old = part.join(first, on="ticker", how="left", maintain_order="left")
        old = old.filter(pl.col("first").is_null() | (pl.col("date") < pl.col("first"))).drop("first")
        own = new.filter((pl.col("ticker") > after) & (pl.col("ticker") <= until))
        yield pl.concat([old, own]).sort("ticker", "date")
        after = until
    rest = new.filter(pl.col("ticker") > after)
    if rest.height:
        yield rest
