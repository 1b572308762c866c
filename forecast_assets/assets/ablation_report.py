"""The ablation report: every model against every other, from B0 to the ensemble."""

import json
from functools import partial
from typing import Any

import polars as pl

from forecast_assets.assets.backtest_report import MODEL, ReportInputs, publish_files, rivals_of, run_facts
from forecast_assets.assets.fold.losses import read_daily, read_new_listings
from forecast_assets.assets.framework.inputs import ProfileName
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import AblationSpec
from forecast_assets.store.artefact_files import ABLATION_METRICS, ABLATION_PAGE, TABLE


@stage(group="verdict", kinds={"matplotlib"}, after=partial(publish_files, (ABLATION_PAGE, ABLATION_METRICS)))
def ablation_report(inputs: ReportInputs, ablation: AblationSpec, profile: ProfileName) -> StageOutput:
    """What each step from the MLP baseline to the ensemble is worth: HTML report and numbers, over the years at hand."""
    from forecast_assets.core.report.figure_style import to_svg
    from forecast_assets.core.report.html import render_ablation_report
    from forecast_assets.core.report.report_figures import ablation_figures

    summary = ablation_content(inputs, spec=ablation, profile=profile)
    figures = ablation_figures(summary)
    return StageOutput(
        files={
            TABLE: pl.DataFrame(summary["scores"], infer_schema_length=None),
            ABLATION_PAGE: render_ablation_report(summary, {name: to_svg(figure) for name, figure in figures.items()}),
            ABLATION_METRICS: json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        },
        facts={
            "years": ", ".join(map(str, summary["years"])),
            "verdicts": "; ".join(f"{v['claim']}: {v['verdict']}" for v in summary["verdicts"]),
        },
        plots=figures,
    )


def ablation_content(inputs: ReportInputs, *, spec: AblationSpec, profile: str) -> dict[str, Any]:
    """Return the whole content of the report, from the artefacts alone."""
    from forecast_assets.core.evaluation.daily_losses import join_losses
    from forecast_assets.core.evaluation.forecast_table import YARDSTICK
    from forecast_assets.core.evaluation.training_noise import TrainingNoise
    from forecast_assets.core.evaluation.year_losses import SHOWN
    from forecast_assets.core.report.ablation import ablation as compare
    from forecast_assets.core.report.ablation import new_listing_scores
    from forecast_assets.core.report.rivals import rival_cards

    books = [inputs.backtest[year] for year in inputs.years]
    losses = join_losses(map(read_daily, books))
    first = losses.scores.select(pl.col("date").min()).item()
    return compare(
        losses,
        new_listing_scores(read_new_listings(books), since=first, baseline=YARDSTICK),
        models=SHOWN,
        baseline=YARDSTICK,
        spec=spec,
        facts=run_facts(inputs, profile=profile),
        years=[int(year) for year in inputs.years],
        missing_years=inputs.missing_years,
        rivals=rival_cards(
            rivals_of(inputs), model=MODEL, noise=TrainingNoise.of(losses.fits), spec=spec, rules=spec, traded=None
        ),
    )
