"""Starting Dagster's webserver, or the whole of ``dagster dev``, with the guard in front of the UI.

Dagster has no setting for middleware: its command line makes the app by one function, and ``dagster dev`` starts the
webserver by the name of its module. Both are replaced here.
"""

import sys
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette

from forecast_assets.resources import environment
from forecast_assets.serving.same_site import LOOPBACK
from forecast_assets.webserver.guard import Guard

DAGSTERS = "dagster_webserver"
OURS = "forecast_assets.webserver"


def guarded_app(context: Any, path_prefix: str = "", *arguments: Any, **options: Any) -> Starlette:
    """Return Dagster's app behind the guard, which answers loopback names and those of ``FORECAST_UI_HOSTS``."""
    from dagster_webserver.app import create_app_from_workspace_process_context

    app = create_app_from_workspace_process_context(context, path_prefix, *arguments, **options)
    app.add_middleware(Guard, hosts=LOOPBACK | environment.ui_hosts(), prefix=path_prefix)
    return app


def main() -> None:
    """Run ``dagster-webserver`` with the arguments of this process."""
    from dagster_webserver import cli

    name = "create_app_from_workspace_process_context"
    assert hasattr(cli, name)  # else the guard would be passed by
    setattr(cli, name, guarded_app)
    sys.argv[0] = "dagster-webserver"
    cli.main()


def dev(arguments: Sequence[str]) -> None:
    """Run ``dagster dev`` with these arguments; its webserver is the guarded one."""
    from dagster._cli import dev as dagster_dev

    start = dagster_dev.open_ipc_subprocess

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        return start([OURS if part == DAGSTERS else part for part in parts], **options)

    dagster_dev.open_ipc_subprocess = start_guarded
    dagster_dev.dev_command.main(list(arguments), prog_name="dagster dev")
