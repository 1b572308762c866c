"""The keys of assets that are looked up by name are keys of the graph."""

from forecast_assets.definitions import defs
from forecast_assets.store import asset_keys


def test_every_key_that_is_looked_up_is_an_asset_of_the_graph() -> None:
    keys = {value for name, value in vars(asset_keys).items() if name.isupper()}
    assert len(keys) == 12
    assert keys <= {key.path[-1] for key in defs.resolve_all_asset_keys()}
