"""Who serves where the champion is damaged."""

from pathlib import Path

from forecast_assets.champion.promotion import REVOKED, SERVING, current_champion, revocation
from forecast_assets.store.journal import Journal
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, KEY_C, publish


def damage(version: Version) -> None:
    path = version.path("model.pt")
    path.write_text(path.read_text().upper())


def test_where_the_champion_is_damaged_the_last_good_one_that_nobody_took_back_goes_on(tmp_path: Path) -> None:
    store, root = Store(tmp_path / "store"), str(tmp_path)
    assert current_champion(store, root) is None
    first, taken_back, serving = (
        publish(store, {"model.pt": f"weights {key[0]}"}, asset=SERVING, key=key, parents={"base": key})
        for key in (KEY_A, KEY_B, KEY_C)
    )
    Journal(root, REVOKED).append([{"id": revocation(taken_back.manifest.parents), "version": taken_back.id}])
    assert current_champion(store, root) == serving
    damage(serving)
    assert current_champion(store, root) == first
    damage(first)
    assert current_champion(store, root) is None
