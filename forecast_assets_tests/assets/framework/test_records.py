"""What stages read beside the graph is described, and drawn where it is read."""

from forecast_assets.assets.framework.records import GROUP, RECORDS
from forecast_assets.assets.framework.stage import STAGES
from forecast_assets.definitions import defs


def test_every_record_is_an_asset_that_nothing_makes_above_those_that_read_it() -> None:
    graph = defs.resolve_asset_graph()
    in_group = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs() if spec.group_name == GROUP}
    assert in_group == set(RECORDS)
    read_by = {
        record: {asset for asset, stage in STAGES.items() if record in stage.needs.records} for record in RECORDS
    }
    for node in (node for node in graph.asset_nodes if node.key.to_user_string() in RECORDS):
        assert node.is_external
        assert {key.to_user_string() for key in node.child_keys} == read_by[node.key.to_user_string()]
        assert node.child_keys
