"""What a store behind fsspec adds: copies cached by content, uploads, a sweep by age."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from upath import UPath

from forecast_assets.core.errors import CorruptArtefact, Unreachable
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, NEVER, fields, publish, write


@pytest.fixture(params=["memory", "s3"], name="root")
def remote_root(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    if request.param == "memory":
        return UPath(f"memory://{tmp_path.name}-{id(request)}/store")
    return UPath(f"{request.getfixturevalue('s3_bucket')}/store")


def test_a_url_and_the_usual_environment_are_all_it_takes(s3_bucket: str, tmp_path: Path) -> None:
    store = Store(f"{s3_bucket}/data/store", cache=tmp_path / "cache")
    version = publish(store, {"f": "1"}, partition="2019")

    listed = boto3.client("s3").list_objects_v2(Bucket=s3_bucket.removeprefix("s3://"))["Contents"]
    folder = "data/store/panel/2019"
    assert sorted(entry["Key"] for entry in listed) == sorted(
        [f"{folder}/CURRENT", f"{folder}/{version.id}/f", f"{folder}/{version.id}/manifest.json", "data/store/.changed"]
    )


def test_what_another_machine_does_is_seen_at_once(s3_bucket: str, tmp_path: Path) -> None:
    store = Store(f"{s3_bucket}/store", cache=tmp_path / "cache")
    publish(store, {"f": "1"})
    assert store.has("panel")
    boto3.client("s3").delete_object(Bucket=s3_bucket.removeprefix("s3://"), Key="store/panel/all/CURRENT")
    assert not store.has("panel")


def test_a_file_is_downloaded_once_and_by_content(store: Store, tmp_path: Path) -> None:
    first = publish(store, {"f": "same"}, key=KEY_A)
    second = publish(store, {"f": "same"}, key=KEY_B)
    path = first.path("f")
    assert path.is_relative_to(tmp_path / "cache")
    assert path.name == "f"

    touched = path.stat().st_mtime_ns
    assert second.path("f") == path
    assert path.stat().st_mtime_ns == touched


def test_a_download_that_differs_from_the_manifest_is_rejected_and_leaves_no_copy(
    store: Store, root: UPath, tmp_path: Path
) -> None:
    version = publish(store, {"f": "12345"})
    (root / f"panel/all/{version.id}/f").write_bytes(b"12x45")

    with pytest.raises(CorruptArtefact, match="the downloaded bytes differ from the manifest"):
        version.path("f")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_damaged_copy_is_replaced_after_a_check(store: Store) -> None:
    version = publish(store, {"f": "12345"})
    version.path("f").write_text("12x45")
    version.check()
    assert version.path("f").read_text() == "12345"


def test_a_cut_copy_is_replaced_at_once(store: Store) -> None:
    version = publish(store, {"f": "12345"})
    version.path("f").write_text("12")
    assert version.path("f").read_text() == "12345"


def test_the_local_originals_are_gone_after_a_commit(store: Store, tmp_path: Path) -> None:
    staging = store.stage("panel", input_key=KEY_A)
    write(staging.path, {"f": "1"})
    store.commit(staging, fields())
    assert list((tmp_path / "cache/staging").iterdir()) == []


def test_a_sweep_removes_old_uploads_without_manifest(store: Store, root: UPath) -> None:
    version = publish(store, {"f": "1"}, key=KEY_A)
    orphan = f"panel/all/{KEY_B[:16]}-00000000"
    (root / orphan / "half").write_bytes(b"writ")

    assert store.sweep(older_than_seconds=NEVER) == []
    assert store.sweep(older_than_seconds=-60) == [orphan]  # from the point of view of a minute from now
    assert store.sweep(older_than_seconds=-60) == []
    assert store.current("panel") == version
    assert store.verify() == []


def test_a_sweep_removes_abandoned_stagings_and_downloads_and_keeps_live_ones(store: Store, tmp_path: Path) -> None:
    abandoned = tmp_path / "cache/staging/panel+all+x"
    abandoned.mkdir(parents=True)
    half = tmp_path / "cache/sha256/d00d/.f.0123abcd.tmp"
    half.parent.mkdir(parents=True)
    half.write_text("h")
    live = store.stage("panel", input_key=KEY_A)

    assert store.sweep(older_than_seconds=-60) == [str(abandoned), str(half)]
    assert live.path.is_dir()
    live.discard()


def test_an_upload_that_fails_half_way_is_invisible(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    staging = store.stage("panel", input_key=KEY_B)
    write(staging.path, {"f": "2", "g": "3"})
    system = store._place._fs  # type: ignore[attr-defined]
    put = system.put_file

    def fail_at_g(source: str, target: str) -> None:
        if target.endswith("/g"):
            raise OSError("connection lost")
        put(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(system, "put_file", fail_at_g)
        with pytest.raises(Unreachable, match=r"the object store can't be used \(OSError\)"):
            store.commit(staging, fields())
    assert store.current("panel") == first
    assert store.find("panel", None, KEY_B) is None
    store.commit(staging, fields())  # the same staging once more
    assert store.current("panel").input_key == KEY_B


def test_an_unreachable_store_raises_one_sentence_without_the_request(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = UPath(
        f"{s3_bucket}/elsewhere", client_kwargs={"endpoint_url": "http://127.0.0.1:9"}, skip_instance_cache=True
    )
    with pytest.raises(Unreachable) as caught:
        Store(away, cache=tmp_path / "cache").assets()
    assert str(caught.value).startswith(f"{s3_bucket}/elsewhere: the object store can't be used (")
    assert "list-type" not in str(caught.value)


def test_of_two_writers_of_a_night_one_is_first_and_both_are_told_which(s3_bucket: str, tmp_path: Path) -> None:
    """Two processes at once, twelve nights: what a writer was told is what stands, whoever comes later."""
    url = f"{s3_bucket}/store"
    command = [sys.executable, "-m", "forecast_assets_tests.store.first_commits", url, str(tmp_path)]
    running = [
        subprocess.Popen([*command, name, "12", "2"], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        for name in ("a", "b")
    ]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    store = Store(url, cache=tmp_path / "cache")
    stands = {night: store.current("night", night) for night in store.partitions("night")}
    assert told[0] == told[1] == {night: version.id for night, version in stands.items()}
    assert len(stands) == 12
    assert store.verify() == []
    assert {len(store.versions("night", night)) for night in stands} == {1}  # the other's is taken back


def test_a_second_first_commit_returns_the_one_that_came_in_between(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = store.stage("panel", input_key=KEY_A)
    write(staging.path, {"f": "late"})
    put = store._place.replace

    def other_first(key: str, data: bytes) -> None:
        put(key, data)
        if key.endswith("manifest.json"):
            monkeypatch.setattr(store._place, "replace", put)
            winners.append(publish(store, {"f": "early"}, key=KEY_B))

    winners: list[Version] = []
    monkeypatch.setattr(store._place, "replace", other_first)
    told = store.commit(staging, fields(), first=True)
    assert told.id == store.current("panel").id == winners[0].id
    assert told.path("f").read_text() == "early"


def test_one_bad_download_is_read_again_and_moves_no_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = publish(store, {"f": "12345"}, key=KEY_A)
    read = store._place.sha256
    for bad in (["0" * 64], ["0" * 64, "1" * 64]):

        def hashed(key: str, bad: list[str] = bad) -> str:
            return bad.pop() if sound.id in key and bad else read(key)

        with monkeypatch.context() as patch, store.stage("panel", input_key=KEY_A) as staging:
            patch.setattr(store._place, "sha256", hashed)
            write(staging.path, {"f": "12345"})
            if len(bad) == 1:
                assert store.commit(staging, fields(), first=True) == sound
            else:
                with pytest.raises(Unreachable, match="reads differently each time"):
                    store.commit(staging, fields(), first=True)
    assert store.current("panel") == sound
    assert store.versions("panel") == [sound]


def test_downloads_that_differ_each_time_are_the_stores_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = publish(store, {"f": "12345"})
    noise = iter(["1", "2", "3"])
    with monkeypatch.context() as patch:
        patch.setattr(
            store._place._fs,  # type: ignore[attr-defined]
            "get_file",
            lambda source, target: Path(target).write_text(next(noise)),
        )
        with pytest.raises(Unreachable, match=r"/f: 3 downloads of it differ from each other"):
            version.path("f")
    assert version.path("f").read_text() == "12345"


def test_an_upload_that_was_cut_is_not_believed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(store, {"f": "1"}, key=KEY_A)
    staging = store.stage("panel", input_key=KEY_B)
    write(staging.path, {"f": "12345"})
    system = store._place._fs  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(system, "put_file", lambda source, target: system.pipe_file(target, b"123"))
        with pytest.raises(Unreachable, match="what the object store holds is not what was uploaded"):
            store.commit(staging, fields())
    assert store.current("panel") == first
    assert store.commit(staging, fields()).path("f").read_text() == "12345"


@pytest.mark.parametrize("error", [OSError(5, "Internal Error"), OSError("We encountered an internal error")])
def test_a_store_that_errs_is_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    version = publish(store, {"f": "1"})
    with monkeypatch.context() as patch:
        for name in ("get_file", "cat_file", "pipe_file"):
            patch.setattr(store._place._fs, name, fail)  # type: ignore[attr-defined]
        with pytest.raises(Unreachable, match=r"the object store can't be used \(OSError\)"):
            version.path("f")
        with pytest.raises(Unreachable):
            store.current("panel")
    assert store.current("panel") == version
    assert len(store.versions("panel")) == 1
