"""The search finds a planted secret in every encoding; the quick failures leave none behind."""

import base64
import gzip
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
from PIL import Image, PngImagePlugin

from campaigns.canary import LOGIN, SECRETS, Canary, leaks

SECRET = SECRETS["AWS_SECRET_ACCESS_KEY"]


def sqlite(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE events (body TEXT)")
    database.execute("INSERT INTO events VALUES (?)", ("x" * 9_000 + SECRET + "y" * 9_000,))  # over several pages
    database.commit()
    database.close()


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inner", SECRET * 3)


def png(path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", SECRET, zip=True)
    Image.new("L", (2, 2)).save(path, "png", pnginfo=texts)


PLANTS: dict[str, Callable[[Path], object]] = {
    "plain": lambda path: path.write_text(f"key={SECRET};"),
    "url": lambda path: path.write_text(f"?a={quote(SECRET, safe='')}"),
    "hex": lambda path: path.write_text(SECRET.encode().hex()),
    "base64": lambda path: path.write_bytes(base64.b64encode(SECRET.encode())),
    "base64 within": lambda path: path.write_bytes(base64.b64encode(f"user:{SECRET}@".encode())),
    "base64 of an url": lambda path: path.write_bytes(base64.urlsafe_b64encode(f"u:{SECRET}".encode())),
    "gzip": lambda path: path.write_bytes(gzip.compress(SECRET.encode())),
    "zip": zipped,
    "sqlite": sqlite,
    "parquet": lambda path: pl.DataFrame({"a": [SECRET] * 99}).write_parquet(path, compression="zstd"),
    "png": png,
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_secret_is_found(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    (tmp_path / "innocent.txt").write_text("nothing to see")
    assert leaks(tmp_path) == ([], 1)
    plant(tmp_path / "planted")
    found, files = leaks(tmp_path)
    assert found
    assert all(line.startswith("planted: AWS_SECRET_ACCESS_KEY") for line in found)
    assert files == 2


def test_a_service_with_a_bug_and_a_url_with_a_password_leak_no_secret(tmp_path: Path) -> None:
    canary = Canary(tmp_path)
    canary.bug()
    canary.command("url", "status", "--data-dir", f"s3://{LOGIN}@bucket/x")
    canary.command("study", "sweep", "--storage", f"postgresql://{LOGIN}@127.0.0.1:9/db")
    assert canary.codes == {"service bug": 0, "url": 1, "study": 1}
    assert "500" in (tmp_path / "logs" / "service bug.txt").read_text()
    assert leaks(tmp_path)[0] == []
