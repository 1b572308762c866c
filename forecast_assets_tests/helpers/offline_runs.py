"""Find the offline W&B runs of a folder."""

import time
from pathlib import Path

TIMEOUT_SECONDS = 60.0


def offline_runs(folder: Path, *, holding: bytes = b"") -> list[Path]:
    """Return the run files, sorted, once each contains ``holding``.

    W&B's service writes a file after the run has finished, on a busy machine a while after.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        found = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
        late = [path for path in found if holding not in path.read_bytes()]
        if not late:
            return found
        assert time.monotonic() < deadline, f"{late[0]} never contained {holding!r}"
        time.sleep(0.05)
