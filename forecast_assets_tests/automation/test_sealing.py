"""Seals leave the store: into a file, into git, to the alert channels; where they can't, that is said and tried again."""

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from forecast_assets.automation.sealing import keep_sealed
from forecast_assets.cli.app import cli
from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.seal_places import GitTags, SealFile, seal_places
from forecast_assets.store.seals import read_seals
from forecast_assets.store.store import Store
from forecast_assets_tests.automation.test_sensors import tick
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.published import publish
from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi

NOW = dt.datetime(2025, 7, 2, 2, 31, tzinfo=dt.UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with one night, not sealed yet."""
    folder = tmp_path / "root"
    night(folder, "2025-07-01")
    return folder


def night(root: Path, day: str) -> None:
    publish(Store(root / "store"), {"table": day}, asset="nightly_forecast", partition=day)


def seal(root: Path) -> list[str]:
    return keep_sealed(Store(root / "store"), str(root), now=NOW).lines()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for command in (["init", "-q", str(folder)], ["-C", str(folder), *COMMIT]):
        subprocess.run(["git", *command], check=True)
    return folder


COMMIT = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "empty"]


def verify(root: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["verify", "--data-dir", str(root), *options])
    return done.exit_code, done.output


def test_a_file_gets_a_line_per_night_and_keeps_those_it_has(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "seals.txt"
    monkeypatch.setenv("FORECAST_SEALS", str(kept))
    (said,) = seal(root)
    first = read_seals(str(root))[0]
    assert said == f"sealed 2025-07-01: {first.head}"
    assert kept.read_text() == f"2025-07-01 {first.head} 2025-07-02T02:31:00+00:00\n"
    night(root, "2025-07-02")
    seal(root)
    assert seal(root) == []
    assert kept.read_text().splitlines() == [str(each.line) for each in read_seals(str(root))]
    assert verify(root) == (0, f"{root}/store: 2 artefacts, all as published\n")


def test_a_line_cut_off_by_a_crash_spoils_no_other(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "seals.txt"
    monkeypatch.setenv("FORECAST_SEALS", str(kept))
    kept.write_text("2025-07-01 3c1")
    seal(root)
    assert kept.read_text().splitlines() == ["2025-07-01 3c1", str(read_seals(str(root))[0].line)]


def test_a_repository_gets_a_tag_per_night(root: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_SEALS", f"git:{repository}")
    seal(root)
    night(root, "2025-07-02")
    seal(root)
    tags = subprocess.run(["git", "-C", repository, "tag"], capture_output=True, text=True, check=True).stdout.split()
    assert tags == [f"seal/{each.day}/{each.head[:16]}" for each in read_seals(str(root))]
    assert verify(root)[0] == 0
    shutil.rmtree(root / "store/nightly_forecast/2025-07-02")
    (root / "ledger/seals.jsonl").unlink()
    monkeypatch.delenv("FORECAST_SEALS")
    seal(root)
    assert verify(root)[0] == 0
    other = GitTags(repository, panel="nifty")
    assert other.read() == []  # another panel's tags are its own
    other.keep(read_seals(str(root)))
    assert str(seal_places(f"git:{repository}#nifty")[0]) == str(other)
    assert verify(root, "--seals", str(other))[0] == 0
    code, output = verify(root, "--seals", f"git:{repository}")
    assert code == 1
    assert f"git:{repository}: the seal of 2025-07-02, {tags[1].split('/')[2]}" in output


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nowhere/seals.txt", "can't be written: No such file or directory"),
        ("git:nowhere", "git says: cannot change to"),
        ("git:.", "git says: not a git repository"),
        ("https://freetsa.org/tsr", "a URL is not a place for seals"),
    ],
)
def test_a_place_that_takes_no_seal_is_one_sentence_and_the_night_is_sealed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("FORECAST_SEALS", place)
    sealed, problem = seal(root)
    assert sealed.startswith("sealed 2025-07-01: ")
    assert sentence in problem
    assert seal(root) == [problem]


def test_without_git_a_sentence_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("FORECAST_SEALS", f"git:{root}")
    assert "needs the program git, which is not installed here" in seal(root)[1]


def test_a_place_with_seals_of_another_store_takes_none(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "seals.txt"
    monkeypatch.setenv("FORECAST_SEALS", str(kept))
    seal(root)
    before = kept.read_text()
    night(tmp_path / "other", "2025-07-01")
    assert "which is not one of this store" in seal(tmp_path / "other")[1]
    assert kept.read_text() == before


def test_a_value_names_several_places() -> None:
    one, two = seal_places("/a/seals.txt, git:/b")
    assert isinstance(one, SealFile)
    assert isinstance(two, GitTags)
    assert [str(one), str(two)] == ["/a/seals.txt", "git:/b"]
    assert seal_places("") == []
    assert [str(each) for each in seal_places("/a/seals.txt,git:/b", panel="nifty")] == [
        "/a/seals-nifty.txt",
        "git:/b#nifty",
    ]
    with pytest.raises(BadSetting, match="name a file, and have it timestamped"):
        seal_places("http://example.org")


def test_a_dropped_night_shows_against_the_file_and_in_json(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "seals.txt"
    monkeypatch.setenv("FORECAST_SEALS", str(kept))
    seal(root)
    shutil.rmtree(root / "store/nightly_forecast/2025-07-01")
    (root / "ledger/seals.jsonl").unlink()
    monkeypatch.delenv("FORECAST_SEALS")
    assert verify(root)[0] == 0
    code, output = verify(root, "--seals", str(kept), "--json")
    assert code == 1
    assert "the seal of 2025-07-01" in output


def test_a_file_that_is_not_there_is_no_agreement(tmp_path: Path) -> None:
    code, output = verify(tmp_path, "--seals", str(tmp_path / "absent.txt"))
    assert code == 1
    assert "holds no seal, and no night of" in output


def test_the_daemon_seals_a_night_and_sends_the_seal_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlackApi() as api, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("FORECAST_SEALS", str(tmp_path / "nowhere/seals.txt"))
        assert "1 messages wait" in tick(root, instance)  # the seal could not be kept; no channel gets seals yet
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        monkeypatch.setenv("SLACK_BASE_URL", api.url)
        (tmp_path / "nowhere").mkdir()
        tick(root, instance)
        tick(root, instance)
        texts = api.texts
    head = read_seals(str(root))[0].head
    assert [text.splitlines()[0].split(": ", 1)[-1] for text in texts] == [
        "Seals are not kept*",
        "Seals are kept again*",
        "The night of 2025-07-01 is sealed*",
    ]
    assert head in texts[2]
    assert (tmp_path / "nowhere/seals.txt").read_text().split()[1] == head


def test_the_file_of_seals_can_be_timestamped_as_the_documentation_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_SEALS", str(tmp_path / "seals.txt"))
    seal(root)
    documented = (PROJECT / "docs" / "record.md").read_text()
    query, _, check = [line.strip() for line in documented.splitlines() if line.startswith(("    openssl", "    curl"))]
    service = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out SERVICE.pem -days 2 -subj /CN=test "
        "-addext extendedKeyUsage=critical,timeStamping",
        "openssl ts -reply -config tsa.cnf -section tsa -queryfile seals.tsq -out seals-2026-11-27.tsr",
    )
    (tmp_path / "tsa.cnf").write_text(TSA)
    for command in (query, *service, check):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    kept = tmp_path / "seals.txt"
    kept.write_text(kept.read_text().replace("07-01", "06-30"))
    assert subprocess.run(check.split(), cwd=tmp_path, check=False, capture_output=True).returncode != 0


TSA = """[tsa]
serial = serial
signer_cert = SERVICE.pem
certs = SERVICE.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""
