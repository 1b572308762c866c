"""Running the service: uvicorn on one address."""

import logging

import uvicorn

from forecast_assets.core.errors import BadSetting
from forecast_assets.serving.app import create_app
from forecast_assets.serving.connections import IN_ALL
from forecast_assets.serving.freshness import Deadline
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.protocol import bounded_protocol
from forecast_assets.serving.same_site import LOOPBACK

IDLE_SECONDS = 30
GRACE_SECONDS = 15


def serve(
    loader: Loader,
    *,
    host: str,
    port: int,
    token: str | None,
    limits: Limits,
    deadline_hours: float | None,
    poll_seconds: float = 1.0,
) -> None:
    """Serve until stopped. Raises BadSetting for an address beyond this machine without a token."""
    checked_host(host, token=token)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = create_app(loader, token=token, limits=limits, deadline=Deadline(deadline_hours), poll_seconds=poll_seconds)
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=bounded_protocol(connections=IN_ALL),  # in place of uvicorn's limit, over which it turns all away
        log_level="error",  # warnings about malformed or rejected requests would let clients fill the log
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def checked_host(host: str, *, token: str | None) -> None:
    """Raise BadSetting for a host beyond loopback without a token, and for a token that is too short."""
    if token is None and host not in LOOPBACK:
        raise BadSetting(f"serve: without FORECAST_API_TOKEN only loopback is served, not {host}; set a token.")
    if token is not None and (len(token) < 16 or not token.isascii() or token != token.strip()):
        raise BadSetting("FORECAST_API_TOKEN: needs 16 ASCII characters or more, without spaces around them.")
