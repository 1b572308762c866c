"""A further panel as a component: two of them in a deployment, with names, years and data of their own."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing.utils import create_defs_folder_sandbox

from forecast_assets.component import ForecastPanel
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.panel.demo import write_demo_csv
from forecast_assets.resources.settings import compose_settings
from forecast_assets.resources.source import PanelSource
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.paths import PROJECT

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


@pytest.fixture(autouse=True)
def declared(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component declares its folders when it is loaded; here that was in another test's environment."""
    monkeypatch.setenv("FORECAST_ROOTS", os.pathsep.join([str(root), str(tmp_path)]))


def documented() -> dict[str, Any]:
    """The defs.yaml of the page."""
    text = (PROJECT / "docs" / "dagster.md").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    return content


def write_defs_file(folder: Path, root: Path, prefix: str) -> None:
    """Write the page's defs.yaml with the values of a panel here."""
    here = {"key_prefix": prefix, "panel": str(root / f"{prefix}.csv"), "data_dir": str(root / prefix)}
    folder.mkdir(parents=True)
    attributes = here | {"profile": "smoke"}
    assert set(attributes) <= set(documented()["attributes"])
    (folder / "defs.yaml").write_text(yaml.safe_dump(documented() | {"attributes": attributes}))


@pytest.fixture(scope="module")
def defs(root: Path) -> Iterator[dg.Definitions]:
    """What ``dg`` loads from a defs.yaml per panel."""
    with warnings.catch_warnings(), create_defs_folder_sandbox() as sandbox:
        warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's own reader of a defs.yaml
        for prefix in PANELS:
            write_defs_file(sandbox.defs_folder_path / prefix, root, prefix)
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
            sessions = pl.read_parquet(store.current("raw_panel").path("table.parquet"))["date"]
            assert sessions.dt.year().max() == last
            years = [str(year) for year in range(2018, last + 1)]
            assert instance.get_dynamic_partitions(f"{prefix}_year") == years
            view = dg.AssetRecordsFilter(dg.AssetKey([prefix, "calendar_panel_by_year"]), asset_partitions=years)
            assert len(instance.fetch_materializations(view, limit=9).records) == len(years)
        assert instance.get_dynamic_partitions("year") == []
        assert {key.path[0] for key in instance.all_asset_keys()} == set(PANELS)


def test_the_pages_file_is_one_that_the_component_takes(tmp_path: Path) -> None:
    component = ForecastPanel(**documented()["attributes"] | {"data_dir": str(tmp_path)})
    resources = component.build_defs(dg.ComponentTree.for_test().load_context).resources or {}
    assert resources["nifty_settings"].settings().folds.first_test_year == 2018
    assert resources["nifty_source"].fx_file == "/data/nifty/usdinr.csv"


def test_files_beside_a_named_panel_are_those_named_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "macro.csv"
    file.write_text("Date,VIX,US10Y,US2Y\n")
    for variable in ("FORECAST_MACRO", "FORECAST_UNIVERSE"):
        monkeypatch.setenv(variable, str(file))
    assert PanelSource().universe().path == file
    source = PanelSource(panel="files", macro_file=str(file))
    assert (source.macro().path, source.universe().path) == (file, None)
    assert source.rivals().files == ()
    assert not source.covariates().specs


def test_dg_takes_a_project_of_two_panels(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("dagster_dg_cli", reason="dg is not installed; pip install -e '.[dev]' brings it")
    package = tmp_path / "two_panels"
    for prefix in PANELS:
        write_defs_file(package / "defs" / prefix, root, prefix)
    for file in (package / "__init__.py", package / "defs" / "__init__.py"):
        file.write_text("")
    (package / "definitions.py").write_text(
        "from pathlib import Path\nimport dagster as dg\n\n@dg.definitions\ndef defs():\n"
        "    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    (tmp_path / "dg.toml").write_text('directory_type = "project"\n\n[project]\nroot_module = "two_panels"\n')
    check = [sys.executable, "-c", "from dagster_dg_cli.cli import main; main()", "check", "defs"]
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(check, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All definitions loaded successfully" in done.stdout


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
    component = ForecastPanel(**(attributes | change))
    with pytest.raises(BadSetting, match=sentence):
        component.build_defs(dg.ComponentTree.for_test().load_context)


def test_two_panels_in_one_data_root_are_refused_with_both_files_and_a_root_to_write(
    root: Path, tmp_path: Path
) -> None:
    with warnings.catch_warnings(), create_defs_folder_sandbox() as sandbox:
        warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's own reader of a defs.yaml
        files = []
        for prefix in PANELS:
            write_defs_file(sandbox.defs_folder_path / prefix, root, prefix)
            file = sandbox.defs_folder_path / prefix / "defs.yaml"
            content = yaml.safe_load(file.read_text())
            link = tmp_path / f"link_{prefix}"  # two names of one folder
            link.symlink_to(tmp_path, target_is_directory=True)
            content["attributes"]["data_dir"] = str(link)
            file.write_text(yaml.safe_dump(content))
            files.append(str(file))
        with pytest.raises(ComponentTreeException) as raised, sandbox.build_all_defs():
            pass
    assert isinstance(raised.value.__cause__, BadSetting)
    assert str(raised.value.__cause__) == (
        f"us: data_dir: {tmp_path}/link_us is the data root of the panel nifty too ({files[1]} and {files[0]}), and each "
        "would put its versions in the place of the other's; give one of them a folder of its own, such as data_dir: "
        f"{tmp_path}-us"
    )
