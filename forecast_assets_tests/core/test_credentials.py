"""Credentials in URLs are recognised."""

import pytest

from forecast_assets.core.credentials import has_credentials, has_password


@pytest.mark.parametrize(
    ("text", "password", "credentials"),
    [
        ("s3://bucket/folder", False, False),
        ("s3://AKIA:se/cr+et@bucket/folder", True, True),
        ("postgresql://user@host/db", False, True),
        ("postgresql://user:p@ss@host/db", True, True),
        ("https://host/x?X-Amz-Signature=1", True, True),
        ("abfs://c@account.dfs.core.windows.net/x", False, False),
        ("https://account.blob.core.windows.net/x?sv=1&sig=abc", True, True),
        ("sqlite:///C:/a@b.db", False, False),
        ("gs://bucket/a?design=1", False, False),
        ("data/demo", False, False),
    ],
)
def test_credentials_in_a_url_are_recognised_by_their_form(text: str, password: bool, credentials: bool) -> None:
    assert (has_password(text), has_credentials(text)) == (password, credentials)
