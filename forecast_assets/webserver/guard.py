"""Which requests the Dagster UI answers, as ASGI middleware.

Dagster's webserver asks nobody who they are, and launches a run for a GET. So a page that its user happens to read could
operate it by a picture. A request passes only under a name of this server and from its own pages (``serving.same_site``),
and has an effect only as a POST of JSON, which no form and no picture can send.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecast_assets.serving.same_site import refusal

OPEN_PATH = "server_info"  # versions alone; a cluster's probes ask for it under the address of a pod
NO_PAGES = frozenset({"graphql", "logs", "download_debug", "dagit_info", "server_info"})
NOT_OFFERED = frozenset({"notebook", "dagit"})  # would read any notebook whose path is named; no asset has one
ANSWER_HEADERS = {
    "x-frame-options": "DENY",  # in a frame, its buttons could be laid under another page's
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
HIDDEN = 404
FORBIDDEN = 403


class Guard:
    """Lets requests to ``app`` pass that come from its own pages, or from a program, under one of the names ``hosts``."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], prefix: str = "") -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif (rejected := self._rejection(scope)) is None:
            await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": rejected[1]})
        else:
            status, sentence = rejected
            await PlainTextResponse(f"{sentence}\n", status)(scope, receive, _with_headers(send))

    def _rejection(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a request that may not pass; None for one that may."""
        method = scope.get("method", "GET")
        first = scope["path"].removeprefix(self._prefix).strip("/").partition("/")[0]
        reads = method in ("GET", "HEAD")
        if reads and first == OPEN_PATH:
            return None
        is_page = reads and scope["type"] == "http" and first not in NO_PAGES
        if why := refusal(scope["headers"], hosts=self._hosts, is_page=is_page):
            return (
                FORBIDDEN,
                f"{why} FORECAST_UI_HOSTS names the hosts under which the UI is reached beyond this machine.",
            )
        if first in NOT_OFFERED:
            return HIDDEN, "There are no notebooks here."
        if scope["type"] == "websocket":
            return None
        headers = Headers(scope=scope)
        if reads:
            # Dagster executes what a GET asks for, mutations too, unless a browser wants to see the page of that path.
            if first == "graphql" and "text/html" not in headers.get("accept", ""):
                return 405, "GraphQL is answered to a POST alone."
            return None
        if method != "POST":
            return 405, "Only GET, HEAD and POST are answered."
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "A POST is answered where its content type is application/json."
        return None


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds ``ANSWER_HEADERS``."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ANSWER_HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
