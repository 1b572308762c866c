"""A further panel as a component: two of them in a deployment, with names, years and data of their own."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster.components.testing.utils import create_defs_folder_sandbox

from forecast_assets.component import ForecastPanel
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.panel.demo import write_demo_csv
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.store import Store

PANELS = {"us": 2019, "nifty": 2018}  # prefix -> last year of its file
EARLY = ("raw_panel", "calendar_panel")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file of each panel."""
    folder = tmp_path_factory.mktemp("two_panels")
    demo = folder / "demo.csv"
    write_demo_csv(demo, compose_settings("smoke", []).demo)
    rows = pl.read_csv(demo, infer_schema=False).filter(pl.col("Date").str.contains(r"^\d{4}-\d{2}-\d{2}$"))
    for prefix, year in PANELS.items():
        rows.filter(pl.col("Date") < f"{year + 1}").write_csv(folder / f"{prefix}.csv")
    return folder


@pytest.fixture(scope="module")
def defs(root: Path) -> Iterator[dg.Definitions]:
    """What ``dg`` loads from a defs.yaml per panel."""
    with warnings.catch_warnings(), create_defs_folder_sandbox() as sandbox:
        warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's own reader of a defs.yaml
        for prefix in PANELS:
            attributes = {
                "key_prefix": prefix,
                "panel": str(root / f"{prefix}.csv"),
                "profile": "smoke",
                "data_dir": str(root / prefix),
            }
            folder = sandbox.defs_folder_path / prefix
            folder.mkdir(parents=True)
            content = {"type": "forecast_assets.component.ForecastPanel", "attributes": attributes}
            (folder / "defs.yaml").write_text(yaml.safe_dump(content))
        with sandbox.build_all_defs() as built:
            yield built


def test_two_panels_have_no_name_in_common_and_a_schedule_each(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)
    keys = [key.path for key in defs.resolve_all_asset_keys()]
    assert {path[0] for path in keys} == set(PANELS)
    of_us, of_nifty = ({tuple(path[1:]) for path in keys if path[0] == prefix} for prefix in PANELS)
    assert of_us == of_nifty
    assert {schedule.name for schedule in defs.schedules or []} == {f"{prefix}_nightly_schedule" for prefix in PANELS}
    named = [*(defs.jobs or []), *(defs.sensors or [])]
    names = [each.name for each in named if each.name != "default_automation_condition_sensor"]
    assert all(name.startswith(tuple(PANELS)) for name in [*names, *(defs.resources or {})])
    assert len(names) == len(set(names))


def test_each_panel_is_read_from_its_file_into_its_data_root_with_its_own_years(
    defs: dg.Definitions, root: Path
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for prefix, last in PANELS.items():
            job = defs.resolve_job_def(f"{prefix}_panel")
            keys = [dg.AssetKey([prefix, asset]) for asset in EARLY]
            assert job.execute_in_process(instance=instance, asset_selection=keys).success
            store = Store(root / prefix / "store")
            assert {*EARLY} <= {*store.assets()}
            assert pl.read_parquet(store.current("raw_panel").path("table.parquet"))["date"].max().year == last
            years = [str(year) for year in range(2018, last + 1)]
            assert instance.get_dynamic_partitions(f"{prefix}_year") == years
            view = dg.AssetRecordsFilter(dg.AssetKey([prefix, "calendar_panel_by_year"]), asset_partitions=years)
            assert len(instance.fetch_materializations(view, limit=9).records) == len(years)
        assert instance.get_dynamic_partitions("year") == []
        assert {key.path[0] for key in instance.all_asset_keys()} == set(PANELS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key_prefix": ""}, "key_prefix: a further panel needs one"),
        ({"key_prefix": "Nifty 50"}, "'Nifty 50' can't begin names; write lower-case letters"),
        ({"panel": ""}, "nifty: panel: name its files"),
        ({"profile": "fast"}, "there is no profile 'fast'; choose one of demo, full, smoke"),
        ({"overrides": ["nightly.epoch=2"]}, "there is no setting 'nightly.epoch'; the nearest is nightly.epochs"),
        ({"data_dir": "s3://user:secret@bucket/data"}, "the URL holds credentials"),
    ],
)
def test_what_can_not_be_used_is_one_sentence(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    attributes = {"key_prefix": "nifty", "panel": "files", "profile": "smoke", "data_dir": str(tmp_path)}
    component = ForecastPanel(**(attributes | change))  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match=sentence):
        component.build_defs(dg.ComponentTree.for_test().load_context)
