"""Series of the user's own, if there are any."""

from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.inputs import RawCovariates
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.store.artefact_files import DECLARED, TABLE
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.panel.covariates.read import Covariates


@stage(group="panel", kinds={"polars"})
def covariates(files: RawCovariates) -> StageOutput:
    """The user's own series, each value with the time from which it was known; empty where covariates.yaml names none."""
    from forecast_assets.core.panel.covariates.read import read_covariates

    found = read_covariates(files.specs, files.files)
    facts: dict[str, int | str] = {f"values_{name}": found.of(name).height for name in found.specs}
    if not found.specs:
        facts["note"] = "no covariates.yaml in the data root, and FORECAST_COVARIATES is not set: no own columns"
    return StageOutput(
        files={TABLE: found.rows, DECLARED: {name: spec.model_dump(mode="json") for name, spec in found.specs.items()}},
        facts={"series": len(found.specs), **facts},
    )


def own_series(version: Version) -> "Covariates":
    """Return what a version of the stage holds."""
    from forecast_assets.core.panel.covariates.read import Covariates
    from forecast_assets.core.specs import CovariateSpec

    declared = version.json(DECLARED)
    specs = {name: CovariateSpec.model_validate(spec) for name, spec in declared.items()}
    return Covariates(specs, pl.read_parquet(version.path(TABLE)))
