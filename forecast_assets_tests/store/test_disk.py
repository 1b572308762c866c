"""What a local store adds: files in place, shared files, live writers protected from the sweep."""

import os
import time
from pathlib import Path

import pytest

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store import disk
from forecast_assets.store.durable import file_sha256
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, KEY_C, fields, publish, write


def test_a_version_is_written_and_read_in_its_own_folder(disk_store: Store, tmp_path: Path) -> None:
    staging = disk_store.stage("fits", "2019", input_key=KEY_A)
    write(staging.path, {"f": "1"})
    version = disk_store.commit(staging, fields())

    assert version.path("f") == tmp_path / f"store/fits/2019/{version.id}/f" == staging.path / "f"
    assert (tmp_path / "store/fits/2019/CURRENT").read_text() == f"{version.id}\n"


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_root_may_be_a_path_or_a_file_url(tmp_path: Path, form: str) -> None:
    version = publish(Store(form.format(tmp_path / "store")), {"f": "1"})
    assert version.path("f").is_relative_to(tmp_path / "store")


def test_current_moves_only_after_the_manifest_is_there(
    disk_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[tuple[str, bool]] = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        manifests = list(tmp_path.glob("store/panel/all/*/manifest.json"))
        moves.append((Path(target).name, bool(manifests)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    publish(disk_store, {"f": "1"})
    assert moves == [("manifest.json", False), ("CURRENT", True)]


def test_an_unchanged_file_is_a_hard_link_to_the_current_one(disk_store: Store) -> None:
    first = publish(disk_store, {"same": "big", "other": "1"}, key=KEY_A)
    second = publish(disk_store, {"same": "big", "other": "2"}, key=KEY_B)

    assert second.path("same").samefile(first.path("same"))
    assert not second.path("other").samefile(first.path("other"))
    assert disk_store.verify() == []


def test_a_damaged_file_is_not_shared(disk_store: Store) -> None:
    first = publish(disk_store, {"f": "12345"})
    first.path("f").write_text("12x45")
    second = publish(disk_store, {"f": "12345"})

    second.check()
    assert second.path("f").read_text() == "12345"


def watched_hashes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are hashed from now on, one entry each time."""
    hashed: list[Path] = []

    def watched(path: Path) -> str:
        hashed.append(path)
        return file_sha256(path)

    monkeypatch.setattr(disk, "file_sha256", watched)
    return hashed


def test_a_file_is_hashed_once_and_damage_is_found_at_once(disk_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = watched_hashes(monkeypatch)
    monkeypatch.setattr(disk, "CLOCK_STEP", -60.0)  # seconds: as if the file were old
    version = publish(disk_store, {"f": "12345"})
    hashed.clear()
    version.check()
    version.check()
    assert hashed == [version.path("f")]

    written = version.path("f").stat().st_mtime_ns
    version.path("f").write_text("12x45")
    os.utime(version.path("f"), ns=(written, written))
    with pytest.raises(CorruptArtefact, match=r"f of version .* differs from its manifest"):
        version.check()


def test_a_file_is_hashed_again_after_a_while_and_while_it_is_new(
    disk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = watched_hashes(monkeypatch)
    version = publish(disk_store, {"f": "12345"})
    hashed.clear()
    version.check()
    version.check()
    assert len(hashed) == 2
    monkeypatch.setattr(disk, "CLOCK_STEP", -60.0)
    version.check()
    monkeypatch.setattr(disk, "HASHED_AGAIN", -1.0)
    version.check()
    assert len(hashed) == 4


def test_one_damaged_file_is_found_in_every_version_that_shares_it(disk_store: Store) -> None:
    first = publish(disk_store, {"f": "12345"})
    second = publish(disk_store, {"f": "12345"})
    first.path("f").write_text("12x45")
    assert sorted(str(problem.version) for problem in disk_store.verify()) == sorted([first.id, second.id])


def test_a_store_can_be_moved(disk_store: Store, tmp_path: Path) -> None:
    publish(disk_store, {"f": "1"})
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    moved = Store(tmp_path / "elsewhere")
    assert moved.current("panel").path("f").read_text() == "1"
    assert moved.verify() == []


def test_a_sweep_removes_orphans_and_temporaries_and_nothing_else(disk_store: Store, tmp_path: Path) -> None:
    version = publish(disk_store, {"f": "1"})
    orphan = tmp_path / f"store/panel/all/{'b' * 16}-00000000"
    orphan.mkdir()
    write(orphan, {"half": "writ"})
    temporary = tmp_path / "store/panel/all/.CURRENT.0123abcd.tmp"
    temporary.write_text("x")
    stranger = tmp_path / "store/panel/all/notes"
    stranger.mkdir()

    assert disk_store.sweep(older_than_seconds=60) == []
    assert disk_store.sweep(older_than_seconds=0) == [f"panel/all/{orphan.name}", f"panel/all/{temporary.name}"]
    assert stranger.exists()
    assert disk_store.current("panel") == version
    assert disk_store.verify() == []


def test_a_sweep_goes_by_the_last_file_that_was_touched(disk_store: Store, tmp_path: Path) -> None:
    orphan = tmp_path / f"store/panel/all/{'b' * 16}-00000000"
    orphan.mkdir(parents=True)
    write(orphan, {"half": "writ"})
    hour_ago = time.time() - 3600
    os.utime(orphan, (hour_ago, hour_ago))
    assert disk_store.sweep(older_than_seconds=1800) == []
    os.utime(orphan / "half", (hour_ago, hour_ago))
    assert disk_store.sweep(older_than_seconds=1800) == [f"panel/all/{orphan.name}"]


def test_a_sweep_keeps_the_staging_of_a_live_writer_however_old(disk_store: Store) -> None:
    staging = disk_store.stage("panel", input_key=KEY_A)
    write(staging.path, {"f": "1"})
    assert disk_store.sweep(older_than_seconds=0) == []

    disk_store.commit(staging, fields())
    assert disk_store.current("panel").path("f").read_text() == "1"


def test_a_sweep_keeps_the_remains_of_a_current_version(disk_store: Store, tmp_path: Path) -> None:
    version = publish(disk_store, {"f": "1"})
    (tmp_path / f"store/panel/all/{version.id}/manifest.json").unlink()

    assert disk_store.sweep(older_than_seconds=0) == []
    with pytest.raises(CorruptArtefact):
        disk_store.current("panel")


def test_a_reader_that_lost_its_version_to_pruning_gets_the_new_one(
    disk_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(disk_store, {"f": "1"}, key=KEY_A)
    second = publish(disk_store, {"f": "2"}, key=KEY_B)
    answers = iter([f"{KEY_C[:16]}-00000000", second.id])  # CURRENT as read before and after a writer came by
    monkeypatch.setattr(disk_store, "_pointer", lambda asset, partition: next(answers))
    assert disk_store.current("panel") == second != first


def test_a_store_that_may_not_be_written_can_be_read(disk_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(disk_store, {"f": "1"})

    def read_only(*args: object, **kwargs: object) -> None:
        raise PermissionError("read-only")

    for name in ("replace", "link", "mkdir", "unlink", "fsync"):
        monkeypatch.setattr(os, name, read_only)
    assert disk_store.current("panel").path("f").read_text() == "1"
    assert disk_store.find("panel", None, KEY_A) == disk_store.versions("panel")[0]
    assert disk_store.verify() == []
    with pytest.raises(PermissionError):
        disk_store.stage("panel", input_key=KEY_A)
