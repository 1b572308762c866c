"""What settings say that their network reads, and what several networks read together."""

import pytest

from forecast_assets.core.models.catalogue import GraphSpec, MamlSpec, MlpSpec, MoeSpec, TftSpec
from forecast_assets.core.reads import GraphSettings, Reads, union

TFT = TftSpec(observed=("log_return", "vix"), known=("weekday",))


def test_settings_declare_what_their_network_reads() -> None:
    plain = ("log_return", "vix", "weekday")
    assert MlpSpec().reads == Reads(("log_return",))
    assert TFT.reads == Reads(plain)
    moe = MoeSpec(**TFT.model_dump(), regime=("vix", "rate")).reads
    assert (moe.required, moe.columns) == (plain, (*plain, "vix", "rate"))  # the gate may read a variable of the TFT
    graph = GraphSpec(**TFT.model_dump(), messages=("log_return",), neighbours=3).reads
    assert graph == Reads(plain, messages=("log_return",), graph=GraphSettings(60, 40, neighbours=3))
    assert MamlSpec(**TFT.model_dump(), support_sessions=7).reads == Reads(plain, support_sessions=7)


def test_members_together_read_each_feature_once_in_the_order_of_their_first_reader() -> None:
    graph = GraphSettings(60, 40, 8)
    together = union(
        [
            Reads(("b", "a"), optional=("m",), support_sessions=5),
            Reads(("a", "c"), messages=("z", "a"), graph=graph),
            Reads(("a",), messages=("a", "y"), graph=graph, support_sessions=3),
        ]
    )
    assert together == Reads(("b", "a", "c"), ("m",), ("z", "a", "y"), graph, support_sessions=5)


def test_members_that_read_different_graphs_are_an_error() -> None:
    each = [Reads((), graph=GraphSettings(60, 40, neighbours)) for neighbours in (4, 8)]
    with pytest.raises(ValueError, match="the members read different graphs"):
        union(each)
