"""Promotion: which champion serves when bundles are damaged or revoked."""

import json
from itertools import product
from pathlib import Path

import pytest

from forecast_assets.champion.promotion import (
    REVOKED,
    _promoted,
    current_champion,
    find_next_champion,
    revocation,
    roll_back,
)
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.store.artefact_files import CARD, CHALLENGER_VERDICT, MEMBERS, PARTITIONS, weights_file
from forecast_assets.store.asset_keys import ENSEMBLE, SERVING_MODEL
from forecast_assets.store.journal import Journal
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, KEY_C, publish


def damage(version: Version) -> None:
    path = version.path("model.pt")
    path.write_text(path.read_text().upper())


def test_a_damaged_champion_is_followed_by_the_last_intact_one_not_revoked(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    assert current_champion(store, root) is None
    first, revoked, serving = (
        publish(store, {"model.pt": f"weights {key[0]}"}, asset=SERVING_MODEL, key=key, parents={"base": key})
        for key in (KEY_A, KEY_B, KEY_C)
    )
    Journal(root, REVOKED).append([{"id": revocation(revoked.manifest.parents), "version": revoked.id}])
    assert current_champion(store, root) == serving
    damage(serving)
    assert current_champion(store, root) == first
    damage(first)
    assert current_champion(store, root) is None


def test_a_champion_that_an_earlier_release_revoked_stays_revoked(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    revoked, serving = (
        publish(store, {"model.pt": f"weights {key[0]}"}, asset=SERVING_MODEL, key=key, parents={"base": key})
        for key in (KEY_A, KEY_B)
    )
    Journal(root, "ledger/withdrawn").append([{"id": revocation(revoked.manifest.parents), "version": revoked.id}])
    damage(serving)
    assert current_champion(store, root) is None


def succession(store: Store, letters: str) -> dict[str, Version]:
    """Champions that came one after another, by letter."""
    return {
        letter: publish(store, {"model.pt": letter}, asset=SERVING_MODEL, key=letter * 64, parents={"base": letter})
        for letter in letters
    }


def test_a_rollback_never_serves_a_champion_again_that_was_revoked(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    made = succession(store, "abc")
    assert roll_back(store, root) == (made["c"], made["b"])
    made |= succession(store, "d")
    assert roll_back(store, root) == (made["d"], made["b"])
    assert current_champion(store, root) == made["b"]
    assert roll_back(store, root) == (made["b"], made["a"])
    with pytest.raises(BadInput, match="is the first champion, there is none before it"):
        roll_back(store, root)
    assert current_champion(store, root) == made["a"]


@pytest.mark.parametrize("states", [*product(("sound", "revoked", "damaged"), repeat=3)])
def test_whatever_is_revoked_or_damaged_the_newest_sound_one_before_serves(
    tmp_path: Path, states: tuple[str, ...]
) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    *before, last = succession(store, "abcd").values()
    for version, state in zip(before, states, strict=True):
        if state == "damaged":
            damage(version)
        elif state == "revoked":
            Journal(root, REVOKED).append([{"id": revocation(version.manifest.parents), "version": version.id}])
    sound = [version for version, state in zip(before, states, strict=True) if state == "sound"]
    if sound:
        assert roll_back(store, root) == (last, sound[-1])
        assert store.current(SERVING_MODEL) == current_champion(store, root) == sound[-1]
    else:
        with pytest.raises(BadInput, match="each of the 3 champions before"):
            roll_back(store, root)
        assert current_champion(store, root) == last  # what goes on serving is not revoked


def test_a_rollback_that_cannot_promote_revokes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    made = succession(store, "ab")

    def full(_: Store, __: Version) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "promote", full)
        with pytest.raises(OSError, match="No space"):
            roll_back(store, root)
    assert current_champion(store, root) == made["b"]
    assert Journal(root, REVOKED).read() == []


def test_a_champion_whose_manifest_is_unreadable_is_rolled_back_too(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    made = succession(store, "ab")
    (tmp_path / "store" / SERVING_MODEL / "all" / made["b"].id / "manifest.json").write_text("{")
    assert roll_back(store, root) == (None, made["a"])
    assert store.current(SERVING_MODEL) == made["a"]


def test_a_revoked_champion_that_is_current_still_does_not_go_on(tmp_path: Path) -> None:
    """As an earlier release left it, whose rollback recorded before it promoted."""
    store, root = Store(tmp_path / "store"), str(tmp_path)
    made = succession(store, "ab")
    Journal(root, REVOKED).append([{"id": revocation(made["b"].manifest.parents), "version": made["b"].id}])
    assert current_champion(store, root) == made["a"]


def test_a_revoked_champion_is_not_made_again_where_no_other_is_sound(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    fit = publish(store, {weights_file(0): "w"}, asset="mlp", partition="2025")
    members = {MEMBERS: json.dumps({"members": [{"fit": "mlp/0"}]})}
    publish(store, members, asset=ENSEMBLE, partition="2025", parents={fit.label: fit.data_version})
    before = succession(store, "a")["a"]
    seen = dict(find_next_champion(store, root).seen)
    publish(store, {"model.pt": "b"}, asset=SERVING_MODEL, key=KEY_B, parents=seen)
    assert roll_back(store, root)[1] == before
    assert find_next_champion(store, root).seen == before.manifest.parents
    damage(before)
    with pytest.raises(MissingArtefact, match="is revoked, and no other one is sound; run the walk-forward again"):
        find_next_champion(store, root)


def test_a_challenger_dated_ahead_keeps_no_later_one_from_promotion(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    panel = {"days": ["2025-07-01"], "sessions": ["2025-07-01"], "years": ["2025"]}
    publish(store, {PARTITIONS: json.dumps(panel)}, asset="raw_panel")
    card = {CARD: json.dumps({"model_version": "m1"})}
    champion = publish(store, card, asset=SERVING_MODEL, parents={"base": "a"})
    for day, promoted in (("2025-07-01", True), ("2062-05-01", False)):
        verdict = {CHALLENGER_VERDICT: json.dumps({"promoted": promoted, "champion": "m1"})}
        publish(store, verdict, asset="challenger", partition=day)
    newest = _promoted(store, champion)
    assert newest is not None
    assert newest.label == "challenger/2025-07-01"
