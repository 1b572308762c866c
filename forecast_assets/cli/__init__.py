"""The ``forecast-assets`` command: one module per command."""

import atexit
import gc

from forecast_assets.cli.interrupts import ends_at_once


def main() -> None:
    """Run the command line."""
    atexit.register(gc.freeze)  # the process gives its memory back at once: collecting torch's objects takes .3 s
    with ends_at_once():
        from forecast_assets.cli.app import main as run
    run()
