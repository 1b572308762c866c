"""Write the generated parts of the pages in docs/: graph and networks from the catalogue, tables from committed metrics.

    python -m tools.pages

``forecast_assets_tests/tools/test_pages.py`` fails when a page and what it is made from differ.
"""

import json
import re
from pathlib import Path
from typing import Any

from forecast_assets.core.models.catalogue import CANDIDATES, NETWORKS, SHIPPED
from forecast_assets.core.report.ablation import STEPS
from forecast_assets.core.report.summary import general_caveats, trials_in_words
from forecast_assets.core.report.titles import NOTE, title
from tools.claims import LATER, outcomes
from tools.publish import current_stages, published_stages, sentence
from tools.results import RESULTS, ROOT

DOCS = ROOT / "docs"
PAGES = {
    "graph": "graph.md",
    "networks": "graph.md",
    "answer": "../README.md",
    "declared": "results.md",
    "results": "results.md",
    "powerups": "settings.md",
    "changed": "../README.md",
}
"""Section -> the page in docs/ that it stands in."""

METRICS = ROOT / "benchmarks" / "metrics" / "panel.json"
ABLATION = METRICS.with_name("panel_ablation.json")
POWER_UPS = {"moe": "b5_moe", "graph": "b6_graph", "maml": "b7_maml"}


def section(summary: dict[str, Any], ablation: dict[str, Any]) -> str:
    """The result section as Markdown, from the metrics of both reports."""
    facts, trials = summary["facts"], summary["evidence"]["selection"]["trials"]
    tickers = f"{facts['tickers']} tickers, {facts['panel_first']} to {facts['panel_last']}"
    claims = {(model, other): adds for model, other, adds in STEPS}
    counted, survivors = trials_in_words(trials), summary["survivorship"]
    caveats = general_caveats(years=summary["years"], trials=counted, facts=facts, survivors=survivors)
    lines = [
        f"Panel: {tickers}; test years {', '.join(map(str, summary['years']))}; trials counted: {counted}.",
        "Every number is in [`benchmarks/metrics/panel.json`](../benchmarks/metrics/panel.json); "
        f"data version `{facts['data_version']}`, configuration `{facts['config_hash']}`.",
        "",
        *forecast_table(summary["forecasts"]),
        "",
        NOTE,
        "",
        "| strategy, net of costs | compound return | volatility | Sharpe | 95 % interval | max drawdown | turnover/day |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {title(row['strategy'])} | {percent(row['annual_return'])} | {percent(row['annual_volatility'])} "
            f"| {number(row['sharpe'], 2)} | {number(row['sharpe_low'], 2)} to {number(row['sharpe_high'], 2)} "
            f"| {percent(row['max_drawdown'])} | {number(row['turnover'], 3)} |"
            for row in summary["strategies"]
        ),
        "",
        *(f"- **{verdict['verdict']}** - {verdict['claim']}. {verdict['sentence']}" for verdict in summary["verdicts"]),
        "",
        "| step | model / compared with | pinball ratio | 95 % interval | |",
        "|---|---|---|---|---|",
        *(
            f"| {claims[step['model'], step['rival']]} | {title(step['model'])} / {title(step['rival'])} "
            f"| {number(step['estimate'], 4)} | {number(step['low'], 4)} to {number(step['high'], 4)} | {step['verdict']} |"
            for step in ablation["verdicts"]
        ),
        "",
        *(f"- {each}" for each in caveats),
    ]
    return "\n".join(lines)


def forecast_table(rows: list[dict[str, Any]]) -> list[str]:
    """The score table, with each model's raw scores, before calibration, beside."""
    head = (
        "model, horizon, pinball / uncalibrated EWMA, 95 % interval, raw, 95 % band covers, raw, 90 % band covers, raw"
    )
    lines = [f"| {' | '.join(head.split(', '))} |", "|---" * 9 + "|"]
    for row in rows:
        cells = [
            title(row["model"]),
            str(row["horizon"]),
            number(row["pinball_ratio"], 4),
            f"{number(row['pinball_ratio_low'], 3)} to {number(row['pinball_ratio_high'], 3)}",
            number(row["pinball_ratio_raw"], 4),
            *(percent(row[f"coverage_{width}{raw}"]) for width in (95, 90) for raw in ("", "_raw")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def answer(summary: dict[str, Any]) -> str:
    """The README's answer to how good it is: the report's headline and tiles."""
    facts, years = summary["facts"], summary["years"]
    return "\n".join(
        [
            f"On {facts['tickers']} tickers, {years[0]} to {years[-1]}: {_within(summary['headline'])}",
            "",
            "| | | 95 % interval | |",
            "|---|---|---|---|",
            *(
                f"| {tile['label']} | {tile['value']} | {tile['interval']} | {tile['verdict']} |"
                for tile in summary["tiles"]
            ),
        ]
    )


def _within(sentence: str) -> str:
    """Return a sentence as it goes on after a colon."""
    return sentence[0].lower() + sentence[1:]


def declared(summary: dict[str, Any], record: dict[str, Any], joint: dict[str, Any]) -> str:
    """The claims that were written down before the run of record, and what came of them."""
    when = {claim["text"]: claim for claim in summary["evidence"]["selection"]["claims"]}
    lines = ["| claimed beforehand | found | |", "|---|---|---|"]
    for outcome in outcomes(record, joint):
        later = outcome.claim in LATER
        if later and outcome.claim not in when:
            continue  # the published run is older
        if not (later or when[outcome.claim]["before"]):
            raise ValueError(f"claimed after the first test-set evaluation: {outcome.claim}")
        held = {True: "held", False: "**did not hold**", None: "not tested yet"}[outcome.held]
        lines.append(f"| {'before a second look: ' * later}{outcome.claim} | {outcome.found} | {held} |")
    return "\n".join(lines)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def power_ups(planted: dict[str, Any], panel: dict[str, Any]) -> str:
    """The table of B5 to B7 as Markdown, from the figures of ``powerups.json`` and ``powerups_panel.json``."""
    years = sorted({year for figure in panel.values() for year in figure["years"]})
    (tickers,) = {figure["tickers"] for figure in panel.values()}
    lines = [
        "| | share of an oracle's gain over B3, planted panel | 95 % interval | training speed / B3 "
        f"| pinball / B3, {tickers} real tickers, {years[0]}-{years[-1]} | 95 % interval | |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in POWER_UPS.items():
        share, cost = (planted.get(f"{name}_{what}") for what in ("share_of_oracle_gain", "cost_vs_b3"))
        real = panel.get(f"{model}_pinball_vs_b3")
        cells = [
            *([f"{share['value']:.2f}", _interval(share, 2)] if share else ["-", "-"]),
            f"{cost['value']:.2f}" if cost else "-",
            *([f"{real['value']:.4f}", _interval(real, 4), real["verdict"]] if real else ["-", "-", "not measured"]),
        ]
        lines.append(f"| {title(model)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(figure: dict[str, Any], digits: int) -> str:
    low, high = figure["interval_95"]
    return f"{number(low, digits)} to {number(high, digits)}"


def networks() -> str:
    """The table of the models as Markdown, from their catalogue."""
    lines = ["| model | one per | what it is |", "|---|---|---|"]
    lines += [f"| `{model.key}` | year | {model.title}. {model.about} |" for model in SHIPPED]
    return "\n".join(lines)


def graph() -> str:
    """The graph of the assets as a Mermaid flow chart."""
    trained, candidates = " & ".join(NETWORKS), " & ".join(CANDIDATES)
    return f"""```mermaid
flowchart LR
  panel_files --> raw_panel --> rejected_rows & flags
  raw_panel --> calendar_panel --> feature_panel --> windowed_tensors
  calendar_panel --> announcements --> feature_panel
  macro_series & covariates --> feature_panel
  windowed_tensors & calendar_panel --> sweep
  windowed_tensors & sweep --> baselines & {trained}
  {candidates} & windowed_tensors & sweep --> ensemble
  windowed_tensors --> f0_chronos
  ensemble & {trained} & baselines & calendar_panel & windowed_tensors & sweep --> backtest
  backtest & ensemble & {trained} & baselines --> backtest_report & ablation_report
  ensemble & b0_mlp & baselines & f0_chronos & windowed_tensors & sweep --> rivals --> backtest_report & ablation_report
  raw_panel & calendar_panel --> backtest_report & ablation_report
  calendar_panel --> fx_rates --> backtest & backtest_report
  windowed_tensors --> challenger
  ensemble & windowed_tensors & challenger --> serving_model
  serving_model & windowed_tensors & ensemble --> nightly_forecast
  nightly_forecast & serving_model & ensemble & calendar_panel & feature_panel & sweep --> target_positions
  feature_panel & ensemble & nightly_forecast --> drift_checks
  arrival_log & earlier_panels --> raw_panel
  issued_nights --> nightly_forecast & target_positions & drift_checks
  earlier_nights --> target_positions & drift_checks
  earlier_panels --> target_positions
  champion_record --> challenger & serving_model
  next_champion --> serving_model
  trial_log --> backtest_report
```"""


def markers(name: str) -> tuple[str, str]:
    """Between which a section stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def with_section(page: str, name: str, text: str) -> str:
    """``page`` with the text of one section replaced; raises ValueError where a marker is missing."""
    begin, end = markers(name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGES[name]}: the markers {begin} and {end} must both be there, in this order")
    return f"{before}{begin}\n{text}\n{end}{after}"


def reports() -> tuple[dict[str, Any], dict[str, Any]]:
    """The committed metrics of both reports."""
    return json.loads(METRICS.read_text(encoding="utf-8")), json.loads(ABLATION.read_text(encoding="utf-8"))


def figures_of(name: str) -> dict[str, Any]:
    """The figures of a committed result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["figures"]


def committed() -> dict[str, str]:
    """The sections, from what is committed."""
    summary, ablation = reports()
    results = {
        "answer": answer(summary),
        "declared": declared(summary, figures_of("record"), figures_of("joint")),
        "results": section(summary, ablation),
        "powerups": power_ups(figures_of("powerups"), figures_of("powerups_panel")),
    }
    changed = sentence(published_stages(), current_stages())
    return {"graph": graph(), "networks": networks(), "changed": changed, **results}


def dead_links(reached: set[Path] | None = None) -> list[str]:
    """Return links of README and docs to files or headings that are not there; every target is added to ``reached``."""
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "benchmarks" / "README.md",
        *sorted(DOCS.glob("*.md")),
    ]
    dead = []
    for page in pages:
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if reached is not None:
                reached.add(target)
            if "://" not in link and (not target.exists() or (anchor and anchor not in _anchors(target))):
                dead.append(f"{page.name}: {link}")
    return dead


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a forge gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> None:
    """Rewrite the pages in place."""
    for name, text in committed().items():
        page = DOCS / PAGES[name]
        page.write_text(with_section(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
