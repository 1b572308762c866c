"""The proofs of causality as asset checks, decided on the user's own panel whenever a table is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check

if TYPE_CHECKING:
    from forecast_assets.core.panel.leakage_checks import LeakageCheck
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors

CAUSAL = (
    CheckSpec("truncation", "rows up to a day come out the same, value for value, when all later ones are dropped"),
    CheckSpec("poison", "rows up to a day come out the same, value for value, when all later ones are garbage"),
)

PURGED = CheckSpec("purged", "every label ends before the next split's first decision, at both borders")


def causal_checks(proofs: Mapping[str, "LeakageCheck"]) -> dict[str, Check]:
    """One check per proof; a failed one names the columns that knew the future."""
    return {name: _check(proof) for name, proof in proofs.items()}


def _check(proof: "LeakageCheck") -> Check:
    where = f"{proof.rows} rows of {proof.tickers} tickers up to {proof.cut}"
    found = ", ".join(f"{column} ({count} rows)" for column, count in proof.changed.items())
    said = f"{where} are the same" if proof.holds else f"of {where}, changed: {found or 'there are none to compare'}"
    return Check(
        proof.holds,
        said,
        {"cut": str(proof.cut), "tickers": proof.tickers, "rows": proof.rows, "columns_changed": len(proof.changed)},
    )


def purge_check(panel: "PanelTensors", fold: "Fold") -> dict[str, Check]:
    """The check ``PURGED`` of one fold, with the days that lie between at each border."""
    from forecast_assets.core.windows.folds import borders

    found = borders(fold, date=panel.date, label_end=panel.label_end)
    gaps = {split: decides - ends for split, (ends, decides) in found.items()}
    said = "; ".join(f"{split} labels end {gap} days before the next split decides" for split, gap in gaps.items())
    return {
        PURGED.name: Check(min(gaps.values()) > 0, said, {f"days_after_{split}": gap for split, gap in gaps.items()})
    }
