"""Credentials have no place in a URL or a knob: both stand in logs, run pages and manifests.

Told by their shape and not by parsing: a secret key with a slash in it, not escaped, is still one.
"""

import re

_PASSWORD = re.compile(r"://(?!/)\S*?:\S*@")
_LOGIN = re.compile(r"(?<!abfs)(?<!abfss)://[^/\s]*@")  # Azure's name their container before the @
_PARAMETER = re.compile(
    r"[?&](sig|[^=&\s]*(secret|passw|pwd|token|credential|signature|api_?key|account_?key|access_?key)[^=&\s]*)=",
    re.IGNORECASE,
)
"""Query parameters that hold a secret, as S3, GCS, Azure and databases spell them."""


def has_password(text: str) -> bool:
    """Whether ``text`` is a URL with a password or a secret parameter in it; a user alone is none."""
    return bool(_PASSWORD.search(text)) or ("://" in text and bool(_PARAMETER.search(text)))


def has_credentials(text: str) -> bool:
    """Whether ``text`` is a URL with anything before an @, or a secret parameter, in it."""
    return bool(_LOGIN.search(text)) or has_password(text)
