"""All settings of a run, as a profile holds them: one section per spec, and one for each model of the catalogue."""

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model

from forecast_assets.core import specs
from forecast_assets.core.models.catalogue import CATALOGUE
from forecast_assets.core.models.entry import ModelSpec


class _Sections(specs.Spec):
    """The sections beside the networks'."""

    panel: specs.PanelSpec
    features: specs.FeatureSpec = specs.FeatureSpec()
    windows: specs.WindowSpec = specs.WindowSpec()
    folds: specs.FoldSpec = specs.FoldSpec()
    sweep: specs.SweepSpec = specs.SweepSpec()
    f0_chronos: specs.ChronosSpec = specs.ChronosSpec()
    ensemble: specs.EnsembleSpec = specs.EnsembleSpec()
    calibration: specs.CalibrationSpec = specs.CalibrationSpec()
    backtest: specs.BacktestSpec = specs.BacktestSpec()
    currency: specs.CurrencySpec = specs.CurrencySpec()
    coverage: specs.CoverageSpec = specs.CoverageSpec()
    verdict: specs.VerdictSpec = specs.VerdictSpec()
    survivorship: specs.SurvivorshipSpec = specs.SurvivorshipSpec()
    ablation: specs.AblationSpec = specs.AblationSpec()
    serving: specs.ServingSpec = specs.ServingSpec()
    drift: specs.DriftSpec = specs.DriftSpec()
    nightly: specs.NightlySpec = specs.NightlySpec()
    arrival: specs.ArrivalSpec = specs.ArrivalSpec()
    alerts: specs.AlertSpec = specs.AlertSpec()
    audit: specs.AuditSpec = specs.AuditSpec()
    scenarios: specs.ScenarioSpec = specs.ScenarioSpec()
    mean_risk: specs.MeanRiskSpec = specs.MeanRiskSpec()
    own_models: specs.OwnModelsSpec = specs.OwnModelsSpec()
    demo: specs.DemoSpec = specs.DemoSpec()

    def network(self, key: str) -> ModelSpec:
        """Return the settings of the model ``key``."""
        return cast(ModelSpec, getattr(self, key))


if TYPE_CHECKING:

    class Settings(_Sections):
        """All sections; those of the networks are named by their keys."""

        def __getattr__(self, name: str) -> Any: ...

else:
    _NETWORKS = {model.key: (model.spec, ...) for model in CATALOGUE}
    Settings = create_model("Settings", __base__=_Sections, __module__=__name__, **_NETWORKS)


def section_type(section: str) -> type[specs.Spec]:
    """Return the spec of a section."""
    return cast(type[specs.Spec], Settings.model_fields[section].annotation)


@cache
def section_of(spec: type[specs.Spec]) -> str:
    """Return the one section of the settings that is of type ``spec``. Raises ValueError where there are several or none."""
    found = [name for name in Settings.model_fields if section_type(name) is spec]
    if len(found) != 1:
        raise ValueError(
            f"{spec.__name__}: {len(found)} sections of the settings are of this type {found}; name the one"
        )
    return found[0]
