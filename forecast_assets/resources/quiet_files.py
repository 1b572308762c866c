"""Wait for input files that are still being written: a copy shows as a size or a time of writing that moves."""

import time
from collections.abc import Iterator
from pathlib import Path

from forecast_assets.core.panel.adapters.folders import DONE, UNFINISHED, files_below

LIMIT_SECONDS = 60.0  # for which a run waits; what is still being written then comes with a later one


def wait_until_quiet(path: Path, *, seconds: float) -> list[str]:
    """Wait until no file of a panel (a file, or a folder of them) was written to for ``seconds``, at most a minute.

    Returns the names of those that are being written still. A file with a marker beside it (``prices.csv.done``) is
    complete; one whose time of writing is to come was not written just now.
    """
    if not seconds:
        return []
    until = time.monotonic() + max(LIMIT_SECONDS, seconds)
    while True:
        ages = dict(_ages(path))
        moving = {name: age for name, age in ages.items() if 0 <= age < seconds}
        if not moving or time.monotonic() >= until:
            return sorted(moving)
        time.sleep(min(seconds - min(moving.values()), max(until - time.monotonic(), 0.0)) + 0.01)


def _ages(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the name of each file that may be read, and the seconds since it was written to."""
    for file in files_below(path) if path.is_dir() else [path]:
        if file.name.startswith(".") or file.name.lower().endswith((*UNFINISHED, DONE)):
            continue
        try:
            if file.is_file() and not file.with_name(file.name + DONE).exists():
                age = time.time() - file.stat().st_mtime
                yield (file.relative_to(path).as_posix() if file != path else file.name), age
        except FileNotFoundError:
            continue  # renamed or removed meanwhile
