"""Requests that a browser sends for another site's page, and those that the UI's own page and its users' programs send."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

ELSEWHERE = "https://evil.example"
HOSTS = (
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:3000", "[::1].evil.example"),
    *("[::1]evil.example:3000", "localhost:3000:80", "localhost@evil.example", "127.0.0.1:x", ""),
)
"""Names that a page's owner may let point to this machine, and headers that are none."""


@dataclass(frozen=True)
class Asked:
    """One request: what a browser sends of it, beside the ``Host`` unless it is given."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    host: str | None = None


def cross_site(mutation: str) -> Iterator[Asked]:
    """Yield requests that another site's page can make a browser send, each with the GraphQL ``mutation``."""
    query, body = f"?query={quote(mutation)}", json.dumps({"query": mutation}).encode()
    fetched = [(("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")) for site in ("cross-site", "same-site")]
    origins = [(("origin", origin),) for origin in (ELSEWHERE, "null", "http://localhost:9999", "http://127.0.0.1")]
    paths = [f"/graphql{query}", f"/graphql/{query}", f"//graphql{query}", f"/graphql{query}&operationName=x"]
    paths.append(f"/graphql{query}&variables=%7B%7D")
    for path in paths:
        # A picture, a script, a style sheet, a link, a frame; an old browser says nothing of where it comes from.
        yield from (Asked("GET", path, headers) for headers in fetched)
        yield from (Asked(method, path) for method in ("GET", "HEAD"))
        yield Asked("GET", path, (("accept", "image/avif,image/webp,*/*;q=0.8"), ("referer", ELSEWHERE)))
        yield Asked("GET", path, (*fetched[0][:1], ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")))
        # A form: of three content types, and with the query in its address.
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            yield Asked("POST", path, (("content-type", kind), *origins[0]))
            yield Asked("POST", path, (("content-type", kind),))
    for kind in ("text/plain", "application/graphql", "text/plain; application/json", ""):
        yield Asked("POST", "/graphql", (("content-type", kind),), body)
    for origin in origins:  # a script; the preflight would fail, and so does the request itself
        yield Asked("POST", "/graphql", (("content-type", "application/json"), *origin), body)
        yield Asked("OPTIONS", "/graphql", (*origin, ("access-control-request-method", "POST")))
        yield Asked("POST", "/report_asset_materialization/raw_panel", origin)
    for headers in fetched:
        yield Asked("POST", "/graphql", (("content-type", "application/json"), *headers), body)
        yield Asked("POST", "/report_asset_observation/raw_panel", headers)
    yield Asked("POST", "/report_asset_check/raw_panel?check_name=truncation&passed=true")
    for host in HOSTS:  # a name of the page's owner that leads to this machine: then all is of one origin
        same = (("origin", f"http://{host}"), ("sec-fetch-site", "same-origin"), ("content-type", "application/json"))
        yield Asked("POST", "/graphql", same, body, host=host)
        yield Asked("GET", paths[0], host=host)
    for method in ("PUT", "PATCH", "DELETE"):
        yield Asked(method, f"/graphql{query}", (("content-type", "application/json"),), body)
