"""The service on a loopback port of its own, in a thread of this process."""

import socket
import threading
from types import TracebackType
from typing import Any

import httpx2 as httpx
import uvicorn

from forecast_assets.serving.app import create_app
from forecast_assets.serving.connections import IN_ALL
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.protocol import bounded_protocol


class LiveService:
    """``with LiveService(loader) as service: service.client.get("/predict")``."""

    def __init__(self, loader: Loader, *, connections: int = IN_ALL, **options: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = create_app(loader, **({"poll_seconds": 0.02} | options))
        protocol = bounded_protocol(connections=connections)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", http=protocol))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> "LiveService":
        self._thread.start()
        self.client = httpx.Client(base_url=self.url, timeout=20)
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the service did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive()
