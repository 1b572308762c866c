"""B0 to the ensemble, one against the other."""

import json
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.backtest_report import BASELINE, ReportInputs, publish_files, run_facts
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.scoring import read_daily, read_young
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import AblationSpec
from forecast_assets.store.versions import Version

REPORT, NUMBERS = "ablation.html", "ablation.json"


def publish_ablation(version: Version, _instance: dg.DagsterInstance, data_root: str) -> None:
    """Put the report beside the other one."""
    publish_files(version, data_root, (REPORT, NUMBERS))


@stage(group="verdict", kinds={"matplotlib"}, after=publish_ablation)
def ablation_report(inputs: ReportInputs, ablation: AblationSpec, profile: str) -> Product:
    """What each step from the friend's MLP to the ensemble is worth: HTML report and numbers, over the years at hand."""
    from forecast_assets.core.evaluation.figure import to_svg
    from forecast_assets.core.evaluation.gallery import ablation_figures
    from forecast_assets.core.evaluation.report import render_ablation_report

    summary = ablation_content(inputs, spec=ablation, profile=profile)
    figures = ablation_figures(summary)
    scores = pl.DataFrame(summary["scores"], infer_schema_length=None)
    return Product(
        files={
            TABLE: scores,
            REPORT: render_ablation_report(summary, {name: to_svg(figure) for name, figure in figures.items()}),
            NUMBERS: json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n",
        },
        facts={
            "years": ", ".join(map(str, summary["years"])),
            "verdicts": "; ".join(f"{v['claim']}: {v['verdict']}" for v in summary["verdicts"]),
        },
        plots=figures,
    )


def ablation_content(inputs: ReportInputs, *, spec: AblationSpec, profile: str) -> dict[str, Any]:
    """Everything the report says, from the artefacts alone."""
    from forecast_assets.core.evaluation.ablation import ablation as compare
    from forecast_assets.core.evaluation.ablation import newcomer_scores
    from forecast_assets.core.evaluation.daily import chain_losses
    from forecast_assets.core.evaluation.yearly import SHOWN

    books = [inputs.backtest[year] for year in inputs.years]
    losses = chain_losses(map(read_daily, books))
    first = losses.scores.select(pl.col("date").min()).item()
    return compare(
        losses,
        newcomer_scores(read_young(books), since=first, baseline=BASELINE),
        models=SHOWN,
        baseline=BASELINE,
        spec=spec,
        facts=run_facts(inputs, profile=profile),
        years=[int(year) for year in inputs.years],
        missing_years=inputs.missing_years,
    )
