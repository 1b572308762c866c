"""Many connections and long pipelines of one client: bounded, and nobody else's trouble."""

import contextlib
import socket

import pytest

from forecast_assets.serving.connections import ConnectionTable
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.protocol import PIECE_BYTES, BoundedProtocol
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import open_stub, small_store

LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ANSWERED = b'{"live":true}'


class Idle:
    """A connection that is idle or not, and notes that it was closed."""

    def __init__(self, *, idle: bool = True) -> None:
        self.idle = idle
        self.closed = False

    def is_idle(self) -> bool:
        return self.idle

    def close(self) -> None:
        self.closed = True


def test_over_its_limit_a_client_loses_the_connection_it_used_least_recently() -> None:
    table = ConnectionTable(per_client=3, in_all=100)
    a, b, c, d = (Idle() for _ in range(4))
    for one in (a, b, c):
        assert table.add(one, "x")
    table.touch(a, "x")
    assert table.add(d, "x")
    assert [one.closed for one in (a, b, c, d)] == [False, True, False, False]
    assert len(table) == 3


def test_a_connection_that_is_being_answered_is_not_closed_for_another() -> None:
    table = ConnectionTable(per_client=2, in_all=100)
    busy, idle, third = Idle(idle=False), Idle(), Idle(idle=False)
    assert all(table.add(one, "x") for one in (busy, idle, third))
    assert (busy.closed, idle.closed) == (False, True)
    assert not table.add(Idle(), "x")  # none is idle besides itself
    assert not busy.closed


def test_over_the_limit_of_all_the_client_with_the_most_makes_room() -> None:
    table = ConnectionTable(per_client=10, in_all=4)
    many = [Idle() for _ in range(4)]
    assert all(table.add(one, "many") for one in many)
    other = Idle()
    assert table.add(other, "other")
    assert [one.closed for one in many] == [True, False, False, False]
    assert not other.closed


def test_a_closed_connection_leaves_nothing_behind() -> None:
    table = ConnectionTable()
    one = Idle()
    table.add(one, "x")
    for _ in range(2):
        table.remove(one, "x")
    assert len(table) == 0
    assert table._of == {}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> object:
    small_store(store := Store(tmp_path_factory.mktemp("store")))
    with LiveService(Loader(store, open_stub), connections=20) as started:
        yield started


def connected(service: LiveService, *, source: str = "127.0.0.1") -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))


def test_idle_connections_of_one_client_keep_nobody_out(service: LiveService) -> None:
    idle = [connected(service) for _ in range(40)]
    for source in ("127.0.0.1", "127.0.0.2"):
        with connected(service, source=source) as connection:
            connection.sendall(LIVE)
            assert ANSWERED in connection.recv(4096)
    assert idle[0].recv(1) == b""  # closed for a newer one
    for one in idle:
        one.close()


def test_a_pipeline_is_answered_whole_and_in_order(service: LiveService) -> None:
    wanted = 500
    with connected(service) as connection:
        connection.sendall((LIVE + b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") * wanted)
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 2 * wanted or not answers.endswith(b"}"):
            answers += connection.recv(65_536)
    statuses = [answer[:3] for answer in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404"] * wanted


def stuff(flood: socket.socket) -> None:
    """Send a pipeline without reading an answer, until the service reads no more of it."""
    flood.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # its system keeps few answers for it
    flood.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        for _ in range(1000):
            flood.sendall(LIVE * 1000)


def test_of_a_pipeline_no_more_is_parsed_than_a_piece_ahead(
    service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    parse = BoundedProtocol._parse

    def watched(protocol: BoundedProtocol) -> None:
        nonlocal longest
        parse(protocol)
        longest = max(longest, len(protocol.pipeline))

    monkeypatch.setattr(BoundedProtocol, "_parse", watched)
    with connected(service) as flood, connected(service, source="127.0.0.2") as other:
        stuff(flood)
        other.sendall(LIVE)
        assert ANSWERED in other.recv(4096)
    assert 0 < longest <= PIECE_BYTES // len(LIVE) + 1
