"""An HTTP server on loopback with the part of Slack's Web API that alerts use."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOKEN = "xoxb-secret-of-the-test"
CHANNEL = "C0123456789"


class SlackApi:
    """Keeps what was posted. Each chat.postMessage takes the next of ``faults``: None, or what goes wrong with it."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.faults: list[str | None] = []
        self.readable = True
        self.retry_after_seconds = 7
        self.calls: list[str] = []
        self.release = threading.Event()

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                api.answer(self)

            do_GET = do_POST  # noqa: N815 - likewise

            def log_message(self, format: str, *arguments: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/api/"

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.posted]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        method = path.rsplit("/", 1)[-1]
        self.calls.append(method)
        body = request.rfile.read(int(request.headers.get("content-length") or 0)).decode()
        if (request.headers.get("content-type") or "").startswith("application/json"):
            given = json.loads(body or "{}")
        else:
            given = {key: values[0] for key, values in urllib.parse.parse_qs(f"{body}&{query}").items()}
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _reply(request, {"ok": False, "error": "invalid_auth"})
        if given.get("channel") != CHANNEL:
            return _reply(request, {"ok": False, "error": "channel_not_found"})
        if method == "conversations.history":
            if not self.readable:
                return _reply(request, {"ok": False, "error": "missing_scope"})
            recent = [message for message in self.posted if float(message["ts"]) >= float(given["oldest"])]
            return _reply(request, {"ok": True, "messages": recent[::-1], "has_more": False})
        return self._post(request, given)

    def _post(self, request: BaseHTTPRequestHandler, given: dict[str, Any]) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault == "refused":
            return _reply(request, {"ok": False, "error": "not_in_channel"})
        if fault == "busy":
            return _reply(
                request,
                {"ok": False, "error": "ratelimited"},
                status=429,
                headers={"Retry-After": str(self.retry_after_seconds)},
            )
        if fault == "broken":
            return _reply(request, "<html>Bad gateway</html>", status=502)
        metadata = given["metadata"]
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        # Slack's clock, far from the tests' own: the age of a message is not tested.
        self.posted.append({"text": given["text"], "metadata": metadata, "ts": f"{4e9 + len(self.posted):.6f}"})
        if fault == "hangs":  # posted, but the answer never comes
            self.release.wait(30)
            request.close_connection = True
            return None
        if fault == "cut":  # posted, and the connection dropped
            request.close_connection = True
            return None
        return _reply(request, {"ok": True, "channel": CHANNEL, "ts": self.posted[-1]["ts"]})


def _reply(
    request: BaseHTTPRequestHandler, content: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> None:
    text = isinstance(content, str)
    data = (content if text else json.dumps(content)).encode()
    request.send_response(status)
    for name, value in {"Content-Type": "text/html" if text else "application/json", **(headers or {})}.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
