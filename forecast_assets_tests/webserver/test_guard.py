"""The guard in front of the Dagster UI: what passes and what does not. The app behind it notes what reaches it."""

import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from forecast_assets.core.errors import BadSetting
from forecast_assets.resources import environment
from forecast_assets.serving.same_site import LOOPBACK, host_name
from forecast_assets.webserver.guard import ANSWER_HEADERS, Guard
from forecast_assets_tests.helpers.cross_site import ELSEWHERE, HOSTS, Asked, cross_site

MUTATION = "mutation{launchRun(executionParams:{}){__typename}}"
OWN = {"origin": "http://localhost:3000", "sec-fetch-site": "same-origin", "content-type": "application/json"}
JSON = {"content-type": "application/json"}
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


class Ui:
    """A guarded app that answers everything with 200, and notes what reached it."""

    def __init__(self, prefix: str = "", hosts: frozenset[str] = LOOPBACK) -> None:
        self.reached: list[str] = []
        self.client = TestClient(Guard(self._app, hosts=hosts, prefix=prefix), base_url="http://localhost:3000")

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope["path"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, asked: Asked) -> int:
        return asyncio.run(self._ask(asked))

    async def _ask(self, asked: Asked) -> int:
        """Send ``asked`` as it is: a client would refuse some of these headers, or correct them."""
        path, _, query = asked.path.partition("?")
        headers = [(b"host", (asked.host if asked.host is not None else "localhost:3000").encode())]
        headers += [(name.encode(), value.encode()) for name, value in asked.headers]
        scope: dict[str, Any] = {"type": "http", "method": asked.method, "path": path, "query_string": query.encode()}
        answered: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": asked.body}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        await self.client.app(scope | {"headers": headers}, receive, send)
        return answered[0]


def test_no_request_of_another_sites_page_reaches_the_app() -> None:
    ui, requests = Ui(), list(cross_site(MUTATION))
    assert len(requests) >= 100
    assert {ui.ask(asked) for asked in requests} <= {403, 405, 415}
    assert ui.reached == []


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST:3000", "localhost"])
def test_the_uis_own_page_and_a_program_without_a_browser_reach_the_app(host: str) -> None:
    ui = Ui()
    own = {**OWN, "origin": f"http://{host.lower()}", "host": host}
    assert ui.client.post("/graphql", json={}, headers=own).status_code == 200
    assert ui.client.post("/graphql", json={}, headers={"host": host}).status_code == 200
    for path in ("/", "/runs/1", "/vendor/x.js", "/logs/1/compute_logs/x/err"):
        assert ui.client.get(path, headers={"host": host, "sec-fetch-site": "same-origin"}).status_code == 200
    assert (
        ui.client.get("/graphql", headers={"host": host, "accept": "text/html,*/*"}).status_code == 200
    )  # its console
    assert len(ui.reached) == 7


def test_a_link_on_another_site_leads_to_a_page_and_to_nothing_else() -> None:
    ui = Ui()
    assert ui.client.get("/runs/1", headers=FOLLOWED).status_code == 200
    for path in ("/graphql", "/logs/1/compute_logs/x/err", "/download_debug/1"):
        assert ui.client.get(path, headers={**FOLLOWED, "accept": "text/html"}).status_code == 403
    assert ui.client.get("/runs/1", headers={**FOLLOWED, "sec-fetch-dest": "iframe"}).status_code == 403
    assert ui.reached == ["/runs/1"]


def test_a_web_socket_of_another_sites_page_is_rejected() -> None:
    ui = Ui()
    own = {"host": "localhost:3000"}
    with ui.client.websocket_connect("/graphql", headers={**own, "origin": "http://localhost:3000"}):
        pass
    for headers in ({"origin": ELSEWHERE}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            ui.client.websocket_connect("/graphql", headers={**own, **headers}),
        ):
            pass
        assert closed.value.code == 1008
    assert ui.reached == ["/graphql"]


def test_behind_a_path_prefix_the_same_rules_hold() -> None:
    ui = Ui(prefix="/dagster")
    assert ui.client.get("/dagster/runs/1", headers=FOLLOWED).status_code == 200
    assert ui.client.get("/dagster/graphql", headers=FOLLOWED).status_code == 403
    assert ui.client.get("/dagster/graphql", params={"query": MUTATION}).status_code == 405
    assert ui.reached == ["/dagster/runs/1"]


def test_a_probe_gets_the_versions_under_any_name_and_nobody_gets_a_notebook() -> None:
    ui = Ui()
    assert ui.client.get("/server_info", headers={"host": "10.0.0.7:3000"}).status_code == 200
    assert ui.client.get("/notebook", params={"path": "/home/x/y.ipynb"}).status_code == 404
    assert ui.client.get("/dagit/notebook", params={"path": "/home/x/y.ipynb"}).status_code == 404
    assert ui.reached == ["/server_info"]


def test_no_page_of_another_site_may_frame_the_ui() -> None:
    assert ANSWER_HEADERS.items() <= dict(Ui().client.get("/").headers).items()
    assert ANSWER_HEADERS["x-frame-options"] == "DENY"


def test_a_request_with_two_hosts_is_rejected() -> None:
    ui = Ui()
    assert ui.ask(Asked("GET", "/", (("host", "localhost:3000"),))) == 403
    assert ui.reached == []


def test_the_hosts_beyond_loopback_are_named_by_whoever_starts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.ui_hosts() == frozenset()
    monkeypatch.setenv("FORECAST_UI_HOSTS", "Dagster.example.org, 10.0.0.7")
    assert environment.ui_hosts() == {"dagster.example.org", "10.0.0.7"}
    ui = Ui(hosts=LOOPBACK | environment.ui_hosts())
    own = {**JSON, "host": "dagster.example.org", "origin": "https://dagster.example.org"}
    assert ui.client.post("/graphql", json={}, headers=own).status_code == 200
    assert ui.client.post("/graphql", json={}, headers={**own, "origin": ELSEWHERE}).status_code == 403
    monkeypatch.setenv("FORECAST_UI_HOSTS", "https://dagster.example.org:3000")
    with pytest.raises(BadSetting, match=r"is no host name; write dagster\.example\.org, without https://"):
        environment.ui_hosts()


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_is_read_whole_or_not_at_all(host: str) -> None:
    assert host_name(host) not in LOOPBACK
