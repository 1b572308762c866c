"""Detect credentials in URLs and settings, which are shown in logs, run pages and manifests.

By patterns and not by parsing: a secret key may hold an unescaped slash.
"""

import re

_PASSWORD = re.compile(r"://(?!/)\S*?:\S*@")
_LOGIN = re.compile(r"(?<!abfs)(?<!abfss)://[^/\s]*@")  # an Azure URL has its container before the @
_PARAMETER = re.compile(
    r"[?&](sig|[^=&\s]*(secret|passw|pwd|token|credential|signature|api_?key|account_?key|access_?key)[^=&\s]*)=",
    re.IGNORECASE,
)
"""Query parameters that hold a secret, as S3, GCS, Azure and databases spell them."""


def has_password(text: str) -> bool:
    """Return whether ``text`` is a URL with a password or a secret parameter; a user name alone is none."""
    return bool(_PASSWORD.search(text)) or ("://" in text and bool(_PARAMETER.search(text)))


def has_credentials(text: str) -> bool:
    """Return whether ``text`` is a URL with anything before an @, or with a secret parameter."""
    return bool(_LOGIN.search(text)) or has_password(text)
