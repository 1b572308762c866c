"""A version being written: sealing, discarding, what may be published."""

from pathlib import Path

import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.store.staging import Staging
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, fields, publish, write


@pytest.fixture
def staging(disk_store: Store) -> Staging:
    return disk_store.stage("panel", input_key=KEY_A)


def test_the_data_version_depends_on_names_and_bytes_alone(disk_store: Store) -> None:
    same = [publish(disk_store, {"f": "1", "g": "2"}, key=key).data_version for key in (KEY_A, KEY_B)]
    bytes_differ = publish(disk_store, {"f": "1", "g": "3"}).data_version
    names_differ = publish(disk_store, {"f": "1", "h": "2"}).data_version

    assert same[0] == same[1]
    assert len({same[0], bytes_differ, names_differ}) == 3


def test_the_data_version_is_this_one(staging: Staging) -> None:
    write(staging.path, {"f": ""})
    # printf '[["f","%s"]]' "$(printf '' | sha256sum | cut -c1-64)" | sha256sum
    assert staging.seal() == "e58fb1125e7a4682ba1779a17573d92327194d6e13e07f86db250c7043cafeb9"


def test_every_file_of_a_version_is_readable_by_those_who_may_read_its_folder(disk_store: Store) -> None:
    staging = disk_store.stage("panel", input_key=KEY_A)
    write(staging.path, {"weights": "1", "table": "2"})
    (staging.path / "weights").chmod(0o600)  # as of a library that writes through a temporary file
    staging.path.chmod(0o750)
    version = disk_store.commit(staging, fields())
    assert {oct(version.path(name).stat().st_mode & 0o777) for name in ("weights", "table")} == {"0o640"}


def test_sealing_twice_is_harmless(staging: Staging) -> None:
    write(staging.path, {"f": "1"})
    assert staging.seal() == staging.seal()


@pytest.mark.parametrize("name", ["f", "g"])
def test_writing_after_the_seal_is_rejected(disk_store: Store, staging: Staging, name: str) -> None:
    write(staging.path, {"f": "1"})
    staging.seal()
    write(staging.path, {name: "22"})
    with pytest.raises(ValueError, match="was written after the version had been sealed"):
        disk_store.commit(staging, fields())
    assert not disk_store.has("panel")


def test_an_empty_staging_is_rejected(disk_store: Store, staging: Staging) -> None:
    with pytest.raises(ValueError, match="panel: nothing was written"):
        disk_store.commit(staging, fields())
    assert not disk_store.has("panel")


@pytest.mark.parametrize("name", ["manifest.json", ".hidden", "with space", "=cmd()"])
def test_a_file_name_the_store_does_not_accept_is_rejected(staging: Staging, name: str) -> None:
    write(staging.path, {name: "1"})
    with pytest.raises(BadInput, match="file"):
        staging.seal()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_only_plain_files_are_published(staging: Staging, tmp_path: Path, kind: str) -> None:
    write(tmp_path, {"outside": "secret"})
    if kind == "folder":
        (staging.path / "x").mkdir()
    else:
        (staging.path / "x").symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="x is not a plain file"):
        staging.seal()


def test_discarding_twice_is_harmless_and_discarding_a_committed_one_keeps_it(
    disk_store: Store, staging: Staging
) -> None:
    write(staging.path, {"f": "1"})
    version = disk_store.commit(staging, fields())
    staging.discard()
    version.check()

    other = disk_store.stage("panel", input_key=KEY_A)
    other.discard()
    other.discard()
    assert not other.path.exists()
