"""Ctrl-C at random moments of a run in a pseudo-terminal: one sentence, exit code 130, no traceback.

    python -m campaigns.interrupts --folder FOLDER              50 tries, half an hour; recorded
    python -m campaigns.interrupts --folder FOLDER --tries 5    a trial run, printed and not recorded

Each try continues the run that the one before it left, so that all moments come up: imports, steps, what is between two
jobs, the search after its last trial, the end. One that finishes is followed by a run from the beginning, and counts as
none. Every third try presses twice.
"""

import argparse
import os
import pty
import random
import re
import select
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tools.results import record

CTRL_C = b"\x03"
CODE = 130
SENTENCE = re.compile(r"forecast-assets: stopped by a signal[^\n]*\n?\Z")
BETWEEN = 0.1  # seconds from the first press to the second


@dataclass(frozen=True)
class Try:
    """One run that was interrupted, or ended before."""

    pressed: int  # times; 0: it had finished
    code: int
    seconds: float  # from the first press to the end
    output: str

    @property
    def faults(self) -> list[str]:
        """Say what an interrupted run should not have done."""
        if not self.pressed:
            return []
        found = [] if self.code == CODE else [f"exit code {self.code}"]
        found += ["a traceback"] * ("Traceback" in self.output)
        return found + ["no sentence at the end"] * (SENTENCE.search(self.output) is None)


def interrupt(
    command: list[str], *, when: Callable[[float, str], bool], twice: bool = False, limit: float = 600
) -> Try:
    """Run ``command`` in a pseudo-terminal and press Ctrl-C once ``when`` (seconds, output so far) holds.

    A run that goes on for ``limit`` seconds is killed.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100"}
        os.execvp(command[0], command)
    started, output, pressed, first = time.monotonic(), b"", 0, 0.0
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        if ready:
            try:
                content = os.read(terminal, 1 << 16)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not content:
                break
            output += content
        now = time.monotonic()
        if not pressed and when(now - started, output.decode(errors="replace")):
            os.write(terminal, CTRL_C)
            pressed, first = 1, now
        elif pressed == 1 and twice and now - first > BETWEEN:
            os.write(terminal, CTRL_C)
            pressed = 2
        if now - started > limit:
            os.kill(process, 9)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    text = output.decode(errors="replace").replace("\r\n", "\n").replace("^C", "")  # the terminal's echo
    return Try(pressed, os.waitstatus_to_exitcode(status), round(time.monotonic() - first, 2) if first else 0.0, text)


def _is_time(at: float, seconds: float, _output: str) -> bool:
    return seconds >= at


def main() -> None:
    """Try, count and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data, rng = options.folder / "data", random.Random(options.seed)
    os.environ |= {"DAGSTER_HOME": str(options.folder / "home"), "WANDB_MODE": "disabled"}
    command = [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", "smoke", "--data-dir", str(data)]
    tries: list[Try] = []
    while len([one for one in tries if one.pressed]) < options.tries:
        at = rng.uniform(0.1, 30)  # not before the child is another program: until then it is this one
        one = interrupt(command, when=partial(_is_time, at), twice=len(tries) % 3 == 2)
        tries.append(one)
        print(
            f"{at:5.1f} s: code {one.code}, ended {one.seconds} s after {one.pressed} presses {one.faults}", flush=True
        )
        if one.faults:
            print(one.output[-2000:], flush=True)
        if not one.pressed:
            shutil.rmtree(data, ignore_errors=True)
    interrupted = [one for one in tries if one.pressed]
    wrong = [asdict(one) | {"output": one.output[-300:], "faults": one.faults} for one in interrupted if one.faults]
    ends = sorted(one.seconds for one in interrupted)
    figure = {
        "value": len(wrong),
        "unit": f"of {len(interrupted)} runs",
        "which": wrong,
        "pressed_twice": sum(one.pressed == 2 for one in interrupted),
        "median_seconds_to_the_end": ends[len(ends) // 2],
        "longest_seconds_to_the_end": ends[-1],
    }
    print(figure)
    if options.tries >= parser.get_default("tries"):
        record("interrupts", {"interrupts_mishandled": figure}, command="python -m campaigns.interrupts")


if __name__ == "__main__":
    main()
