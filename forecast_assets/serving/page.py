"""The two HTML pages, each self-contained: the fan chart of a forecast and the list of endpoints."""

import base64
import functools
import hashlib
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment

_TEMPLATES = files("forecast_assets") / "serving" / "templates"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@functools.cache
def forecast_page() -> str:
    """Return the page at /."""
    return (_TEMPLATES / "forecast.html.j2").read_text(encoding="utf-8")


def docs_page(document: dict[str, Any]) -> str:
    """Render the endpoints of an OpenAPI document, readable without network."""
    template = Environment(autoescape=True).from_string((_TEMPLATES / "docs.html.j2").read_text(encoding="utf-8"))
    return template.render(document=document)


def _policy() -> str:
    """Return the content security policy: the page's own script, requests to this service alone, nothing else."""
    script = _SCRIPT.findall(forecast_page())[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


CSP = _policy()
