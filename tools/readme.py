"""Write the README's result tables from the committed metrics of the reference panel and the benchmarks' results.

    python -m tools.readme

``forecast_assets_tests/tools/test_readme.py`` fails when the README and the file differ.
"""

import json
from typing import Any

from tools.results import RESULTS, ROOT

README = ROOT / "README.md"
METRICS = ROOT / "benchmarks" / "metrics" / "panel.json"
ABLATION = METRICS.with_name("panel_ablation.json")
POWER_UPS = {"moe": "b5_moe", "graph": "b6_graph", "maml": "b7_maml"}


def section(summary: dict[str, Any], ablation: dict[str, Any]) -> str:
    """The README's result section as Markdown, from the metrics of both reports."""
    facts = summary["facts"]
    tickers = f"{facts['tickers']} tickers, {facts['panel_first']} to {facts['panel_last']}"
    lines = [
        f"Panel: {tickers}; test years {', '.join(map(str, summary['years']))}; {facts['trials']} fits stand behind "
        f"these numbers ({tried(summary)}).",
        "Every number is in [`benchmarks/metrics/panel.json`](benchmarks/metrics/panel.json); "
        f"data version `{facts['data_version']}`, configuration `{facts['config_hash']}`.",
        "",
        "| model | horizon | pinball / EWMA | 95 % interval | coverage of the 95 % band | of the 90 % band |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{row['model']}` | {row['horizon']} | {number(row['pinball_ratio'], 4)} "
            f"| {number(row['pinball_ratio_low'], 3)} to {number(row['pinball_ratio_high'], 3)} "
            f"| {percent(row['coverage_95'])} | {percent(row['coverage_90'])} |"
            for row in summary["forecasts"]
        ),
        "",
        "| strategy, net of costs | return p.a. | volatility | Sharpe | 95 % interval | max drawdown | turnover/day |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{row['strategy']}` | {percent(row['annual_return'])} | {percent(row['annual_volatility'])} "
            f"| {number(row['sharpe'], 2)} | {number(row['sharpe_low'], 2)} to {number(row['sharpe_high'], 2)} "
            f"| {percent(row['max_drawdown'])} | {number(row['turnover'], 3)} |"
            for row in summary["strategies"]
        ),
        "",
        *(f"- **{verdict['verdict']}** - {verdict['claim']}. {verdict['sentence']}" for verdict in summary["verdicts"]),
        "",
        "| step | model / held against | pinball ratio | 95 % interval | |",
        "|---|---|---|---|---|",
        *(
            f"| {step['claim']} | `{step['model']}` / `{step['rival']}` | {number(step['estimate'], 4)} "
            f"| {number(step['low'], 4)} to {number(step['high'], 4)} | {step['verdict']} |"
            for step in ablation["verdicts"]
        ),
        "",
        *(f"- {caveat}" for caveat in summary["caveats"]),
    ]
    return "\n".join(lines)


def tried(summary: dict[str, Any]) -> str:
    """What was tried beside them, where the metrics know it; older ones do not."""
    evidence = summary.get("evidence")
    if not evidence:
        return "what was tried beside this run is not counted yet"
    trials = evidence["selection"]["trials"]
    return (
        f"{trials['total']} trials counted: {trials['fits']} fits, {trials['looks']} looks at a test year, "
        f"{trials['declared']} declared"
    )


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def power_ups(planted: dict[str, Any], panel: dict[str, Any]) -> str:
    """The power-ups' table as Markdown, from the figures of ``powerups.json`` and ``powerups_panel.json``."""
    years = sorted({year for figure in panel.values() for year in figure["years"]})
    lines = [
        "| | share of an oracle's gain over B3, planted panel | 95 % interval | training speed / B3 "
        f"| pinball / B3, 40 real tickers, {years[0]}-{years[-1]} | 95 % interval | |",
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
        lines.append(f"| `{model}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(figure: dict[str, Any], digits: int) -> str:
    low, high = figure["interval_95"]
    return f"{number(low, digits)} to {number(high, digits)}"


def markers(name: str) -> tuple[str, str]:
    """Between which a section stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def with_results(readme: str, sections: dict[str, str]) -> str:
    """``readme`` with its sections replaced, each by its name; raises ValueError where a marker is missing."""
    for name, text in sections.items():
        begin, end = markers(name)
        before, found, rest = readme.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"README.md: the markers {begin} and {end} must both be there, in this order")
        readme = f"{before}{begin}\n{text}\n{end}{after}"
    return readme


def reports() -> tuple[dict[str, Any], dict[str, Any]]:
    """The committed metrics of both reports."""
    return json.loads(METRICS.read_text(encoding="utf-8")), json.loads(ABLATION.read_text(encoding="utf-8"))


def committed() -> dict[str, str]:
    """The sections, from what is committed."""
    summary, ablation = reports()
    planted, panel = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["figures"]
        for name in ("powerups", "powerups_panel")
    )
    return {"results": section(summary, ablation), "powerups": power_ups(planted, panel)}


def main() -> None:
    """Rewrite the README in place."""
    README.write_text(with_results(README.read_text(encoding="utf-8"), committed()), encoding="utf-8")


if __name__ == "__main__":
    main()
