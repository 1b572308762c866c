"""What every store does, on a disk and behind a URL."""

import json
from pathlib import Path

import pytest
from upath import UPath

from forecast_assets.core.errors import BadInput, CorruptArtefact, MissingArtefact
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, KEY_C, fields, publish, write


def test_the_mark_of_changes_moves_with_each_publication_and_promotion_alone(store: Store) -> None:
    marks = [store.change_mark()]
    first = publish(store, {"f": "1"}, key=KEY_A)
    marks.append(store.change_mark())
    publish(store, {"f": "2"}, key=KEY_B)
    marks.append(store.change_mark())
    store.promote(first)
    marks.append(store.change_mark())
    with store.stage("night", "2025-07-01", input_key=KEY_C) as staging:
        write(staging.path, {"f": "3"})
        store.commit(staging, fields(), first=True)
    marks.append(store.change_mark())
    assert marks[0] is None
    assert len(set(marks)) == len(marks)
    store.promote(first)  # it is current already
    store.sweep(older_than_seconds=0)
    assert store.verify() == []
    assert store.change_mark() == marks[-1]


def test_what_was_committed_is_what_is_read(store: Store) -> None:
    published = publish(store, {"rows.json": '{"rows": 3}', "notes.txt": "x"}, key=KEY_A)

    current = store.current("panel")
    assert current == published
    assert current.path("notes.txt").read_text() == "x"
    assert current.json("rows.json") == {"rows": 3}
    assert current.input_key == KEY_A
    assert current.id.startswith("a" * 16 + "-")
    assert store.verify() == []


def test_a_store_that_was_never_written_is_empty_and_creates_nothing(store: Store, root: UPath) -> None:
    assert store.assets() == []
    assert store.partitions("panel") == []
    assert store.versions("panel") == []
    assert store.find("panel", None, KEY_A) is None
    assert not store.has("panel")
    assert store.verify() == []
    assert store.sweep(older_than_seconds=0) == []
    assert not root.exists()


def test_an_asset_that_was_never_published_is_missing_and_not_corrupt(store: Store) -> None:
    publish(store, {"f": "1"}, asset="other")
    with pytest.raises(MissingArtefact, match=r"panel/2019: nothing published in .* yet; materialise it first"):
        store.current("panel", "2019")


def test_assets_and_partitions_are_listed_once_published(store: Store) -> None:
    publish(store, {"f": "1"}, asset="fits", partition="2020")
    publish(store, {"f": "1"}, asset="fits", partition="2019")
    publish(store, {"f": "1"}, asset="panel")
    store.stage("unfinished", input_key=KEY_A).discard()

    assert store.assets() == ["fits", "panel"]
    assert store.partitions("fits") == ["2019", "2020"]
    assert store.partitions("panel") == []
    assert store.has("fits", "2019")
    assert not store.has("fits")


def test_partitions_do_not_see_each_other(store: Store) -> None:
    publish(store, {"f": "2019"}, asset="fits", partition="2019", key=KEY_A)
    publish(store, {"f": "2020"}, asset="fits", partition="2020", key=KEY_A)

    assert store.current("fits", "2019").path("f").read_text() == "2019"
    assert len(store.versions("fits", "2019")) == 1
    assert store.find("fits", "2021", KEY_A) is None


def test_a_version_is_found_by_its_input_key_whichever_is_current(store: Store) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    second = publish(store, {"f": "2"}, key=KEY_B)

    assert store.find("panel", None, KEY_A) == first
    assert store.find("panel", None, KEY_B) == second
    assert store.find("panel", None, KEY_C) is None


def test_a_key_that_shares_only_its_first_half_is_not_found(store: Store) -> None:
    publish(store, {"f": "1"}, key=KEY_A)
    assert store.find("panel", None, "a" * 63 + "b") is None


def test_publishing_the_same_key_again_adds_a_version_and_finds_the_current_one(store: Store) -> None:
    first = publish(store, {"f": "1"})
    second = publish(store, {"f": "1"})

    assert first.id != second.id
    assert first.data_version == second.data_version
    assert store.versions("panel") == [first, second]
    assert store.find("panel", None, KEY_A) == second
    store.promote(first)
    assert store.find("panel", None, KEY_A) == first


def test_promote_moves_current_back_and_keeps_every_version(store: Store) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    second = publish(store, {"f": "2"}, key=KEY_B)
    assert store.current("panel") == second

    store.promote(first)

    assert store.current("panel") == first
    assert store.versions("panel") == [first, second]
    assert store.verify() == []


def test_promoting_a_damaged_version_is_rejected_and_changes_nothing(store: Store, root: UPath) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    second = publish(store, {"f": "2"}, key=KEY_B)
    (root / f"panel/all/{first.id}/f").write_bytes(b"X")

    with pytest.raises(CorruptArtefact, match=r"panel: file f of version a{16}-.* differs from its manifest"):
        store.promote(first)
    assert store.current("panel") == second


def test_the_manifest_records_what_the_version_was_made_from(store: Store, root: UPath) -> None:
    version = publish(
        store,
        {"f": "1"},
        partition="2019",
        parents={"panel/2018": "d" * 64},
        config={"lookback": 120},
        seeds=[1, 2],
        packages={"torch": "2.13.0"},
        facts={"rows": 3},
    )

    on_disk = json.loads((root / f"panel/2019/{version.id}/manifest.json").read_bytes())
    assert on_disk["files"] == {"f": {"bytes": 1, "sha256": version.manifest.files["f"].sha256}}
    assert on_disk["parents"] == {"panel/2018": "d" * 64}
    assert (on_disk["config"], on_disk["seeds"], on_disk["facts"]) == ({"lookback": 120}, [1, 2], {"rows": 3})
    assert (on_disk["asset"], on_disk["partition"], on_disk["version"]) == ("panel", "2019", version.id)
    assert on_disk["created"].endswith("+00:00")
    assert store.current("panel", "2019").manifest == version.manifest


def test_a_staging_is_published_once(store: Store) -> None:
    staging = store.stage("panel", input_key=KEY_A)
    write(staging.path, {"f": "1"})
    version = store.commit(staging, fields())
    with pytest.raises(ValueError, match=f"panel: version {version.id} was published already"):
        store.commit(staging, fields())
    assert store.versions("panel") == [version]


def test_a_version_without_manifest_is_invisible(store: Store, root: UPath) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    second = publish(store, {"f": "2"}, key=KEY_B)
    store.promote(first)
    (root / f"panel/all/{second.id}/manifest.json").unlink()

    assert store.versions("panel") == [first]
    assert store.find("panel", None, KEY_B) is None
    assert store.verify() == []


def test_a_current_whose_version_is_gone_is_corrupt_and_not_missing(store: Store, root: UPath) -> None:
    version = publish(store, {"f": "1"})
    (root / f"panel/all/{version.id}/manifest.json").unlink()

    assert store.has("panel")
    with pytest.raises(CorruptArtefact, match=f"version {version.id} is gone"):
        store.current("panel")
    assert [(problem.asset, problem.file) for problem in store.verify()] == [("panel", "CURRENT")]


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"../../etc", b"latest\n"])
def test_a_damaged_current_is_corrupt(store: Store, root: UPath, text: bytes) -> None:
    publish(store, {"f": "1"})
    (root / "panel/all/CURRENT").write_bytes(text)

    with pytest.raises(CorruptArtefact, match=r"CURRENT holds .* which is no version"):
        store.current("panel")
    assert [problem.file for problem in store.verify()] == ["CURRENT"]


def test_publishing_again_repairs_a_damaged_current(store: Store, root: UPath) -> None:
    publish(store, {"f": "1"})
    (root / "panel/all/CURRENT").write_bytes(b"?")
    repaired = publish(store, {"f": "1"})
    assert store.current("panel") == repaired


def test_a_damaged_manifest_is_found_and_the_other_versions_stay_readable(store: Store, root: UPath) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    second = publish(store, {"f": "2"}, key=KEY_B, config={"lookback": 120})
    manifest = root / f"panel/all/{second.id}/manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"120", b"121"))

    with pytest.raises(CorruptArtefact, match=f"the manifest of version {second.id} differs from its own digest"):
        store.current("panel")
    assert store.find("panel", None, KEY_B) is None
    assert store.versions("panel") == [first]
    assert [(problem.version, problem.file) for problem in store.verify()] == [
        (second.id, "manifest.json"),
        (None, "CURRENT"),
    ]


def test_a_manifest_in_the_wrong_folder_is_corrupt(store: Store, root: UPath) -> None:
    first = publish(store, {"f": "1"})
    second = publish(store, {"f": "1"})
    (root / f"panel/all/{second.id}/manifest.json").write_bytes(
        (root / f"panel/all/{first.id}/manifest.json").read_bytes()
    )
    with pytest.raises(CorruptArtefact, match="belongs to another version"):
        store.current("panel")


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("flip", "differs from its manifest"),
        ("cut", "has 3 bytes where its manifest says 5"),
        ("remove", "is gone"),
        ("add", "is not in the manifest"),
    ],
)
def test_verify_and_check_name_the_damaged_file(store: Store, root: UPath, damage: str, what: str) -> None:
    version = publish(store, {"f": "12345", "g": "same"}, partition="2019")
    folder = root / f"panel/2019/{version.id}"
    match damage:
        case "flip":
            (folder / "f").write_bytes(b"12x45")
        case "cut":
            (folder / "f").write_bytes(b"123")
        case "remove":
            (folder / "f").unlink()
        case "add":
            (folder / "h").write_bytes(b"1")
    file = "h" if damage == "add" else "f"

    with pytest.raises(CorruptArtefact, match=f"panel/2019: file {file} of version {version.id} in .* {what}"):
        version.check()
    assert [str(problem) for problem in store.verify()] == [f"panel/2019: {file} of version {version.id} {what}."]


@pytest.mark.parametrize("damage", ["cut", "remove"])
def test_a_cut_or_lost_file_is_corrupt_when_opened_and_its_version_is_not_found(
    store: Store, root: UPath, damage: str
) -> None:
    version = publish(store, {"f": "12345"})
    file = root / f"panel/all/{version.id}/f"
    if damage == "cut":
        file.write_bytes(b"123")
    else:
        file.unlink()

    with pytest.raises(CorruptArtefact, match="file f of version"):
        store.current("panel").path("f")
    assert store.find("panel", None, KEY_A) is None


def test_altered_json_is_rejected(store: Store, root: UPath) -> None:
    version = publish(store, {"f.json": "[1]"})
    (root / f"panel/all/{version.id}/f.json").write_bytes(b"[2]")
    with pytest.raises(CorruptArtefact, match=r"f\.json.* differ"):
        version.json("f.json")


def test_an_unknown_file_is_named_with_those_there_are(store: Store) -> None:
    version = publish(store, {"f": "1", "g": "2"})
    with pytest.raises(KeyError, match=r"panel has no file 'h'; it has \['f', 'g'\]"):
        version.path("h")


def test_unknown_manifest_fields_are_rejected_before_anything_is_visible(store: Store) -> None:
    with store.stage("panel", input_key=KEY_A) as staging:
        write(staging.path, {"f": "1"})
        with pytest.raises(ValueError, match="colour"):
            store.commit(staging, fields(colour="red"))
    assert store.versions("panel") == []
    assert not store.has("panel")


def test_a_fact_that_is_not_a_number_is_rejected_with_its_name(store: Store) -> None:
    with pytest.raises(ValueError, match=r"manifest of panel\.facts\.loss is nan"):
        publish(store, {"f": "1"}, facts={"loss": float("nan")})
    assert not store.has("panel")


def test_an_exception_while_writing_leaves_nothing_visible(store: Store) -> None:
    staging = store.stage("panel", input_key=KEY_A)

    def write_half() -> None:
        with staging:
            write(staging.path, {"f": "1"})
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        write_half()
    assert not staging.path.exists()
    assert store.versions("panel") == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", ".locks", "a b", "a\n", "é", "a" * 201, "x\x00"]
)
def test_names_that_could_leave_their_folder_are_rejected(store: Store, name: str) -> None:
    for call in (
        lambda: store.current(name),
        lambda: store.current("panel", name),
        lambda: store.has(name),
        lambda: store.partitions(name),
        lambda: store.versions("panel", name),
        lambda: store.find(name, None, KEY_A),
        lambda: store.stage(name, input_key=KEY_A),
        lambda: store.stage("panel", name, input_key=KEY_A),
    ):
        with pytest.raises(BadInput, match="can't be a name in the store"):
            call()


def test_all_is_not_a_partition(store: Store) -> None:
    with pytest.raises(BadInput, match="partition 'all' of panel stands for no partition"):
        store.stage("panel", "all", input_key=KEY_A)


def test_a_key_that_is_no_digest_is_rejected(store: Store) -> None:
    with pytest.raises(ValueError, match=r"'\.\./x' is not an input key"):
        store.stage("panel", input_key="../x")


def test_another_handle_on_the_same_root_sees_what_was_published_since(
    store: Store, root: UPath, tmp_path: Path
) -> None:
    other = Store(root, cache=tmp_path / "other cache")
    assert other.versions("panel") == []
    publish(store, {"f": "1"})
    assert [version.path("f").read_text() for version in other.versions("panel")] == ["1"]
    publish(store, {"f": "2"}, key=KEY_B)
    assert other.current("panel").path("f").read_text() == "2"
    assert len(other.versions("panel")) == 2


@pytest.mark.parametrize("slices", [{}, {"2018": "d18", "2019": "d19", "2020": "d20"}])
def test_a_version_without_slices_is_seen_whole(store: Store, slices: dict[str, str]) -> None:
    version = publish(store, {"f": "1"}, slices=slices)
    assert version.seen_by(None) == version.data_version
    assert (version.seen_by(2019) == version.data_version) == (not slices)


def test_new_rows_of_a_later_year_do_not_change_what_an_earlier_fold_sees(store: Store) -> None:
    before = publish(store, {"f": "1"}, slices={"2018": "x", "2019": "y"})
    after = publish(store, {"f": "2"}, slices={"2020": "new", "2019": "y", "2018": "x"})
    revised = publish(store, {"f": "3"}, slices={"2018": "revised", "2019": "y", "2020": "new"})

    assert before.data_version != after.data_version
    assert before.seen_by(2019) == after.seen_by(2019)
    assert before.seen_by(2020) != after.seen_by(2020)
    assert after.seen_by(2019) != revised.seen_by(2019)
    assert after.seen_by(2018) != after.seen_by(2019)


def test_publishing_again_replaces_a_damaged_version_and_verify_passes(store: Store, root: UPath) -> None:
    """A flipped byte in a file, and one in a manifest, of what was made from the same inputs."""
    for flipped in ("f", "manifest.json"):
        damaged = publish(store, {"f": "right"}, key=KEY_B)
        file = root / "panel" / "all" / damaged.id / flipped
        file.write_bytes(file.read_bytes().replace(b"r", b"R", 1))
        assert len(store.verify()) >= 1
        made_again = publish(store, {"f": "right"}, key=KEY_B)
        assert store.verify() == []
        assert [version.id for version in store.versions("panel")] == [made_again.id]
        delete_version(root, made_again.id)


def delete_version(root: UPath, version: str) -> None:
    for file in (root / "panel" / "all" / version).iterdir():
        file.unlink()
    (root / "panel" / "all" / "CURRENT").unlink()


def test_a_clock_that_was_set_back_does_not_change_which_version_is_newer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    monkeypatch.setattr("forecast_assets.store.store._now", lambda: "2001-01-01T00:00:00.000000+00:00")
    second = publish(store, {"f": "2"}, key=KEY_B)
    assert second.manifest.created > first.manifest.created
    assert store.versions("panel") == [first, second]
    store.promote(first)
    third = publish(store, {"f": "3"}, key=KEY_C)
    assert store.versions("panel") == [first, second, third]


def test_a_lock_removes_what_a_killed_writer_left_and_nothing_of_a_live_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = publish(store, {"f": "1"}, key=KEY_A)
    alive = store.stage("panel", input_key=KEY_B)
    abandoned = store.stage("panel", input_key=KEY_C)
    abandoned._release()  # as the kernel does when its process is gone
    (tmp_path / "panel" / "all" / ".CURRENT.01234567.tmp").touch()
    with store.lock("panel", on_wait=print):
        left = {path.name for path in (tmp_path / "panel" / "all").iterdir()}
    assert left == {"CURRENT", kept.id, alive.version}
