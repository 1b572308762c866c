"""A hundred random tamperings with a sealed record: verify, with the seals kept elsewhere, has to find each.

    python -m campaigns.tampering --folder SCRATCH            recorded
    python -m campaigns.tampering --folder SCRATCH --count 9  a trial, printed and not recorded

SCRATCH keeps the base: the smoke panel's graph with ``NIGHTS`` nights, each sealed at half past two of the next morning, and
the file of its seals. Each tampering works on a copy. Whoever tampers may write everything in the data root and knows how
it is made: manifests are signed again, later ones made to name what is there now, and in every second one the store's own
chain of seals is made again from what is left. The kept file is out of reach, but for the tamperings that are of it alone.
"""

import argparse
import datetime as dt
import hashlib
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from click.testing import CliRunner

from forecast_assets.cli.app import cli
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.chain import NAMING
from forecast_assets.store.journal import Journal
from forecast_assets.store.manifest import Entry, Manifest, content_digest
from forecast_assets.store.names import CURRENT, MANIFEST
from forecast_assets.store.seals import JOURNAL, head_of, read_seals, seal_nights
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import PANEL, Graph
from tools.results import record

COUNT, SEED = 100, 26
NIGHTS, LAST_NIGHT = 8, "2019-06-12"
FIRST_NIGHT = "2019-06-03"
FORECAST = "nightly_forecast"
KEPT = "seals.txt"  # beside the data root
NOT_COPIED = ("backtest_report", "ablation_report")  # of the whole panel; their numbers are another check's


@dataclass
class Attack:
    """A copy of the sealed record, to be tampered with by draws from ``rng``."""

    root: Path  # data root
    kept: Path  # seals, kept elsewhere
    rng: random.Random

    @property
    def nights(self) -> list[str]:
        return sorted(path.name for path in (self.root / "store" / FORECAST).iterdir() if (path / CURRENT).exists())

    def slot(self, asset: str, night: str) -> Path:
        return self.root / "store" / asset / night

    def version(self, asset: str, night: str) -> Path:
        slot = self.slot(asset, night)
        return slot / (slot / CURRENT).read_text().strip()

    def manifest(self, folder: Path) -> Manifest:
        return Manifest.from_bytes((folder / MANIFEST).read_bytes())

    def sign(self, folder: Path, **changes: Any) -> None:
        """Sign a version's manifest again with today's digests of its files; later manifests are made to name them."""
        before = self.manifest(folder)
        names = [path.name for path in folder.iterdir() if path.name != MANIFEST]
        files = {name: _entry(folder / name) for name in names}
        signed = before.model_copy(update={"files": files, "data_version": content_digest(files), **changes})
        _replace(folder / MANIFEST, signed.to_bytes())
        for asset in NAMING:
            for path in (self.root / "store" / asset).glob(f"*/*/{MANIFEST}"):
                found = Manifest.from_bytes(path.read_bytes())
                label = f"{before.asset}/{before.partition}"
                if found.parents.get(label) == before.data_version and path.parent != folder:
                    others = {name: seen for name, seen in found.parents.items() if name != label}
                    parents = {**others, f"{signed.asset}/{signed.partition}": signed.data_version}
                    _replace(path, found.model_copy(update={"parents": parents}).to_bytes())

    def forget(self, night: str) -> None:
        """Take out a night with its positions and checks, and all mention of it."""
        for asset in NAMING:
            shutil.rmtree(self.slot(asset, night), ignore_errors=True)
        for asset in NAMING:
            for path in (self.root / "store" / asset).glob(f"*/*/{MANIFEST}"):
                found = Manifest.from_bytes(path.read_bytes())
                parents = {label: seen for label, seen in found.parents.items() if label.rpartition("/")[2] != night}
                _replace(path, found.model_copy(update={"parents": parents}).to_bytes())

    def seal_again(self) -> None:
        """Make the store's own chain of seals again from what is there now, at the times of the old one."""
        before = {seal.day: seal.at for seal in read_seals(str(self.root))}
        (self.root / f"{JOURNAL}.jsonl").unlink()
        seal_at(self.root, lambda day: before.get(day, f"{day}T23:59:59+00:00"))


def alter_quantiles(attack: Attack) -> None:
    folder = attack.version(FORECAST, attack.rng.choice(attack.nights))
    table, factor = pl.read_parquet(folder / TABLE), attack.rng.choice([0.5, 0.9, 0.999, 1.001, 1.1])
    _write(table.with_columns(pl.col(QUANTILE_COLUMNS) * factor), folder / TABLE)
    attack.sign(folder)


def drop_the_newest(attack: Attack) -> None:
    for night in attack.nights[-attack.rng.randint(1, 3) :]:
        attack.forget(night)


def delete_one_in_the_middle(attack: Attack) -> None:
    attack.forget(attack.rng.choice(attack.nights[1:-1]))


def date_one_otherwise(attack: Attack) -> None:
    """Give a night another day, its forecasts with it."""
    night = attack.rng.choice(attack.nights)
    days = attack.rng.choice([-90, -45, 45, 90])
    moved = str(dt.date.fromisoformat(night) + dt.timedelta(days=days))
    folder = attack.version(FORECAST, night)
    _write(pl.read_parquet(folder / TABLE).with_columns(pl.col("date").dt.offset_by(f"{days}d")), folder / TABLE)
    attack.sign(folder, partition=moved)
    attack.slot(FORECAST, night).rename(attack.slot(FORECAST, moved))


def change_the_time_of_issue(attack: Attack) -> None:
    folder = attack.version(FORECAST, attack.rng.choice(attack.nights))
    created = dt.datetime.fromisoformat(attack.manifest(folder).created)
    earlier = created - dt.timedelta(seconds=attack.rng.choice([1, 3_600, 86_400]))
    attack.sign(folder, created=earlier.isoformat(timespec="microseconds"))


def swap_two(attack: Attack) -> None:
    """Exchange the forecasts of two nights, each dated as the other one."""
    one, other = attack.rng.sample(attack.nights, 2)
    folders = [attack.version(FORECAST, night) for night in (one, other)]
    tables = [pl.read_parquet(folder / TABLE) for folder in folders]
    for folder, table, night in zip(folders, reversed(tables), (one, other), strict=True):
        _write(table.with_columns(date=pl.lit(dt.date.fromisoformat(night))), folder / TABLE)
        attack.sign(folder)


def slip_one_in(attack: Attack) -> None:
    """Publish other forecasts of a night beside the first ones, as if tickers had come late."""
    night = attack.rng.choice(attack.nights)
    folder = attack.version(FORECAST, night)
    name = f"{folder.name[:-8]}{attack.rng.getrandbits(32):08x}"
    forged = folder.with_name(name)
    shutil.copytree(folder, forged, copy_function=os.link)
    _write(pl.read_parquet(folder / TABLE).with_columns(pl.col(QUANTILE_COLUMNS) * 1.01), forged / TABLE)
    attack.sign(forged, version=name)
    _replace(attack.slot(FORECAST, night) / CURRENT, f"{name}\n".encode())


def edit_the_ledger(attack: Attack) -> None:
    """Take a record out of a journal, or change it and sign it again."""
    path = attack.rng.choice(sorted(each for each in (attack.root / "ledger").glob("*.jsonl") if each.stem != "seals"))
    journal = Journal(str(attack.root), f"ledger/{path.stem}")
    records = journal.read()
    place = attack.rng.randrange(len(records))
    if attack.rng.random() < 0.5:
        del records[place]
    else:
        records[place] = {**records[place], "note": "changed"}
    path.unlink()
    journal.append(records)


def edit_the_kept_seals(attack: Attack) -> None:
    """Change the kept file alone: a digit, a date, a time, a line less, two lines exchanged, one twice."""
    lines = attack.kept.read_text().splitlines()
    place, kind = attack.rng.randrange(len(lines)), attack.rng.randrange(6)
    day, head, at = lines[place].split()
    if kind == 0:
        lines[place] = f"{day} {head[:-1]}{'0' if head[-1] != '0' else '1'} {at}"
    elif kind == 1:
        lines[place] = f"{dt.date.fromisoformat(day) - dt.timedelta(days=1)} {head} {at}"
    elif kind == 2:
        lines[place] = f"{day} {head} {dt.datetime.fromisoformat(at) - dt.timedelta(hours=1):%Y-%m-%dT%H:%M:%S+00:00}"
    elif kind == 3:
        del lines[place]
    elif kind == 4:
        other = (place + 1) % len(lines)
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines.insert(place, lines[place])
    _replace(attack.kept, "".join(f"{line}\n" for line in lines).encode())


TAMPERINGS: tuple[Callable[[Attack], None], ...] = (
    *(alter_quantiles, drop_the_newest, delete_one_in_the_middle, date_one_otherwise, change_the_time_of_issue),
    *(swap_two, slip_one_in, edit_the_ledger, edit_the_kept_seals),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COUNT)
    given = parser.parse_args()
    base = given.folder / "base"
    if not base.exists():
        make_base(given.folder)
    outcomes = []
    with_control = verified(base / "root", base / KEPT)
    if with_control:
        raise SystemExit(f"the untouched record is not accepted: {with_control[0]}")
    for number in range(given.count):
        outcomes.append(one(base, given.folder / "copy", number))
        print(json.dumps(outcomes[-1]), flush=True)
    if verified(base / "root", base / KEPT):
        raise SystemExit("the base was changed by a tampering with a copy of it")
    missed = [each for each in outcomes if not each["found"]]
    figures = {
        "tamperings_missed": {
            "value": len(missed),
            "tamperings": len(outcomes),
            "missed": missed,
            "by_kind": dict(sorted(Counter(each["kind"] for each in outcomes).items())),
            "missed_without_kept_seals": dict(
                sorted(Counter(each["kind"] for each in outcomes if not each["found_without_kept_seals"]).items())
            ),
        }
    }
    print(json.dumps(figures, indent=1))
    if given.count == COUNT:
        print(record("tampering", figures, command="python -m campaigns.tampering --folder SCRATCH"))


def make_base(folder: Path) -> None:
    """Make the graph, its nights and their seals."""
    made, base = folder / "made", folder / "base"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    with Graph(made) as graph:
        failures = graph.run().failures
    nights = folder / "nights"
    shutil.rmtree(nights, ignore_errors=True)
    by_night = (FORECAST, "drift_checks", "challenger", "target_positions", "raw_panel", *NOT_COPIED)
    shutil.copytree(made, nights, ignore=shutil.ignore_patterns(*by_night, "seals*", "reports"))
    panel = nights / "raw" / "demo_panel.csv"
    with Graph(nights) as graph:
        for until in (FIRST_NIGHT, LAST_NIGHT):
            select = (*PANEL, "serving_model", *NAMING)
            failures += graph.run(*select, panel=panel, as_of=until).failures
    if failures:
        raise SystemExit(f"the base could not be made: {failures[0]}")
    seal_at(nights, next_morning)
    lines = "".join(f"{seal.line}\n" for seal in read_seals(str(nights)))
    staged = folder / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    shutil.move(nights, staged / "root")
    (staged / KEPT).write_text(lines)
    staged.rename(base)


def seal_at(root: Path, time: Callable[[str], str]) -> None:
    """Seal all nights, each at the ``time`` of its day."""
    seal_nights(Store(root / "store"), str(root), now=dt.datetime.now(dt.UTC))
    made, head = read_seals(str(root)), ""
    (root / f"{JOURNAL}.jsonl").unlink()
    for seal in made:
        content = {**seal.content(), "at": time(seal.day), "before": head}
        head = head_of(content)
        Journal(str(root), JOURNAL).append([{"id": head, **content}])


def next_morning(day: str) -> str:
    """Return half past two, UTC, of the day after: when a live night is sealed."""
    return f"{dt.date.fromisoformat(day) + dt.timedelta(days=1)}T02:30:00+00:00"


def one(base: Path, scratch: Path, number: int) -> dict[str, Any]:
    """Tamper with a copy, and return whether ``verify`` found it."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(base, scratch, copy_function=os.link)
    kind = TAMPERINGS[number % len(TAMPERINGS)]
    attack = Attack(scratch / "root", scratch / KEPT, random.Random(SEED + number))
    kind(attack)
    again = kind is not edit_the_kept_seals and number // len(TAMPERINGS) % 2 == 0
    if again:
        attack.seal_again()
    said, alone = verified(attack.root, attack.kept), verified(attack.root, None)
    shutil.rmtree(scratch)
    return {
        "number": number,
        "kind": kind.__name__,
        "sealed_again": again,
        "found": bool(said),
        "found_without_kept_seals": bool(alone),
        "sentence": said[0] if said else "",
    }


def verified(root: Path, kept: Path | None) -> list[str]:
    """Return what ``verify`` finds wrong."""
    options = ["--seals", str(kept)] if kept else []
    os.environ.pop("FORECAST_SEALS", None)
    done = CliRunner().invoke(cli, ["verify", "--data-dir", str(root), "--json", *options])
    if done.exit_code not in (0, 1) or (done.exception and not isinstance(done.exception, SystemExit)):
        raise SystemExit(f"verify failed: {done.output}{done.exception!r}")
    if not done.stdout.startswith("{"):
        return [done.output.strip()]  # one sentence in the place of a result
    found: list[str] = json.loads(done.stdout)["damaged"]
    return found


def _entry(path: Path) -> Entry:
    data = path.read_bytes()
    return Entry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _write(table: pl.DataFrame, path: Path) -> None:
    path.unlink()  # a link of the base's
    table.write_parquet(path)


def _replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


if __name__ == "__main__":
    main()
