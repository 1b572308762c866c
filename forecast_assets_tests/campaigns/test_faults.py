"""A short fault campaign on the writer to the store, and the plan of the long one."""

import subprocess
import sys
from pathlib import Path

from campaigns.faults.__main__ import DAEMON_TRIALS, STEP_TRIALS, figures, plan
from campaigns.faults.invariants import own_tracebacks, tracebacks
from forecast_assets_tests.helpers.paths import PROJECT

TRIALS = 2


def test_a_writer_killed_anywhere_leaves_a_sound_store_and_the_next_one_completes_it(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "campaigns.faults", "--folder", str(tmp_path), "--quick", str(TRIALS)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": all hold") == 4 * TRIALS
    assert done.stdout.count("(exit -9)") >= TRIALS  # those aimed at a step were killed there


def test_the_campaign_has_the_required_number_of_faults_of_each_kind() -> None:
    assert len(set(plan())) == len(plan()) == sum(STEP_TRIALS.values())
    counts = STEP_TRIALS | DAEMON_TRIALS
    assert sum(counts.values()) == 600
    assert counts["kill"] + counts["daemon_kill9"] == 340
    assert counts["daemon_kill9"] >= 50
    assert counts["double"] + counts["daemon_double"] == 25
    assert [counts[kind] for kind in ("aimed", "term", "disk_full", "no_memory", "daemon_killed", "corruption")] == [
        *(60, 60, 30, 40),
        *(20, 25),
    ]


def test_a_command_that_prints_a_traceback_is_found(tmp_path: Path) -> None:
    trace = 'Traceback (most recent call last):\n  File "{}", line 9, in go\n    go()\nValueError: no\n'
    (tmp_path / "faulty.log").write_text(f"[1/2] panel\n{trace.format('/x/a.py')}")
    (tmp_path / "again.log").write_text("forecast-assets: memory ran out\n")
    assert tracebacks(tmp_path) == ["faulty.log"]
    dagster, own = trace.format(PROJECT / ".venv/dagster/run.py"), trace.format(PROJECT / "forecast_assets/train.py")
    assert own_tracebacks(f"{dagster}INFO - next\n{own}INFO - next\n") == ["ValueError: no"]


def test_a_trial_that_broke_an_invariant_is_counted_with_the_reason() -> None:
    def trial(kind: str, *broken: str) -> dict[str, object]:
        facts = {"seconds": 6.0, "commit": "c", "chain": "store"}
        return {"kind": kind, "number": 0, **facts, "broken": list(broken), "printed": ["again.log"] if broken else []}

    found = figures([trial("kill"), trial("aimed", "a", "b"), trial("term"), trial("disk_full")])
    assert found["kill9_invariants_broken"]["value"] == 1
    assert found["kill9_invariants_broken"]["broken"] == ["aimed 0: a; b"]
    assert found["other_faults_invariants_broken"]["value"] == 0
    assert found["other_faults_invariants_broken"]["trials"] == {"disk_full": 1, "term": 1}
    assert found["real_faults_broken"]["value"] == found["real_faults_tracebacks"]["value"] == 1
    assert found["real_faults_tracebacks"]["printed"] == ["aimed 0: again.log"]
