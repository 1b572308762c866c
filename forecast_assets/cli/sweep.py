"""``sweep``: the search for settings."""

from pathlib import Path

import click

from forecast_assets.cli.common import set_option, user_command
from forecast_assets.cli.materialise import materialise


@click.command("sweep")
@click.option("--trials", type=click.IntRange(0), help="Number of distinct settings.")
@click.option("--workers", type=click.IntRange(1), help="Trials that run at the same time.")
@click.option(
    "--storage", metavar="URL", help="The study's database (no password in it) or journal file; default: SQLite."
)
@click.option(
    "--wandb-yaml", type=click.Path(dir_okay=False, path_type=Path), help="Only write the YAML of a W&B sweep."
)
@set_option
@user_command
def command(
    trials: int | None, workers: int | None, storage: str | None, wandb_yaml: Path | None, overrides: tuple[str, ...]
) -> None:
    """Search settings on the years before the first test year. A search that was killed is resumed."""
    from forecast_assets.resources import environment

    if storage and (storage.startswith("sqlite") or "://" not in storage):
        environment.declare_root(str(Path(storage.partition("///")[2] or storage).parent))
    given = {"trials": trials, "workers": workers, "storage": storage}
    settings = [f"sweep.{name}={value}" for name, value in given.items() if value is not None] + list(overrides)
    if wandb_yaml is None:
        materialise(("sweep",), (), settings)
        return
    from forecast_assets.assets.tuning.wandb_sweep import wandb_sweep
    from forecast_assets.resources.settings import compose_settings

    profile = environment.profile_name()
    composed = compose_settings(profile, settings)
    year = max(year for year in composed.sweep.years if year < composed.folds.first_test_year)
    wandb_yaml.write_text(wandb_sweep(composed.sweep, profile=profile, year=year), encoding="utf-8")
    click.echo(f"{wandb_yaml}: written; `wandb sweep {wandb_yaml}` takes it")
