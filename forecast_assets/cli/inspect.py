"""``inspect``: what a panel's files would be read as; nothing is published."""

import tempfile
from pathlib import Path

import click

from forecast_assets.cli.common import arrived_option, json_option, print_json, set_option, user_command


@click.command("inspect")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--rejected", "rejected_csv", type=click.Path(path_type=Path), help="Write the rejected rows to this CSV."
)
@click.option("--flags", "flags_csv", type=click.Path(path_type=Path), help="Write the flags to this CSV.")
@arrived_option
@set_option
@json_option
@user_command
def command(
    path: Path, rejected_csv: Path | None, flags_csv: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Print what a file or folder would be read as."""
    from forecast_assets.cli.export import require_folder
    from forecast_assets.core.panel.adapters.folders import find_files
    from forecast_assets.core.panel.features import longest_window
    from forecast_assets.core.panel.ingest import Reading
    from forecast_assets.core.panel.summary import summary_lines, too_short
    from forecast_assets.core.spreadsheet import guarded
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings
    from forecast_assets.resources.source import as_arrived

    for out in filter(None, (rejected_csv, flags_csv)):
        require_folder(out)
    settings = compose_settings(environment.profile_name(), list(overrides))
    found = find_files(path, settings.panel)
    files = as_arrived(found, declared=environment.arrived(), data_root=environment.data_dir())
    with tempfile.TemporaryDirectory() as scratch:
        reading = Reading(files.files, spec=settings.panel, scratch=Path(scratch), until=files.until)
        for _ in reading.parts():
            pass
    fewest = settings.windows.lookback + longest_window(settings.features)
    summary, short = reading.summary(files.left_out), too_short(reading.tickers, fewest_rows=fewest)
    if as_json:
        print_json({**summary, "too_short": short})
    for line in [] if as_json else [*summary_lines(summary), *short]:
        click.echo(line)
    for table, where in ((reading.rejected, rejected_csv), (reading.flags, flags_csv)):
        if where is not None:
            guarded(table).write_csv(where)
            click.echo(f"{table.height:,} rows written to {where}", err=as_json)
