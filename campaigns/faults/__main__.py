"""Inject faults into real processes on the smoke profile and count the broken invariants.

    python -m campaigns.faults --folder /path/to/scratch                  all of it; resumable
    python -m campaigns.faults --folder /path/to/scratch --part steps     only those of the command line (or: daemon)

Every trial has a random generator of its own, seeded by its kind and number, and becomes a line of ``journal.jsonl`` in the
folder when it ends. The figures are recorded after the last trial. A full disk is a tmpfs, which needs root to mount.
"""

import argparse
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campaigns.faults import daemon, invariants, steps, writer
from campaigns.faults.graph_parts import prepare
from campaigns.faults.subjects import Part, Subject, Writer, subjects
from campaigns.faults.worker import warm_up
from tools.results import commit, record

SEED = 20191231
STEP_TRIALS = {
    **{"kill": 290, "aimed": 60, "term": 60},
    **{"disk_full": 30, "no_memory": 40, "double": 15, "corruption": 25},
}
GRAPH_EVERY = {"kill": 8, "aimed": 5, "term": 5, "disk_full": 3, "double": 2}
"""Of each kind, every n-th trial is on a part of the graph; the others are on a writer to the store, ten times as fast."""

DAEMON_TRIALS = {"daemon_kill9": 50, "daemon_killed": 20, "daemon_double": 10}
FIGURES = {
    "kill9_invariants_broken": ("kill", "daemon_kill9", "aimed"),
    "other_faults_invariants_broken": (
        *("term", "disk_full", "no_memory", "double", "corruption"),
        *("daemon_killed", "daemon_double"),
    ),
    "real_faults_broken": (*STEP_TRIALS, *DAEMON_TRIALS),
}


def plan() -> list[tuple[str, int]]:
    """Return the trials of the command line: first those on the writer, which are quick, then those on parts of the graph.

    Kinds are mixed, so that an interrupted campaign has some of each.
    """
    trials = [(kind, number) for kind, count in STEP_TRIALS.items() for number in range(count)]
    return sorted(trials, key=lambda trial: (is_of_graph(*trial), trial[1] / STEP_TRIALS[trial[0]], trial))


def is_of_graph(kind: str, number: int) -> bool:
    """Return whether a trial is on a part of the graph, and not on the writer."""
    return number % GRAPH_EVERY.get(kind, 1) == 0


def run_steps(folder: Path, *, shard: int, shards: int) -> None:
    """Run the trials that are not in the journal yet."""
    warm_up()
    prepare(folder / "reference")
    finished = done(folder)
    waiting = [trial for k, trial in enumerate(plan()) if trial not in finished and k % shards == shard]
    if not waiting:
        return
    root = folder / f"steps-{shard}"
    steps.release(root)
    written, parts = subjects(folder / "reference", root)
    for kind, number in waiting:
        started = time.perf_counter()
        rng = random.Random(f"{SEED}/{kind}/{number}")
        part = parts[(number // GRAPH_EVERY.get(kind, 1)) % len(parts)]
        subject = part if is_of_graph(kind, number) else written
        for log in root.glob("*.log"):
            log.unlink()
        outcome = one(kind, subject, rng)
        outcome.printed = invariants.tracebacks(root)
        note(folder, kind, number, outcome, seconds=time.perf_counter() - started)
        if outcome.broken:
            keep(root, folder / "broken" / f"{kind}-{number}")


def run_quick(folder: Path, count: int) -> int:
    """Run ``count`` trials of each kind on the writer alone; return how many broke an invariant."""
    written = Writer("store", folder / "quick", expected=writer.without_faults(folder / "quick"))
    written.calibrate()
    broken = 0
    for kind in ("kill", "aimed", "term", "double"):
        for number in range(count):
            outcome = one(kind, written, random.Random(f"{SEED}/quick/{kind}/{number}"))
            print(f"{kind} {number}: {outcome.how}: {outcome.broken or 'all hold'}", flush=True)
            broken += bool(outcome.broken)
    return broken


def one(kind: str, subject: Subject, rng: random.Random) -> steps.Outcome:
    """Run a trial of a kind."""
    match kind:
        case "kill":
            return steps.killed(subject, rng, number=signal.SIGKILL)
        case "term":
            return steps.killed(subject, rng, number=signal.SIGTERM)
        case "aimed":
            return steps.killed_inside_a_write(subject, rng)
        case "disk_full":
            return steps.disk_full(subject, rng)
        case "no_memory":
            return steps.out_of_memory(subject, rng)
        case "double":
            return steps.launched_twice(subject, rng)
    assert isinstance(subject, Part)
    return steps.corrupted(subject, rng)


def keep(root: Path, where: Path) -> None:
    """Keep the folder in which an invariant broke, for inspection."""
    where.parent.mkdir(exist_ok=True)
    if not where.exists():
        os.rename(root, where)
    root.mkdir(exist_ok=True)


def note(folder: Path, kind: str, number: int, outcome: steps.Outcome, *, seconds: float) -> None:
    """Append the outcome to the journal, durably."""
    line = {"kind": kind, "number": number, "seconds": round(seconds, 1), "commit": commit(), **vars(outcome)}
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")
        journal.flush()
        os.fsync(journal.fileno())
    print(
        f"{kind} {number}: {outcome.chain}, {outcome.how}: {outcome.broken or 'all hold'} ({seconds:.1f} s)", flush=True
    )


def journal(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the trials so far; an incomplete last line is ignored."""
    path = folder / "journal.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.endswith("}"):
            yield json.loads(line)


def done(folder: Path) -> set[tuple[str, int]]:
    return {(trial["kind"], trial["number"]) for trial in journal(folder)}


def figures(trials: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the figures of broken invariants, with trials by kind and violations, and that of tracebacks."""
    found = {}
    for key, kinds in FIGURES.items():
        mine = [trial for trial in trials if trial["kind"] in kinds]
        counts = Counter(trial["kind"] for trial in mine)
        broken = [trial for trial in mine if trial["broken"]]
        found[key] = {
            "value": len(broken),
            "trials": dict(sorted(counts.items())),
            "broken": [f"{trial['kind']} {trial['number']}: {'; '.join(trial['broken'])}" for trial in broken],
            "commits": sorted({trial["commit"] for trial in mine}),
            "minutes": round(sum(trial["seconds"] for trial in mine) / 60, 1),
            "by_chain": dict(sorted(Counter(trial["chain"] for trial in mine).items())),
        }
    printed = [
        f"{trial['kind']} {trial['number']}: {', '.join(trial['printed'])}" for trial in trials if trial["printed"]
    ]
    found["real_faults_tracebacks"] = {
        "value": len(printed),
        "of": len(trials),
        "what": "trials whose commands, or whose runs under the daemon, printed a traceback of this project's",
        "printed": printed,
    }
    return found


def main() -> None:
    """Run or resume the campaign; record it when it is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--part", choices=["all", "steps", "daemon"], default="all")
    parser.add_argument(
        "--quick", type=int, metavar="N", help="only N trials of each kind on the writer; records nothing"
    )
    parser.add_argument(
        "--shard", default="0/1", help="K/N: only every N-th trial, from the K-th on, to run N in parallel"
    )
    options = parser.parse_args()
    shard, shards = map(int, options.shard.split("/"))
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if options.quick:
        raise SystemExit(min(run_quick(folder, options.quick), 1))
    if options.part != "daemon":
        run_steps(folder, shard=shard, shards=shards)
    if options.part != "steps":
        daemon.run(folder, DAEMON_TRIALS, seed=SEED, done=done(folder), note=note, shard=shard, shards=shards)
    wanted = STEP_TRIALS | DAEMON_TRIALS
    trials = list(journal(folder))
    missing = {kind: n - sum(t["kind"] == kind for t in trials) for kind, n in wanted.items()}
    if any(missing.values()):
        print(f"incomplete, nothing recorded; trials to come: {missing}")
        return
    print(record("faults", figures(trials), command="python -m campaigns.faults --folder FOLDER"))


if __name__ == "__main__":
    main()
