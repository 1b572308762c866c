"""The pages match the project: their numbers, graph, assets and links."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from forecast_assets.assets.framework.views import BY_NIGHT, BY_YEAR
from forecast_assets.definitions import defs
from tools.claims import CLAIMS
from tools.pages import (
    DOCS,
    PAGES,
    ROOT,
    committed,
    dead_links,
    declared,
    figures_of,
    forecast_table,
    reports,
    with_section,
)

GRAPH = DOCS / "graph.md"
VIEWS = {*BY_YEAR.names(), *BY_NIGHT.names()}


@pytest.mark.parametrize("name", PAGES)
def test_every_generated_section_is_what_is_committed(name: str) -> None:
    page = (DOCS / PAGES[name]).read_text(encoding="utf-8")
    assert with_section(page, name, committed()[name]) == page


def test_no_link_is_dead_and_every_page_is_reached() -> None:
    reached: set[Path] = set()
    assert dead_links(reached) == []
    assert set(DOCS.glob("*.md")) <= reached


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1200


def test_the_drawn_graph_is_the_graph() -> None:
    text = GRAPH.read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    drawn = set()
    for line in text.strip().splitlines()[1:]:
        groups = [[name.strip() for name in part.split("&")] for part in line.split("-->")]
        drawn |= {(parent, child) for left, right in pairwise(groups) for parent in left for child in right}
    graph = defs.resolve_asset_graph()
    real = {
        (parent.to_user_string().removesuffix(BY_YEAR.suffix).removesuffix(BY_NIGHT.suffix), key.to_user_string())
        for key in graph.materializable_asset_keys
        for parent in graph.get(key).parent_keys
        if key.to_user_string() not in VIEWS  # a view is drawn as what it is of
    }
    assert drawn == real


def test_every_asset_has_its_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| (?:panel|year|day) \|", GRAPH.read_text(encoding="utf-8"), re.MULTILINE))
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}
    assert rows == {key for key in keys if key not in VIEWS}


def test_scores_before_calibration_stand_beside_those_after() -> None:
    row = {"model": "harx", "horizon": 1, "pinball_ratio": 0.98, "pinball_ratio_low": 0.97, "pinball_ratio_high": 0.99}
    row |= {"coverage_95": 0.951, "coverage_90": 0.9}
    row |= {"pinball_ratio_raw": 0.985, "coverage_95_raw": 0.93, "coverage_90_raw": None}
    assert forecast_table([row])[2] == (
        "| HAR-X volatility regression | 1 | 0.9800 | 0.970 to 0.990 | 0.9850 | 95.1 % | 93.0 % | 90.0 % | - |"
    )
    assert {line.count("|") for line in forecast_table([row])} == {10}


def test_a_claim_after_the_first_look_is_not_published_as_beforehand() -> None:
    summary, _ = reports()
    claims = [{"text": text, "when": "", "before": True} for text in CLAIMS]
    summary["evidence"]["selection"]["claims"] = claims
    figures = figures_of("record"), figures_of("joint")
    assert declared(summary, *figures).count("\n| ") == len(CLAIMS)
    claims[1]["before"] = False
    with pytest.raises(ValueError, match=f"claimed after the first test-set evaluation: {CLAIMS[1]}"):
        declared(summary, *figures)
