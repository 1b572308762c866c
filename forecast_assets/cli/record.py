"""``record``: what has matured of the issued forecasts, scored with evidence that may be looked at every day."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from forecast_assets.cli.common import json_option, open_store, print_json, user_command

if TYPE_CHECKING:
    from forecast_assets.champion.record import IssuedRecord
    from forecast_assets.core.monitoring.record import Evidence


@click.command("record")
@click.option(
    "--replays", is_flag=True, help="Score forecasts that were sealed after their outcome too; proves nothing."
)
@json_option
@user_command
def command(replays: bool, as_json: bool) -> None:
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


def record_lines(found: "IssuedRecord", *, replays: bool) -> list[str]:
    """Format the record as text."""
    from forecast_assets.core.monitoring.record import LARGEST_GAIN

    seal = found.newest_seal
    lines = [
        f"{found.nights} nights, {found.sealed_nights} sealed" + (f"; the newest seal: {seal.line}" if seal else ""),
        f"{found.forecasts:,} forecasts issued, {found.matured:,} matured, of these {found.sealed_in_time:,} sealed before "
        "their outcome",
    ]
    if replays:
        lines.append("scored: all that matured, also what was sealed after its outcome, which proves nothing")
    elif found.matured and not found.sealed_in_time:
        lines.append(
            "nothing to score yet: what has matured was sealed after its outcome (--replays scores it all the same)"
        )
    if not any(each.scored_sessions for each in found.scores):
        return lines
    lines += [
        "",
        f"{'sessions':>8}{'scored':>8}  {'95 % band covers':<26}{'e-value':>9}  {'90 % band covers':<26}{'e-value':>9}  "
        f"{'loss saved against HAR-X':<28}{'e-value':>9}  {'loss ratio':>10}",
    ]
    for each in found.scores:
        ratio = "-" if math.isnan(each.loss_ratio) else f"{each.loss_ratio:.4f}"
        lines.append(
            f"{each.horizon_sessions:>8}{each.scored_sessions:>8}  {_interval(each.coverage['95'], 1):<26}"
            f"{_e(each.coverage['95']):>9}  {_interval(each.coverage['90'], 1):<26}{_e(each.coverage['90']):>9}  "
            f"{_interval(each.gain, 2):<28}{_e(each.gain):>9}  {ratio:>10}"
        )
    lines += [
        "",
        "Intervals are 95 % confidence sequences: they hold at all looks together. An e-value of 20 is ever reached with a",
        "probability of at most 1 in 20 where the band covers what it says, or where nothing is saved.",
    ]
    if cut := sum(each.cut_sessions for each in found.scores):
        lines.append(
            f"{cut} scored sessions saved or lost more than {LARGEST_GAIN:.0%} against HAR-X: counted as that."
        )
    return [*lines, f"no comparison with HAR-X: {found.no_reference}"] if found.no_reference else lines


def _interval(evidence: "Evidence", digits: int) -> str:
    if math.isnan(evidence.mean):
        return "-"
    return f"{evidence.mean:.{digits}%} ({evidence.low:.{digits}%} to {evidence.high:.{digits}%})"


def _e(evidence: "Evidence") -> str:
    return "-" if math.isnan(evidence.mean) else f"{evidence.e_value:.3g}"
