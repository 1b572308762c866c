"""The same store in three places: on a disk, in fsspec's memory, and behind a local S3-compatible server."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from upath import UPath

from forecast_assets.store.store import Store


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a fresh bucket, with the environment that any S3 client reads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
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
