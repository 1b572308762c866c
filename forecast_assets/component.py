"""A panel as a Dagster component: one ``defs.yaml`` puts a further panel beside others in a deployment.

    type: forecast_assets.component.ForecastPanel
    attributes:
      key_prefix: nifty
      panel: /data/nifty/files
      profile: full
      data_dir: /data/nifty

Its assets, jobs, schedule, sensors, resources, years and nights begin with the prefix, and its versions, reports and alerts
lie in a data root of its own: no panel shares a key with another. Files beside the panel are those named here alone.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from forecast_assets.core.errors import BadSetting
from forecast_assets.panel_definitions import assets_of, panel_definitions, resources_of
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource


@dataclass(frozen=True)
class Loaded:
    """A panel that this process has loaded: its prefix, and the file that declares it."""

    prefix: str
    file: Path | None


_loaded: dict[str, Loaded] = {}
"""Data root, links followed -> the panel that it is of."""


class ForecastPanel(dg.Component, dg.Model, dg.Resolvable):
    """The whole graph of one panel, from its files to forecasts and a verdict."""

    key_prefix: str = Field(description="what all its names begin with: lower-case letters, digits and _")
    panel: str = Field(description="its files: a CSV or Parquet file, or a folder of them")
    data_dir: str = Field(description="its data root, a local path or an fsspec URL; no other panel may use it")
    profile: str = Field(default="full", description="a file in conf/profile")
    overrides: list[str] = Field(
        default_factory=list, description="settings over the profile's, such as nightly.epochs=2"
    )
    macro: str = Field(default="", description="a CSV with Date, VIX, US10Y, US2Y")
    covariates: str = Field(default="", description="YAML that declares own series")
    universe: str = Field(default="", description="a CSV with Ticker, From, To")
    sectors: str = Field(default="", description="a CSV with Ticker, Sector, From")
    fx: str = Field(default="", description="a file of exchange rates")
    rivals: str = Field(default="", description="a folder of rivals' forecasts")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the panel. Raises BadSetting for a value that can't be used."""
        names = PanelNames(self.key_prefix)
        if not names.prefix:
            raise BadSetting("key_prefix: a further panel needs one; write what its names begin with, such as nifty")
        if not self.panel:
            raise BadSetting(f"{names.prefix}: panel: name its files")
        settings = SettingsResource(profile=self.profile, overrides=self.overrides)
        settings.settings()  # an unknown profile or setting is one sentence here, and not a failed run
        source = PanelSource(
            panel=self.panel,
            macro_file=self.macro,
            covariates_file=self.covariates,
            universe_file=self.universe,
            sectors_file=self.sectors,
            fx_file=self.fx,
            rivals_folder=self.rivals,
        )
        root = environment.checked_root(self.data_dir)
        require_own_root(root, names, folder=context.path)
        for named in (root, self.panel, self.macro, self.covariates, self.universe, self.sectors, self.fx, self.rivals):
            environment.declare_root(named)
        return panel_definitions(
            names, assets_of(names), resources_of(names, data_dir=root, settings=settings, source=source)
        )


def require_own_root(root: str, names: PanelNames, *, folder: Path) -> None:
    """Raise BadSetting where another panel that this process has loaded has the data root ``root`` too.

    ``folder``: where the panel's defs.yaml lies, if it has one.
    """
    file = folder / "defs.yaml"
    panel = Loaded(names.prefix, file if file.is_file() else None)
    place = root.rstrip("/") if "://" in root else os.path.realpath(root)
    other = _loaded.setdefault(place, panel)
    if other.prefix == panel.prefix:
        return
    files = [each.file for each in (other, panel) if each.file]
    where = f" ({' and '.join(map(str, files))})" if files else ""
    raise BadSetting(
        f"{panel.prefix}: data_dir: {root} is the data root of the panel {other.prefix} too{where}, and each would put its "
        "versions in the place of the other's; give one of them a folder of its own, such as data_dir: "
        f"{place}-{panel.prefix}"
    )
