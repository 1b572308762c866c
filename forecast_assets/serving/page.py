"""The two pages: a fan chart for people and the list of routes. Each is one self-contained file."""

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
    """The page at /."""
    return (_TEMPLATES / "forecast.html.j2").read_text(encoding="utf-8")


def docs_page(document: dict[str, Any]) -> str:
    """The routes of an OpenAPI document, readable without network."""
    template = Environment(autoescape=True).from_string((_TEMPLATES / "docs.html.j2").read_text(encoding="utf-8"))
    return template.render(document=document)


def _policy() -> str:
    """A browser runs the page's own script, asks this service alone, and loads nothing else."""
    script = _SCRIPT.findall(forecast_page())[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


CSP = _policy()
