"""``record``: what has matured of the issued forecasts, scored with evidence that may be looked at every day."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from forecast_assets.cli.common import json_option, open_store, print_json, user_command
from forecast_assets.store.artefact_files import LATEST_REPORTS, RECORD_PAGE
from forecast_assets.store.durable import replace_file

if TYPE_CHECKING:
    from forecast_assets.champion.record import IssuedRecord
    from forecast_assets.core.monitoring.record import Evidence


@click.command("record")
@click.option(
    "--replays", is_flag=True, help="Score forecasts that were sealed after their outcome too; proves nothing."
)
@click.option("--page", is_flag=True, help="Also write it beside the report, as record.html.")
@json_option
@user_command
def command(replays: bool, page: bool, as_json: bool) -> None:
    """Score the issued forecasts that have matured.

    Coverage with its confidence sequence, and the loss saved against HAR-X with its e-value, by horizon. Both hold however
    often one looks. Only forecasts that were sealed before their outcome count.
    """
    from forecast_assets.champion.record import issued_record

    store, root = open_store()
    found = issued_record(store, root, replays=replays)
    if as_json:
        print_json(as_record(found, replays=replays))
    else:
        click.echo("\n".join(record_lines(found, replays=replays)))
    if page:
        written = write_page(found, root, replays=replays)
        click.echo(f"page: {written}", err=as_json)


def write_page(found: "IssuedRecord", root: str, *, replays: bool) -> str:
    """Write the record as a page beside the latest reports, and return where it is."""
    from upath import UPath

    from forecast_assets.core.report.html import render_record_page

    html = render_record_page(
        summary=summary_lines(found, replays=replays),
        heads=[head.strip() for head in COLUMNS],
        rows=score_rows(found),
        notes=note_lines(found),
    )
    return str(replace_file(UPath(root) / LATEST_REPORTS, RECORD_PAGE, html.encode()))


def as_record(found: "IssuedRecord", *, replays: bool) -> dict[str, Any]:
    """Return the record as JSON values; what is not known yet is null."""
    seal = found.newest_seal
    values = {**dataclasses.asdict(found), "newest_seal": None if seal is None else vars(seal.line), "replays": replays}
    cleaned: dict[str, Any] = _without_nan(values)
    return cleaned


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


COLUMNS = {
    "sessions": 8,
    "scored": 6,
    "95 % band covers": -26,
    "e-value": 7,
    "90 % band covers": -26,
    "e-value ": 7,
    "loss saved against HAR-X": -28,
    "e-value  ": 7,
    "loss ratio": 10,
}
"""Head of each column -> its width in a terminal, below 0 where it stands at the left."""


def record_lines(found: "IssuedRecord", *, replays: bool) -> list[str]:
    """Format the record as text."""
    rows = score_rows(found)
    if not rows:
        return summary_lines(found, replays=replays)
    table = [
        "  ".join(_padded(cell.strip(), width) for cell, width in zip(row, COLUMNS.values(), strict=True))
        for row in (list(COLUMNS), *rows)
    ]
    return [*summary_lines(found, replays=replays), "", *table, "", *note_lines(found)]


def summary_lines(found: "IssuedRecord", *, replays: bool) -> list[str]:
    """Return what was issued, sealed and matured, a line each."""
    seal = found.newest_seal
    lines = [
        f"{found.nights} night{'s' * (found.nights != 1)}, {found.sealed_nights} sealed"
        + (f"; the newest seal: {seal.line}" if seal else ""),
        f"{found.forecasts:,} forecasts issued, {found.matured:,} matured, of these {found.sealed_in_time:,} sealed before "
        "their outcome",
    ]
    if replays:
        lines.append("scored: all that matured, also what was sealed after its outcome, which proves nothing")
    elif found.matured and not found.sealed_in_time:
        lines.append(
            "nothing to score yet: what has matured was sealed after its outcome (--replays scores it all the same)"
        )
    return lines


def score_rows(found: "IssuedRecord") -> list[list[str]]:
    """Return the cells of ``COLUMNS`` for each horizon; nothing where no session is scored."""
    if not any(each.scored_sessions for each in found.scores):
        return []
    return [
        [
            str(each.horizon_sessions),
            str(each.scored_sessions),
            *(_interval(each.coverage["95"], 1), _e(each.coverage["95"])),
            *(_interval(each.coverage["90"], 1), _e(each.coverage["90"])),
            *(_interval(each.gain, 2), _e(each.gain)),
            "-" if math.isnan(each.loss_ratio) else f"{each.loss_ratio:.4f}",
        ]
        for each in found.scores
    ]


def note_lines(found: "IssuedRecord") -> list[str]:
    """Return what a reader of the table needs to know, a line each."""
    from forecast_assets.core.monitoring.record import LARGEST_GAIN

    lines = [
        "Intervals are 95 % confidence sequences: they hold at all looks together. An e-value of 20 is ever reached with a",
        "probability of at most 1 in 20 where the band covers what it says, or where nothing is saved.",
    ]
    if cut := sum(each.cut_sessions for each in found.scores):
        lines.append(
            f"{cut} scored sessions saved or lost more than {LARGEST_GAIN:.0%} against HAR-X: counted as that."
        )
    return [*lines, f"no comparison with HAR-X: {found.no_reference}"] if found.no_reference else lines


def _padded(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def _interval(evidence: "Evidence", digits: int) -> str:
    if math.isnan(evidence.mean):
        return "-"
    return f"{evidence.mean:.{digits}%} ({evidence.low:.{digits}%} to {evidence.high:.{digits}%})"


def _e(evidence: "Evidence") -> str:
    return "-" if math.isnan(evidence.mean) else f"{evidence.e_value:.3g}"
