"""VIX and interest rates, if the user has them."""

from forecast_assets.assets.framework.causality_checks import KNOWN_LATER, known_later
from forecast_assets.assets.framework.inputs import RawMacro
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.store.artefact_files import TABLE


@stage(group="panel", kinds={"polars"}, checks=(KNOWN_LATER,))
def macro_series(macro: RawMacro) -> StageOutput:
    """VIX and US yields with the time from which each value was available; empty where FORECAST_MACRO names no file."""
    from forecast_assets.core.panel.macro import no_macro, read_macro

    if macro.path is None:
        return StageOutput(
            files={TABLE: no_macro()},
            facts={"days": 0, "note": "FORECAST_MACRO is not set: no macro columns"},
            checks=known_later(no_macro()),
        )
    table = read_macro(macro.path, until=macro.until)
    facts: dict[str, int | float | str] = {
        "days": table.height,
        "first": str(table["date"].min()),
        "last": str(table["date"].max()),
    }
    return StageOutput(files={TABLE: table}, facts=facts, checks=known_later(table))
