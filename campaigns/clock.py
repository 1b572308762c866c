"""A wall clock that a campaign moves for the processes it starts; see moved_clock/sitecustomize.py."""

import datetime as dt
import os
import time
from pathlib import Path

FOLDER = Path(__file__).parent / "moved_clock"


class MovedClock:
    """The clock of every process that is started with ``variables`` in its environment."""

    def __init__(self, file: Path, moment: dt.datetime) -> None:
        self._file = file
        self.move_to(moment)

    @property
    def variables(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
        return {"MOVED_CLOCK": str(self._file), "PYTHONPATH": path}

    @property
    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(time.time() + self._offset, dt.UTC)

    def move_to(self, moment: dt.datetime) -> None:
        """Set the clock to ``moment``; it runs on from there."""
        self._offset = moment.timestamp() - time.time()
        new = self._file.with_suffix(".new")
        new.write_text(repr(self._offset))
        new.replace(self._file)
