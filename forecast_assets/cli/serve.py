"""``serve``: the HTTP service."""

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.core.specs import AlertSpec


@click.command("serve")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Any other than loopback needs FORECAST_API_TOKEN."
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--rate", type=click.FloatRange(min=1), help="Requests per second of one client address; default: 1000.")
@click.option(
    "--deadline-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=AlertSpec().deadline_hours,
    show_default=True,
    help="The page says that forecasts are stale so many hours after the last close of a session without its night.",
)
@user_command
def command(host: str, port: int, rate: float | None, deadline_hours: float) -> None:
    """Answer forecasts over HTTP. New models and nights are picked up while it runs."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings
    from forecast_assets.serving.limits import Limits
    from forecast_assets.serving.loading import Loader, open_model
    from forecast_assets.serving.server import serve as run_server

    limits = Limits() if rate is None else Limits(rate_per_second=rate, burst=2 * rate)
    store, root = open_store()
    scenarios = compose_settings(environment.profile_name(), []).scenarios
    loader = Loader(store, open_model, data_root=root, scenarios=scenarios)
    no_deadline = environment.uses_demo_panel() or environment.as_of() is not None  # as the alerts have it
    run_server(
        loader,
        host=host,
        port=port,
        token=environment.api_token(),
        limits=limits,
        deadline_hours=None if no_deadline else deadline_hours,
    )
