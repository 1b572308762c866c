"""Trials on one process: killed at random or at a durable step, no disk or memory left, launched twice, a flipped byte."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.faults import invariants
from campaigns.faults.graph_parts import FOLD, NIGHT, PANEL, YEAR, lay_out
from campaigns.faults.memory import memory_group
from campaigns.faults.subjects import Part, Subject
from campaigns.faults.worker import start
from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.store import Store

VICTIMS = ("CURRENT", "manifest.json", "table.parquet", "model.pt", ".safetensors")


@dataclass
class Outcome:
    """Result of a trial; ``broken`` holds a sentence for each invariant that did not hold.

    ``printed``: whose output held a traceback.
    """

    chain: str
    how: str
    broken: list[str]
    printed: list[str] = field(default_factory=list)


ATTEMPTS = 30
"""Signals sent, each after half the time of the one before, until one reaches a running process."""


def killed(subject: Subject, rng: random.Random, *, number: int) -> Outcome:
    """Send signal ``number`` at a random moment; where the process had ended, try again with half the delay."""
    after = rng.uniform(0, subject.seconds)
    for _ in range(ATTEMPTS):
        subject.begin()
        worker = subject.start("faulty")
        time.sleep(after)
        worker.signal(number)
        code = worker.wait(60)
        if code != 0:
            break
        after /= 2
    else:
        raise SystemExit(f"{subject.name}: signal {number} did not end it in {ATTEMPTS} attempts")
    broken = [] if code is not None else [f"it still ran 60 s after signal {number}"]
    broken += [f"process {pid} outlived it" for pid in worker.survivors()]
    return _recovered(subject, f"{signal.Signals(number).name} after {after:.2f} s (exit {code})", broken)


def killed_inside_a_write(subject: Subject, rng: random.Random) -> Outcome:
    """Send SIGKILL right before or right after one of the durable steps."""
    from campaigns.faults.injected import die_at

    step, late = rng.randrange(subject.steps), rng.random() < 0.5
    subject.begin()
    code = subject.start("faulty", lambda: die_at(step, late=late)).wait()
    how = f"killed {'after' if late else 'before'} durable step {step} of {subject.steps} (exit {code})"
    broken = [] if code == -signal.SIGKILL else [f"it should have died at step {step} and ended with {code}"]
    return _recovered(subject, how, broken)


def disk_full(subject: Subject, rng: random.Random) -> Outcome:
    """Use a tmpfs with room for a part of what is written as the data root; then make it larger."""
    subject.begin()
    before = _used(subject.root / "data")
    if subject.start("measure").wait() != 0:
        raise SystemExit(f"{subject.name}: without a fault it fails; see {subject.root}")
    needed = max(4096, _used(subject.root / "data") - before)
    subject.begin(shared=False)
    data, kept = subject.root / "data", subject.root / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.move(data, kept)
    data.mkdir()
    _mount("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(data))
    try:
        shutil.copytree(kept, data, dirs_exist_ok=True)
        used = shutil.disk_usage(data).used
        room = int(rng.random() * needed) // 4096 * 4096
        _mount("mount", "-o", f"remount,size={used + max(4096, room)}", str(data))
        worker = subject.start("faulty")
        code = worker.wait()
        printed = worker.log.read_text()
        broken = [] if code else ["it succeeded on a full disk"]
        if "No space left on device" not in printed:
            broken.append("it did not report that the disk is full")
        _mount("mount", "-o", "remount,size=1g", str(data))
        return _recovered(subject, f"room for {room} of about {needed} bytes (exit {code})", broken)
    finally:
        _mount("umount", str(data))


def out_of_memory(subject: Subject, rng: random.Random) -> Outcome:
    """Give its processes a part of the memory that they take: the kernel kills one of them when that is used up."""
    share = rng.random()
    subject.memory = subject.memory or _memory_of(subject)
    subject.begin()
    with memory_group(f"faults-{os.getpid()}", limit=max(1 << 20, int(share * subject.memory))) as group:
        worker = subject.start("faulty", group.join)
        code = worker.wait()
        killed = group.killed()
    broken = [] if code is not None else ["it hung without memory"]
    if killed and code == 0:
        broken.append("it succeeded although a process of it was killed")
    said = worker.log.read_text()
    if code not in (0, -signal.SIGKILL) and not re.search("memory (ran|may have run) out", said):
        broken.append(f"it did not say that memory ran out: {said.strip()[-500:]}")
    return _recovered(subject, f"{share:.0%} of the memory that it takes ({killed} killed, exit {code})", broken)


def launched_twice(subject: Subject, rng: random.Random) -> Outcome:
    """Run the same command twice, the second one while the first one runs."""
    after = rng.uniform(0, subject.seconds * 0.8)
    subject.begin()
    before = subject.versions()
    one = subject.start("one")
    time.sleep(after)
    other = subject.start("other")
    codes = (one.wait(), other.wait())
    broken = [] if codes == (0, 0) else [f"they ended with {codes}"]
    if isinstance(subject, Part):
        twice = {slot: n - before.get(slot, 0) for slot, n in subject.versions().items() if n - before.get(slot, 0) > 1}
        broken += [f"{slot} was made {count} times" for slot, count in twice.items()]
    return _recovered(subject, f"the second one {after:.2f} s later", broken)


def corrupted(subject: Part, rng: random.Random) -> Outcome:
    """Flip one bit of a published file: reading reports it in one sentence, and running its asset again repairs it."""
    root, store = subject.root, subject.root / "data" / "store"
    lay_out(subject.reference, root, shared=False)
    ending = rng.choice(VICTIMS)
    files = sorted(
        path for path in store.rglob(f"*{ending}") if path.relative_to(store).parts[0] in {*FOLD, *PANEL, *NIGHT}
    )
    victim = rng.choice(files)
    asset, partition = victim.relative_to(store).parts[:2]
    content = bytearray(victim.read_bytes())
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    victim.write_bytes(bytes(content))
    broken = _not_reported(Store(store), asset, None if partition == "all" else partition)
    if not invariants.store_problems(root):
        broken.append("verify finds nothing")
    years = ("--years", partition) if partition.isdigit() else ("--years", YEAR)
    worker = start(("run", "--select", asset, *(years if asset in FOLD else ())), root=root, log="again")
    code = worker.wait()
    broken += [] if code == 0 else [f"the run after it ended with {code}: {worker.log.read_text().strip()[-500:]}"]
    how = f"byte {place} of {victim.relative_to(store)}"
    return Outcome("corruption", how, [*broken, *invariants.after_rerun(root, subject.reference)])


def _not_reported(store: Store, asset: str, partition: str | None) -> list[str]:
    try:
        store.current(asset, partition).check()
    except (CorruptArtefact, MissingArtefact) as error:
        return [] if "\n" not in str(error) else [f"not one sentence: {error}"]
    return ["a reader gets the damaged version without an error"]


def _recovered(subject: Subject, how: str, broken: list[str]) -> Outcome:
    """Check the store right after the fault, run the same again, and check all invariants."""
    broken = [*broken, *invariants.store_problems(subject.root)]
    worker = subject.start("again")
    code = worker.wait()
    if code != 0:
        last = worker.log.read_text().strip()[-500:]
        return Outcome(subject.name, how, [*broken, f"the run after it ended with {code}: {last}"])
    return Outcome(subject.name, how, [*broken, *subject.differences()])


def _memory_of(subject: Subject) -> int:
    """Return the most memory that its processes have together in a run without faults, in bytes."""
    most = 0
    subject.begin()
    with memory_group(f"faults-{os.getpid()}") as group:
        worker = subject.start("measure", group.join)
        while worker.poll() is None:
            most = max(most, group.used())
            time.sleep(0.02)
    if worker.returncode != 0:
        raise SystemExit(f"{subject.name}: without a fault it fails; see {subject.root}")
    return most


def _used(folder: Path) -> int:
    """Bytes in whole pages, as tmpfs counts them; a file with two hard links counts once."""
    files = {(s := path.stat()).st_ino: s.st_size for path in folder.rglob("*") if path.is_file()}
    return sum(-(-size // 4096) * 4096 for size in files.values())


def release(root: Path) -> None:
    """Unmount the small disk that a killed campaign left mounted."""
    if (root / "data").is_mount():
        _mount("umount", str(root / "data"))


def _mount(*command: str) -> None:
    subprocess.run(command, check=True)
