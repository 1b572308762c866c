"""Promotion: which champion serves when bundles are damaged or revoked."""

from pathlib import Path

from forecast_assets.champion.promotion import REVOKED, current_champion, revocation
from forecast_assets.store.asset_keys import SERVING_MODEL
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
