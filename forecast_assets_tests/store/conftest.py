"""The same store in three places: on a disk, in fsspec's memory, and behind a local S3-compatible server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from upath import UPath

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.s3 import local_s3


@pytest.fixture(scope="module")
def s3_environment() -> Iterator[dict[str, str]]:
    with local_s3() as found:
        yield found


@pytest.fixture
def s3_bucket(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a fresh bucket, with the environment that any S3 client reads."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(params=["disk", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    match request.param:
        case "disk":
            return UPath(tmp_path / "store")
        case "memory":
            return UPath(f"memory://{uuid.uuid4().hex}/store")
        case _:
            return UPath(f"{request.getfixturevalue('s3_bucket')}/data/store")


@pytest.fixture
def store(root: UPath, tmp_path: Path) -> Store:
    return Store(root, cache=tmp_path / "cache")


@pytest.fixture
def disk_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
