"""A store on an object store behind fsspec (S3, GCS, memory, ...), made safe by atomic PUTs in a fixed order.

There are no locks: where two writers publish the same partition at once, both versions are kept and the last PUT of
``CURRENT`` wins. The first one is a conditional PUT (If-None-Match), so that of two first commits one wins and both know
which. What was uploaded is read back. One bad read decides nothing: a file is damaged where two downloads are wrong in the
same way. Files are read through a local cache addressed by content, so each is downloaded once. Credentials and
endpoint are read by the library behind the URL (``AWS_ENDPOINT_URL`` and the like).
"""

import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from forecast_assets.core.errors import BadSetting, CorruptArtefact, Unreachable
from forecast_assets.store import locks
from forecast_assets.store.durable import file_sha256, fsync, is_temporary, temporary_beside
from forecast_assets.store.manifest import Entry
from forecast_assets.store.names import DAMAGED, MANIFEST, VERSION_ID, is_name
from forecast_assets.store.place import read_pointer

if TYPE_CHECKING:
    from upath import UPath

_BLOCK = 8 * 2**20
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_DOWNLOADS = 3  # of a file, until two of them agree

P = ParamSpec("P")
T = TypeVar("T")


def _raises_unreachable(method: Callable[P, T]) -> Callable[P, T]:
    """Raise Unreachable for an error of the store or the line, without the library's message, which may quote a request."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if not (_is_the_stores(error) if isinstance(error, OSError) else isinstance(error, _library_errors())):
                raise
            raise Unreachable(
                f"{args[0]}: the object store can't be used ({type(error).__name__}); check the URL, the endpoint "
                "(AWS_ENDPOINT_URL or the like) and the credentials, and whether it is up"
            ) from error

    return call


def _library_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the libraries behind s3:// that are no OSError; they are imported where they raised one."""
    names = (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    )
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _is_the_stores(error: OSError) -> bool:
    """Return whether an error is the store's, such as an HTTP 500, and not one of this machine's disk.

    Those of the disk name a file, or say that it is full or read-only.
    """
    if isinstance(error, ConnectionError | TimeoutError | PermissionError):
        return True
    of_files = isinstance(error, FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError)
    return not of_files and error.filename is None and error.errno not in _OF_THE_DISK


class ObjectStore:
    """See `Place`. A version is written to a folder of the cache and uploaded on publication."""

    def __init__(self, root: "UPath", *, cache: Path | None) -> None:
        # No cached listings: another machine may have published since.
        self._root = type(root)(str(root), **{**root.storage_options, "use_listings_cache": False})
        # One request: s3fs asks for the size of a file first, to fetch a large one in pieces.
        self._small: dict[str, Any] = {"max_concurrency": 1} if root.protocol in ("s3", "s3a") else {}
        self._cache = (cache or _user_cache() / "forecast-assets").absolute()

    def __str__(self) -> str:
        return str(self._root)

    @_raises_unreachable
    def read(self, key: str) -> bytes:
        return bytes(self._fs.cat_file(self._path(key), **self._small))

    @_raises_unreachable
    def replace(self, key: str, data: bytes) -> None:
        self._fs.pipe_file(self._path(key), data)
        if key.endswith(f"/{MANIFEST}"):  # a pointer may be another writer's by now
            self._require_uploaded(key, Entry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)))

    @_raises_unreachable
    def create(self, key: str, data: bytes) -> bool:
        try:
            self._fs.pipe_file(self._path(key), data, mode="create")
        except FileExistsError:
            # The answer to a first try of the library may have been lost: then it is this one's own that is there.
            return self.read(key) == data
        return True

    @_raises_unreachable
    def note(self, key: str, data: bytes) -> None:
        self._fs.pipe_file(self._path(key), data)

    @_raises_unreachable
    def folders(self, key: str) -> list[str]:
        names = (_base(entry) for entry in self._entries(key) if entry["type"] == "directory")
        return sorted(name for name in names if is_name(name))

    @_raises_unreachable
    def sizes(self, key: str) -> dict[str, int]:
        return {_base(entry): int(entry["size"]) for entry in self._entries(key) if entry["type"] == "file"}

    @_raises_unreachable
    def size(self, key: str) -> int:
        return int(self._fs.size(self._path(key)))

    @_raises_unreachable
    def sha256(self, key: str) -> str:
        digest = hashlib.sha256()
        with self._fs.open(self._path(key), "rb", block_size=_BLOCK) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def identity(self, key: str) -> str:
        return key

    def digests(self) -> dict[Hashable, str]:
        return {}  # a key says nothing about what is there by now

    @_raises_unreachable
    def local(self, key: str, *, entry: Entry) -> Path:
        copy = self._copy(key, entry=entry)
        if copy.is_file() and copy.stat().st_size == entry.bytes:
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(copy)
        wrong: set[str] = set()
        try:
            for _ in range(_DOWNLOADS):
                self._fs.get_file(self._path(key), str(temporary))
                digest = file_sha256(temporary)
                if digest == entry.sha256:
                    fsync(temporary)
                    os.replace(temporary, copy)
                    return copy
                if digest in wrong:
                    raise CorruptArtefact(
                        f"{self}/{key}: the downloaded bytes differ from the manifest; publish it again."
                    )
                wrong.add(digest)
        finally:
            temporary.unlink(missing_ok=True)
        raise Unreachable(
            f"{self}/{key}: {_DOWNLOADS} downloads of it differ from each other; the object store or the line to it errs: "
            "run it again"
        )

    def forget_stale_copy(self, key: str, *, entry: Entry) -> None:
        copy = self._copy(key, entry=entry)
        if copy.is_file() and file_sha256(copy) != entry.sha256:
            copy.unlink()

    def exclusive(self, key: str, *, what: str) -> AbstractContextManager[None]:
        return nullcontext()

    def lock_file(self, key: str) -> Path:
        return self._cache / "work" / hashlib.sha256(str(self).encode()).hexdigest()[:16] / f"{key}.lock"

    @_raises_unreachable
    def set_aside(self, key: str, name: str) -> None:
        for file in self.sizes(f"{key}/{name}"):
            self._fs.copy(self._path(f"{key}/{name}/{file}"), self._path(f"{key}/{DAMAGED}{name}/{file}"))
        self._fs.rm(self._path(f"{key}/{name}"), recursive=True)

    @_raises_unreachable
    def remove(self, key: str) -> None:
        self._fs.rm(self._path(f"{key}/{MANIFEST}"))
        self._fs.rm(self._path(key), recursive=True)

    def workspace(self, key: str) -> Path:
        path = self._cache / "staging" / key.replace("/", "+")  # no name holds a plus, so none of these collide
        path.mkdir(parents=True)
        return path

    @_raises_unreachable
    def settle(self, workspace: Path, key: str, *, files: dict[str, Entry], twins: dict[str, str]) -> None:
        for name, entry in files.items():
            self._fs.put_file(str(workspace / name), self._path(f"{key}/{name}"))
            self._require_uploaded(f"{key}/{name}", entry)

    def _require_uploaded(self, key: str, entry: Entry) -> None:
        """Raise Unreachable where a file, read back, is not what was uploaded."""
        if self.size(key) != entry.bytes or self.sha256(key) != entry.sha256:
            raise Unreachable(
                f"{self}/{key}: what the object store holds is not what was uploaded; nothing was published, run it again"
            )

    def tidy(self, key: str) -> list[str]:
        return []  # a killed writer looks like a slow one on another machine; `sweep` goes by age

    @_raises_unreachable
    def sweep(self, *, older_than_seconds: float) -> list[str]:
        """Remove by age alone, since writers may be on other machines: allow for the longest upload."""
        before = time.time() - older_than_seconds
        return self._sweep_versions(before=before) + self._sweep_cache(before=before)

    def _sweep_versions(self, *, before: float) -> list[str]:
        removed = []
        for asset in self.folders(""):
            for partition in self.folders(asset):
                key = f"{asset}/{partition}"
                current = (read_pointer(self, key) or "").strip()
                for name in self.folders(key):
                    version = f"{key}/{name}"
                    files = self.sizes(version)
                    if VERSION_ID.fullmatch(name) is None or name == current or MANIFEST in files:
                        continue
                    paths = [self._path(f"{version}/{file}") for file in files]
                    if all(self._fs.modified(path).timestamp() <= before for path in paths):
                        self._fs.rm(self._path(version), recursive=True)
                        removed.append(version)
        return removed

    def _sweep_cache(self, *, before: float) -> list[str]:
        removed = []
        for folder in sorted((self._cache / "staging").glob("*")):
            if folder.stat().st_mtime <= before and not locks.is_held(folder):
                shutil.rmtree(folder)
                removed.append(str(folder))
        for path in sorted((self._cache / "sha256").glob("*/.*")):
            if is_temporary(path.name) and path.stat().st_mtime <= before:
                path.unlink()
                removed.append(str(path))
        return removed

    def _copy(self, key: str, *, entry: Entry) -> Path:
        return self._cache / "sha256" / entry.sha256 / key.rsplit("/", 1)[1]  # the name too: readers need its suffix

    @property
    def _fs(self) -> Any:
        return self._root.fs

    def _path(self, key: str) -> str:
        return f"{self._root.path.rstrip('/')}/{key}".rstrip("/")

    def _entries(self, key: str) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = self._fs.ls(self._path(key), detail=True)
        except FileNotFoundError:
            return []
        return [entry for entry in entries if not entry["name"].endswith("/")]  # not the marker of the folder itself


def _base(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rsplit("/", 1)[-1]


def _user_cache() -> Path:
    """Return the user's cache folder. Raises BadSetting where there is no home to have one in."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise BadSetting("XDG_CACHE_HOME: there is no home folder for copies of remote files; name a folder") from error
