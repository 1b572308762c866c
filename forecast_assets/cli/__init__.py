"""The ``forecast-assets`` command: one module per command."""

from forecast_assets.cli.interrupts import ends_at_once


def main() -> None:
    """Run the command line."""
    with ends_at_once():
        from forecast_assets.cli.app import main as run
    run()
