"""The HTML pages, each self-contained: the desk, and the list of endpoints with examples; and the pages' policies."""

import base64
import functools
import hashlib
import json
import re
import shlex
from typing import Any
from urllib.parse import urlencode

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from forecast_assets.core.spreadsheet import FORMULA

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@functools.cache
def desk_page() -> tuple[str, str]:
    """Return the page at / and its policy: its own script, requests to this service alone, nothing else."""
    html = _environment().get_template("desk.html.j2").render(formula=FORMULA)
    return html, _policy(html, "connect-src 'self'", "img-src data:")


def docs_page(document: dict[str, Any], *, address: str) -> tuple[str, str]:
    """Render the endpoints of an OpenAPI document, with commands to try them at ``address``; and the page's policy."""
    template = _environment().get_template("docs.html.j2")
    html = template.render(document=document, endpoints=endpoints(document, address=address))
    return html, _policy(html, "img-src data:")


@functools.lru_cache(maxsize=2)
def report_policy(html: bytes) -> str:
    """Return the policy of a published report: its own script, in an origin of its own, and no request at all."""
    return _policy(html.decode(), "sandbox allow-scripts allow-modals")


def endpoints(document: dict[str, Any], *, address: str) -> list[dict[str, Any]]:
    """Return the operations of an OpenAPI document, each with its body's schema, an example of it, and a command."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            body = content and json.dumps(example(content["schema"], document))
            entry = {"method": method.upper(), "path": path, "operation": operation, "body": body}
            entry["schema"] = content and content["schema"].get("$ref", "").rpartition("/")[2]
            asked = {one["name"]: example(one["schema"], document) for one in operation.get("parameters", ())}
            url = f"{address}{path}" + (f"?{urlencode(asked)}" if asked else "")
            sent = ["-H", "content-type: application/json", "-d", body] if body else []
            found.append({**entry, "command": shlex.join(["curl", url, *sent])})
    return found


def example(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """Return a value that a JSON schema allows: its own example, else one made of those of its parts."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if schema.get("type") == "array":
        return [example(schema["items"], document)]
    return {name: example(of, document) for name, of in schema["properties"].items()}


@functools.cache
def _environment() -> Environment:
    """Return the templates of the pages, beside the report's, whose style they share."""
    places = [
        PackageLoader(package, "templates") for package in ("forecast_assets.serving", "forecast_assets.core.report")
    ]
    return Environment(loader=ChoiceLoader(places), autoescape=True, undefined=StrictUndefined)


def _policy(html: str, *more: str) -> str:
    """Return the content security policy of a page whose scripts are those in it, with what else it needs."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in _SCRIPT.findall(html)]
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    fixed = f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return "; ".join([fixed, "frame-ancestors 'none'", *more])
