"""Requests of another site's page to a real Dagster UI: how many have an effect.

    python -m campaigns.cross_site

Each request of ``forecast_assets_tests/helpers/cross_site.py`` goes to ``forecast-assets ui`` as a browser sends it, with a
mutation that launches a run or with the report of a materialisation. An effect is a run, an event of an asset, or
an answer that is not a rejection. The same mutation as the UI's own page sends it, at the end, shows that it has one.
"""

import json
import socket
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from forecast_assets_tests.helpers.cross_site import Asked, cross_site
from forecast_assets_tests.helpers.server import DagsterServer
from tools.results import record

SELECTOR = '{repositoryLocationName:"forecast_assets",repositoryName:"__repository__",jobName:"panel"}'
LAUNCH = f"mutation{{launchRun(executionParams:{{selector:{SELECTOR}}}){{__typename}}}}"
EVENTS = '{assetOrError(assetKey:{path:["raw_panel"]}){... on Asset{assetMaterializations{timestamp}}}}'


def send(port: int, asked: Asked) -> int:
    """Send one request as it is; return the status, 0 where the connection is dropped."""
    host = asked.host if asked.host is not None else f"localhost:{port}"
    headers = [("Host", host), *asked.headers, ("Connection", "close"), ("Content-Length", str(len(asked.body)))]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"{asked.method} {asked.path} HTTP/1.1\r\n{head}\r\n".encode() + asked.body)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def main() -> None:
    """Send all requests, count effects, record."""
    with tempfile.TemporaryDirectory() as folder, DagsterServer(Path(folder)) as server:
        requests = list(cross_site(LAUNCH))
        statuses = Counter(send(server.port, asked) for asked in requests)
        rejected = sum(count for status, count in statuses.items() if status in (0, 400, 403, 405, 415))
        runs = len(server.runs())
        events = len((server.ask(EVENTS)["assetOrError"] or {}).get("assetMaterializations", []))
        effects = runs + events + len(requests) - rejected
        control = server.ask(LAUNCH)["launchRun"]["__typename"]
    details: dict[str, Any] = {"requests": len(requests), "statuses": {str(k): n for k, n in sorted(statuses.items())}}
    details |= {"runs": runs, "events": events, "control": control}
    figures = {"cross_site_effects": {"value": effects, **details}}
    print(json.dumps(figures, indent=2))
    print(record("cross_site", figures, command="python -m campaigns.cross_site"))


if __name__ == "__main__":
    main()
