"""Simulate nights with faults until a million steps are done, seed the mutants, and record both.

    python -m campaigns.simulation --folder /path/to/scratch      all of it; resumable
    python -m campaigns.simulation --replay 17                    one history, and the shortest part that still breaks

A step is an asset made, a delivery, a rollback, a death and so on; the invariants are checked after each. Histories are
numbered, and a number is all that one is made from: ``--replay`` runs a broken one again to the last byte. Each becomes a
line of ``journal.jsonl`` in the folder. The figures are recorded after the last step.
"""

import argparse
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from campaigns.simulation.history import STEPS, Event, events_of, run, shrunk
from campaigns.simulation.mutants import MUTANTS, Found
from campaigns.simulation.workers import be_quiet, find_mutant, simulate
from tools.results import commit, record

STEPS_WANTED = 1_000_000


def run_histories(folder: Path, *, steps: int, processes: int) -> list[dict[str, Any]]:
    """Run the histories that are not in the journal yet, until ``steps`` are done; return all of them."""
    path, head = folder / "journal.jsonl", commit()
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    done = [json.loads(line) for line in lines]
    total, finished = sum(history["steps"] for history in done), {history["seed"] for history in done}
    seeds = (seed for seed in count() if seed not in finished)
    with multiprocessing.get_context("spawn").Pool(processes, be_quiet) as pool, path.open("a") as journal:
        waiting = [pool.apply_async(simulate, (next(seeds),)) for _ in range(2 * processes)]
        while total < steps:
            history = waiting.pop(0).get()
            waiting.append(pool.apply_async(simulate, (next(seeds),)))
            done.append({**history, "commit": head})
            total += history["steps"]
            journal.write(json.dumps(done[-1]) + "\n")
            if history["broken"] or len(done) % 100 == 0:
                journal.flush()
                print(f"seed {history['seed']}, {total} steps: {history['broken'] or 'all hold'}", flush=True)
    return done


def figures(histories: list[dict[str, Any]], found: dict[str, Found | None]) -> dict[str, dict[str, Any]]:
    """Return the figures of histories without mutants, and of how each mutant was found."""
    counts: Counter[str] = Counter()
    for history in histories:
        counts.update(history["counts"])
    broken = [history for history in histories if history["broken"]]
    seconds = sum(history["seconds"] for history in histories)
    return {
        "simulation_broken_invariants": {
            "value": len(broken),
            "steps": sum(history["steps"] for history in histories),
            "histories": len(histories),
            "broken": [f"seed {history['seed']}: {'; '.join(history['broken'])}" for history in broken],
            "events": dict(counts.most_common()),
            "commits": sorted({history["commit"] for history in histories}),
            "steps_per_second_and_process": round(sum(history["steps"] for history in histories) / seconds),
        },
        "orchestration_mutants_seeded": {"value": len(found), "what": {m.name: m.what for m in MUTANTS}},
        "orchestration_mutants_missed": {
            "value": sum(each is None for each in found.values()),
            "found": {name: _described(each) for name, each in found.items() if each is not None},
        },
    }


def _described(found: Found) -> str:
    return f"seed {found.seed}, after {found.steps} steps: {found.outcome.broken[0].invariant}"


def find_all(processes: int) -> Iterator[tuple[str, Found | None]]:
    """Seed each mutant, and yield how it was found."""
    with multiprocessing.get_context("spawn").Pool(processes, be_quiet) as pool:
        for mutant, found in zip(MUTANTS, pool.imap(find_mutant, range(len(MUTANTS))), strict=True):
            print(f"{mutant.name}: {'MISSED' if found is None else _described(found)}", flush=True)
            yield mutant.name, found


def replay(seed: int, *, steps: int) -> bool:
    """Run a history again and print it, shrunk where it breaks; return whether it breaks."""
    events = events_of(seed, steps=steps)
    outcome = run(events)
    print(f"seed {seed}: {outcome.steps} steps, trace {outcome.trace}")
    if not outcome.broken:
        print("all invariants hold")
        return False
    invariant = outcome.broken[0].invariant
    short = shrunk(events, invariant)
    print(f"{invariant}: {outcome.broken[0].what}\nshrunk to {len(short)} events:")
    for event in short:
        print(f"  {_in_words(event)}")
    return True


def _in_words(event: Event) -> str:
    fault = event.fault
    struck = f", {fault.kind} {'after' if fault.late else 'before'} call {fault.at}" if fault else ""
    return f"{event.kind} {event.number}{struck}{f', meanwhile {event.meanwhile}' if event.meanwhile else ''}"


def main() -> None:
    """Run or resume the campaign and record it, or replay one history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the journal is kept")
    parser.add_argument("--steps", type=int, default=STEPS_WANTED, help="fewer are recorded as fewer")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one history, and record nothing")
    options = parser.parse_args()
    be_quiet()
    if options.replay is not None:
        raise SystemExit(replay(options.replay, steps=STEPS))
    if options.folder is None:
        parser.error("name a --folder for the journal, or a history to --replay")
    options.folder.mkdir(parents=True, exist_ok=True)
    histories = run_histories(options.folder, steps=options.steps, processes=options.processes)
    found = dict(find_all(options.processes))
    print(record("simulation", figures(histories, found), command="python -m campaigns.simulation --folder FOLDER"))
    raise SystemExit(bool(figures(histories, found)["simulation_broken_invariants"]["value"]))


if __name__ == "__main__":
    main()
