"""What a spreadsheet would evaluate is made text, and comes back as it was."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_assets.core.spreadsheet import guarded


def written(*texts: str) -> list[str]:
    return guarded(pl.DataFrame({"sector": list(texts)}))["sector"].to_list()


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\nx",
        " =1",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM",
        "'=1",
    ],
)
def test_what_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert written(text) == [f"'{text}"]


@pytest.mark.parametrize(
    "text", ["^VIX", "BRK-B", "EURUSD=X", "M&M.NS", "*A", "!X", "", "Consumer Discretionary", "a@b"]
)
def test_real_names_stay_as_they_are(text: str) -> None:
    assert written(text) == [text]


def test_numbers_dates_and_missing_text_stay_as_they_are() -> None:
    table = pl.DataFrame({"mean": [-0.5, None], "sector": [None, "-"]}).with_columns(pl.lit("-x").cast(pl.Categorical))
    assert guarded(table).rows() == [(-0.5, None, "'-x"), (None, "'-", "'-x")]


@given(st.lists(st.text(st.sampled_from(" \t\r\n'=+-@＝xé|"), max_size=4) | st.text(max_size=6), min_size=1))
@settings(derandomize=True, deadline=None, database=None, max_examples=200)
def test_one_apostrophe_less_gives_every_text_back(texts: list[str]) -> None:
    safe = written(*texts)
    assert [text[1:] if text.startswith("'") else text for text in safe] == texts
    assert not [text for text in safe if text.lstrip()[:1] in set("=+-@＝＋－＠")]
