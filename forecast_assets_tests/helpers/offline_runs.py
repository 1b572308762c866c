"""Offline W&B runs of a folder."""

import time
from pathlib import Path

PATIENCE_SECONDS = 60.0


def offline_runs(folder: Path, *, holding: bytes = b"") -> list[Path]:
    """The run files, sorted, each once it holds ``holding``.

    W&B's service writes a file after the run has said that it is finished, on a busy machine a while after.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
        late = [path for path in found if holding not in path.read_bytes()]
        if not late:
            return found
        assert time.monotonic() < deadline, f"{late[0]} never held {holding!r}"
        time.sleep(0.05)
