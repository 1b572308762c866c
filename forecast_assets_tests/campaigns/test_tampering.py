"""Each kind of tampering of the campaign is found on a small store, and the untouched one is accepted."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns.tampering import KEPT, TAMPERINGS, next_morning, one, seal_at, verified
from forecast_assets.store.journal import Journal
from forecast_assets.store.seals import read_seals
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import DAYS, publish, publish_night


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Five sealed nights, each made after those before it, with positions; their seals beside the data root."""
    folder = tmp_path_factory.mktemp("record")
    root = folder / "root"
    store, before = Store(root / "store"), dict[str, str]()
    for number, day in enumerate(DAYS[210:215]):
        made = publish_night(store, ("A", "B"), day, mean=number / 1000)
        before[made.label] = made.data_version
        publish(store, "target_positions", str(day), {"book": str(day)}, parents=dict(before))
    for name in ("arrivals", "trials"):
        Journal(str(root), f"ledger/{name}").append([{"id": f"{name} {number}"} for number in range(3)])
    seal_at(root, next_morning)
    (folder / KEPT).write_text("".join(f"{seal.line}\n" for seal in read_seals(str(root))))
    yield folder
    assert verified(root, folder / KEPT) == []  # no tampering with a copy reached it


def test_the_untouched_record_is_accepted(base: Path) -> None:
    assert verified(base / "root", base / KEPT) == []


@pytest.mark.parametrize("number", range(2 * len(TAMPERINGS)))
def test_a_tampering_is_found_with_the_seals_that_are_kept_elsewhere(base: Path, tmp_path: Path, number: int) -> None:
    outcome = one(base, tmp_path / "copy", number)
    assert outcome["found"], outcome["kind"]


def test_a_dropped_tail_that_was_sealed_again_is_missed_without_them(base: Path, tmp_path: Path) -> None:
    number = [kind.__name__ for kind in TAMPERINGS].index("drop_the_newest")
    outcome = one(base, tmp_path / "copy", number)
    assert outcome["sealed_again"]
    assert not outcome["found_without_kept_seals"]


def test_a_copy_without_any_change_is_not_accused(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "copy", copy_function=os.link)
    assert verified(tmp_path / "copy" / "root", tmp_path / "copy" / KEPT) == []
