"""The ensemble of a fold's best fits."""

import numpy as np
import polars as pl

from forecast_assets.assets.networks import FITS, TRAINING
from forecast_assets.assets.partitions import years
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import EnsembleSpec
from forecast_assets.store.versions import Version


@stage(group="models", kinds={"numpy"}, partitions=years)
def ensemble(
    b1_tft: Version, b2_tft_ticker: Version, b3_tft_sector: Version, b4_patchtst: Version, ensemble_spec: EnsembleSpec
) -> Product:
    """Median of means of the fold's best fits by validation pinball; the rival B0 is never a member."""
    from forecast_assets.core.evaluation.forecast_table import forecast_table, quantile_array
    from forecast_assets.core.training.ensemble import choose_members, median_of_means

    candidates = (b1_tft, b2_tft_ticker, b3_tft_sector, b4_patchtst)
    fits = pl.concat(pl.read_parquet(version.path(FITS)) for version in candidates)
    trained = [version.json(TRAINING) for version in candidates]
    scores = {fit["fit"]: fit["validation_pinball"] for training in trained for fit in training["fits"]}
    members = choose_members(scores, members=ensemble_spec.members)
    arrays = [quantile_array(fits.filter(pl.col("model") == member)) for member in members]
    combined = median_of_means(np.stack([a.quantiles for a in arrays]), groups=ensemble_spec.groups)
    first = arrays[0]
    decisions = fits.filter(pl.col("model") == members[0], pl.col("horizon") == 1).sort("date", "ticker")
    table = forecast_table(
        date=first.date,
        ticker=first.ticker,
        quantiles=combined,
        y=first.y,
        split=decisions["split"],
        model="ensemble",
    )
    return Product(
        files={
            TABLE: table,
            "members.json": {
                "members": [
                    {"fit": m, "validation_pinball": scores[m], "group": k % ensemble_spec.groups}
                    for k, m in enumerate(members)
                ],
                "candidates": len(scores),
                "unconditional_mean": trained[0]["unconditional_mean"],
            },
        },
        facts={"members": len(members), "candidates": len(scores)},
    )
