"""Move Python's wall clock; a process that has this folder on its PYTHONPATH imports this module before anything else.

The file that MOVED_CLOCK names holds the seconds to add to the real time; it is read again while the process runs. Monotonic
clocks, and with them timeouts, stay real; so do the times of files and gRPC's deadlines, which its C core counts itself.
"""

import os
import threading
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import time_machine

READ_EVERY_SECONDS = 0.1

_file = Path(os.environ["MOVED_CLOCK"])
_real = time.time() - time.monotonic()  # real time = this + the monotonic clock, which is not moved
_offset = float(_file.read_text())
for _part in ("_channel", "_common", "_server", "_utilities"):
    import_module(f"grpc.{_part}").time = SimpleNamespace(  # type: ignore[attr-defined]
        **vars(time) | {"time": lambda: _real + time.monotonic()}
    )
_travel = time_machine.travel(time.time() + _offset, tick=True).start()


def _watch() -> None:
    offset = _offset
    while True:
        time.sleep(READ_EVERY_SECONDS)
        asked = float(_file.read_text())
        if asked != offset:
            offset = asked
            _travel.move_to(_real + time.monotonic() + offset)


threading.Thread(target=_watch, daemon=True, name="moved_clock").start()
