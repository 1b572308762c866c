"""Whether the code on disk is the code that this process runs: only then does a digest of the files say what ran."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from forecast_assets.core.errors import ChangedMeanwhile
from forecast_assets.store.keys import source_digest


@dataclass(frozen=True)
class Source:
    """A Python file as it was when the process began."""

    mtime_ns: int
    size: int
    content: bytes

    @classmethod
    def of(cls, path: Path) -> "Source":
        stat = path.stat()
        return cls(stat.st_mtime_ns, stat.st_size, path.read_bytes())


class RunningCode:
    """The files below a package as they were when the process began; its modules are imported from then on."""

    def __init__(self, package: Path) -> None:
        self._sources: Mapping[Path, Source] = {path: Source.of(path) for path in sorted(package.rglob("*.py"))}

    def require_unedited(self, paths: Iterable[Path]) -> None:
        """Raise ChangedMeanwhile for the first file whose code is no longer what it was; comments do not count.

        Called before a version is computed and before it is published, it leaves no doubt about the modules that are
        imported in between, also by processes that were started then.
        """
        for path in paths:
            if self._is_edited(path):
                raise ChangedMeanwhile(
                    f"{path.name}: the code was edited after this process began, so what it would publish is not what the "
                    "file says; nothing was published: start it again"
                )

    def _is_edited(self, path: Path) -> bool:
        before = self._sources.get(path)
        if before is None:
            return True
        try:
            stat = path.stat()
            if (stat.st_mtime_ns, stat.st_size) == (before.mtime_ns, before.size):
                return False
            return source_digest(path.read_bytes(), path) != source_digest(before.content, path)
        except (OSError, SyntaxError):  # gone, or half written
            return True
