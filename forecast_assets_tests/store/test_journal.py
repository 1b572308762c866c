"""A journal keeps its records through concurrent and killed writers, and notices an altered one."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store.journal import Journal

REPOSITORY = Path(__file__).parents[2]
WRITER = """
import sys
from forecast_assets.store.journal import Journal
journal = Journal(sys.argv[1], "ledger/trials")
for k in range(int(sys.argv[3])):
    journal.append([{"id": f"{sys.argv[2]}-{k}", "score": k / 7, "padding": "x" * 500}])
    print(k, flush=True)
"""


def writer(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), name, str(count)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def ids(journal: Journal) -> list[str]:
    return [record["id"] for record in journal.read()]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path), "ledger/trials")


def test_records_come_back_as_they_were_and_each_id_once(journal: Journal) -> None:
    assert journal.read() == []
    assert journal.append([{"id": "a", "score": 0.5}, {"id": "b", "score": None}, {"id": "a", "score": 9}]) == 2
    assert journal.append([{"id": "b", "score": 1.0}, {"id": "c", "score": 2.0}]) == 1
    assert ids(journal) == ["a", "b", "c"]
    assert journal.read()[1] == {"id": "b", "score": None}


def test_on_an_object_store_each_record_is_an_object(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}"
    assert Journal(root, "ledger/trials").append([{"id": "a", "score": 0.5}]) == 1
    again = Journal(root, "ledger/trials")
    assert again.append([{"id": "a", "score": 0.5}, {"id": "b", "score": 0.1}]) == 1
    assert ids(again) == ["a", "b"]


def test_two_writers_lose_none_of_each_others_records(tmp_path: Path, journal: Journal) -> None:
    with writer(tmp_path, "one", 40) as one, writer(tmp_path, "two", 40) as two:
        assert one.wait() == two.wait() == 0
    assert sorted(ids(journal)) == sorted(f"{name}-{k}" for name in ("one", "two") for k in range(40))


def test_a_record_that_a_killed_writer_had_appended_stays(tmp_path: Path, journal: Journal) -> None:
    for name in ("first", "second", "third"):
        with writer(tmp_path, name, 10**6) as process:
            assert process.stdout is not None
            written = int(process.stdout.readline())
            time.sleep(0.02)
            process.kill()
            written = max([written, *(int(line) for line in process.stdout if line.endswith("\n"))])
        assert {f"{name}-{k}" for k in range(written + 1)} <= set(ids(journal))


def test_a_line_that_a_crash_cut_off_damages_no_other(tmp_path: Path, journal: Journal) -> None:
    journal.append([{"id": "a"}])
    path = tmp_path / "ledger" / "trials.jsonl"
    with path.open("ab") as file:
        file.write(b'{"id": "torn", "sco')
    assert ids(journal) == ["a"]
    journal.append([{"id": "b"}])
    assert ids(journal) == ["a", "b"]


def test_an_altered_record_is_noticed(tmp_path: Path, journal: Journal) -> None:
    journal.append([{"id": "a", "score": 0.5}])
    path = tmp_path / "ledger" / "trials.jsonl"
    path.write_text(path.read_text().replace("0.5", "0.4"))
    with pytest.raises(CorruptArtefact, match=r"trials.jsonl: line 1 differs"):
        journal.read()
