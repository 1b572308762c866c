"""Names and the folders they map to."""

import os

from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecast_assets.core.errors import BadInput
from forecast_assets.store.names import folder, label


@settings(derandomize=True, deadline=None, database=None)
@given(st.text(max_size=12), st.none() | st.text(max_size=12))
@example("..", None)
@example("a", "../../b")
@example("a", "..\\b")
@example("panel", "2019")
def test_a_name_is_rejected_or_stays_in_its_folder(asset: str, partition: str | None) -> None:
    try:
        key = folder(asset, partition)
    except BadInput:
        return
    assert os.path.normpath(os.path.join("/root", key)) == f"/root/{asset}/{partition or 'all'}"
    assert not key.startswith(".")
    assert key.count("/") == 1


def test_a_label_reads_like_the_asset_and_its_partition() -> None:
    assert (label("panel"), label("fits", "2019")) == ("panel", "fits/2019")
