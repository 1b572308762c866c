"""A seal fixes its night, those before it and the ledger: whatever is altered afterwards no longer fits it."""

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store.journal import Journal
from forecast_assets.store.manifest import Manifest
from forecast_assets.store.seals import (
    HEAD_DIGITS,
    JOURNAL,
    SealLine,
    compare_seals,
    head_of,
    read_seals,
    seal_nights,
    seal_problems,
)
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.published import KEY_B, publish

NIGHTS = ["2025-07-01", "2025-07-02", "2025-07-03"]
NOW = dt.datetime(2025, 7, 4, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three nights, sealed one by one, and a ledger that grew by a record each night."""
    store = Store(tmp_path / "store")
    for day in NIGHTS:
        Journal(str(tmp_path), "ledger/arrivals").append([{"id": f"file of {day}"}])
        night(store, day)
        seal_nights(store, str(tmp_path), now=NOW)
    return store


def night(store: Store, day: str, *, quantiles: str = "1 2 3") -> Version:
    return publish(store, {"table": f"{day} {quantiles}"}, asset="nightly_forecast", partition=day, key=KEY_B)


def lines(root: Path) -> list[str]:
    return [str(seal.line) for seal in read_seals(str(root))]


def test_each_night_has_a_seal_that_names_the_one_before(store: Store, tmp_path: Path) -> None:
    seals = read_seals(str(tmp_path))
    assert [(seal.order, seal.day) for seal in seals] == list(enumerate(NIGHTS))
    assert [seal.before for seal in seals] == ["", seals[0].head, seals[1].head]
    assert {len(seal.head) for seal in seals} == {HEAD_DIGITS}
    assert [len(seal.ledger["arrivals"]) for seal in seals] == [1, 1, 1]
    assert seal_problems(store, str(tmp_path)) == []
    assert compare_seals(seals, lines(tmp_path), where="there") == []


def test_a_second_pass_seals_nothing_again(store: Store, tmp_path: Path) -> None:
    assert seal_nights(store, str(tmp_path), now=NOW) == []
    assert len(read_seals(str(tmp_path))) == 3


def test_tickers_that_came_late_to_a_night_get_a_seal_of_their_own(store: Store, tmp_path: Path) -> None:
    night(store, NIGHTS[-1], quantiles="1 2 3 4")
    (made,) = seal_nights(store, str(tmp_path), now=NOW)
    assert (made.order, made.day) == (3, NIGHTS[-1])
    assert seal_problems(store, str(tmp_path)) == []


def test_a_night_that_was_not_sealed_yet_is_no_problem(store: Store, tmp_path: Path) -> None:
    night(store, "2025-07-04")
    assert seal_problems(store, str(tmp_path)) == []


def drop(store: Store, root: Path) -> None:
    shutil.rmtree(root / "store/nightly_forecast" / NIGHTS[1])


def make_again(store: Store, root: Path) -> None:
    drop(store, root)
    night(store, NIGHTS[1], quantiles="2 3 4")


def date_otherwise(store: Store, root: Path) -> None:
    found = store.current("nightly_forecast", NIGHTS[1])
    path = root / "store/nightly_forecast" / NIGHTS[1] / found.id / "manifest.json"
    path.write_bytes(Manifest.model_validate({**vars(found.manifest), "created": "2025-07-01T00:00:00"}).to_bytes())


def slip_in(store: Store, root: Path) -> None:
    """Publish another version of a night, and seal it as if tickers had come late: it serves, and the first one stays."""
    made = night(store, NIGHTS[0], quantiles="9 9 9")
    path = root / "store/nightly_forecast" / NIGHTS[0] / made.id / "manifest.json"
    path.write_bytes(Manifest.model_validate({**vars(made.manifest), "created": "2025-07-01T00:00:00"}).to_bytes())


def forget_a_file(store: Store, root: Path) -> None:
    path = root / "ledger/arrivals.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def forget_the_ledger(store: Store, root: Path) -> None:
    (root / "ledger/arrivals.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, "is gone"),
        (make_again, "is gone"),
        (date_otherwise, "is another one than it was"),
        (slip_in, "the last one sealed is"),
        (forget_a_file, "ledger/arrivals lacks 1 of its 3 sealed records"),
        (forget_the_ledger, "ledger/arrivals lacks 3 of its 3 sealed records"),
    ],
)
def test_what_was_changed_after_it_was_sealed_is_named(
    store: Store, tmp_path: Path, change: Callable[[Store, Path], None], sentence: str
) -> None:
    change(store, tmp_path)
    found = seal_problems(store, str(tmp_path))
    assert len(found) == 1
    assert sentence in found[0]


def rewrite(root: Path, keep: Callable[[int], bool]) -> None:
    """Make the chain of seals again from those that are kept, consistent in itself."""
    kept, before = [seal for seal in read_seals(str(root)) if keep(seal.order)], ""
    (root / f"{JOURNAL}.jsonl").unlink()
    for order, seal in enumerate(kept):
        content = {**seal.content(), "order": order, "before": before}
        before = head_of(content)
        Journal(str(root), JOURNAL).append([{"id": before, **content}])


def test_a_dropped_tail_shows_against_seals_that_are_kept_elsewhere_alone(store: Store, tmp_path: Path) -> None:
    kept = lines(tmp_path)
    shutil.rmtree(tmp_path / "store/nightly_forecast" / NIGHTS[-1])
    rewrite(tmp_path, lambda order: order < 2)
    assert seal_problems(store, str(tmp_path)) == []
    (said,) = compare_seals(read_seals(str(tmp_path)), kept, where="seals.txt")
    assert said.startswith(f"seals.txt: the seal of {NIGHTS[-1]}, {kept[-1].split()[1]}, is not one of this store")


def test_a_chain_made_again_without_a_night_fits_none_of_the_later_seals(store: Store, tmp_path: Path) -> None:
    kept = lines(tmp_path)
    shutil.rmtree(tmp_path / "store/nightly_forecast" / NIGHTS[0])
    rewrite(tmp_path, lambda order: order > 0)
    assert len([said for said in compare_seals(read_seals(str(tmp_path)), kept, where="f") if "not one" in said]) == 3


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda of: of[:-1], "lacks the seal of 2025-07-03"),
        (lambda of: [of[0], of[2], of[1]], "are not in the order"),
        (lambda of: [*of, of[0]], "has a seal twice"),
        (lambda of: [of[0].replace("07-01 ", "06-30 "), *of[1:]], "is of 2025-06-30 at"),
        (lambda of: [of[0].replace("T00:00:00", "T00:00:01"), *of[1:]], "at 2025-07-04T00:00:01"),
        (lambda of: ["nonsense", *of], "line 1 is no seal: 'nonsense'"),
    ],
)
def test_an_edited_line_of_the_seals_kept_elsewhere_is_named(
    store: Store, tmp_path: Path, edit: Callable[[list[str]], list[str]], sentence: str
) -> None:
    found = compare_seals(read_seals(str(tmp_path)), edit(lines(tmp_path)), where="seals.txt")
    assert any(sentence in said for said in found)


def test_an_edited_seal_of_the_store_is_an_error_or_a_broken_chain(store: Store, tmp_path: Path) -> None:
    path = tmp_path / f"{JOURNAL}.jsonl"
    text = path.read_text()
    path.write_text(text.replace(NIGHTS[1], NIGHTS[0], 1))
    with pytest.raises(CorruptArtefact, match="differs from its own digest"):
        read_seals(str(tmp_path))
    path.unlink()
    for number, line in enumerate(text.splitlines()):
        record = json.loads(line)
        del record["record_sha256"]
        Journal(str(tmp_path), JOURNAL).append([record | ({"at": "2025-07-01T00:00:00+00:00"} if number == 1 else {})])
    assert any("differs from its own digest" in said for said in seal_problems(store, str(tmp_path)))


def test_a_line_is_read_as_it_was_written() -> None:
    line = SealLine("2025-07-01", "0" * HEAD_DIGITS, "2025-07-02T02:31:00+00:00")
    assert SealLine.parse(f" {line}\n") == line
    assert SealLine.parse("2025-07-01 123 now") is None
