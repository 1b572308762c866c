"""Whether a request comes from where a browser's user wants it: under a name of this server, and from its own pages.

Any web page can make its reader's browser send requests to a server that this browser reaches, on loopback too: by a
picture, a form, a script, a WebSocket, or under a name of its own that it lets point to this address.
"""

import re
from collections.abc import Collection, Iterable

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Headers = Iterable[tuple[bytes, bytes]]

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


def refusal(headers: Headers, *, hosts: Collection[str], is_page: bool) -> str | None:
    """Return why a request may not pass, as a sentence; None for one that may.

    ``hosts``: the names of this server, in lower case, without ports. ``is_page``: a page without effects, to which a link
    on another site may lead. Programs send neither ``Origin`` nor ``Sec-Fetch-Site``, and pass by their ``Host`` alone.
    """
    given: dict[bytes, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.lower(), []).append(value.decode("latin-1"))
    host = given.get(b"host", [])
    if len(host) != 1 or host_name(host[0]) not in hosts:
        return "The request names another host than this server."
    if any(not _is_origin_of(origin, host[0]) for origin in given.get(b"origin", [])):
        return "The request comes from another site's page."
    fetched = given.get(b"sec-fetch-site", [])
    if any(site not in ("same-origin", "none") for site in fetched):
        follows_link = given.get(b"sec-fetch-mode") == ["navigate"] and given.get(b"sec-fetch-dest") == ["document"]
        if not (is_page and follows_link):
            return "The request comes from another site's page."
    return None


def host_name(host: str) -> str | None:
    """Return the name in a ``Host`` header in lower case, an IPv6 address without its brackets; None for no valid header."""
    found = _AUTHORITY.fullmatch(host)
    return None if found is None else found["name"].strip("[]").lower()


def _is_origin_of(origin: str, host: str) -> bool:
    """Return whether ``Origin`` is this ``Host``, with any scheme: a proxy may have taken TLS off."""
    scheme, separator, authority = origin.partition("://")
    here, there = _AUTHORITY.fullmatch(host), _AUTHORITY.fullmatch(authority)
    if not separator or scheme not in _PORTS or here is None or there is None:
        return False
    own = _PORTS[scheme]
    return here["name"].lower() == there["name"].lower() and (here["port"] or own) == (there["port"] or own)
