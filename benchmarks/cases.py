"""Files as people have them: each is inspected by the command line, and what came of it is compared with what is right.

    python -m benchmarks.cases               all cases and the time of a large file, recorded
    python -m benchmarks.cases NAME ...      some cases, printed and not recorded

The cases stand in the reference folder beside the checkout (``../shared/cases``): a file or a folder each, and numbers that
have to come out. Where a case says the outcome in words only, the number stands in ``ACCEPTED``; where it allows several,
or is wrong about one, in ``ALSO_RIGHT``. ``cases_wrong``: not the right outcome; ``cases_silent``: wrong with exit status 0
and nothing said; ``cases_traceback``: a traceback. ``inspect_seconds``: ``forecast-assets inspect`` on the full reference
panel as CSV, the median of three.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.panel.calendar import reindex
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.paths import FULL_PANEL, PROJECT
from forecast_assets_tests.helpers.reading import read_folder
from tools.results import record

CASES = PROJECT.parent / "shared" / "cases"
COMMAND = "python -m benchmarks.cases"
BY_GRAPH = ("two_panels", "rename_night")
ACCEPTED: dict[str, int | None] = {
    "crypto_exchange_col/in2.csv": 5,
    "csv_gz/in.csv.gz": 3,
    "csv_history/in.csv": 3,  # that of Memorial Day as a session that its only ticker vouches for, flagged
    "csv_unnamed_index/in.csv": 3,
    "index_novol/2006-day-001.txt": None,
    "investing/BTC.csv": 366,
    "investing/ETH.csv": 366,
    "nse_bind/data_bind.csv": 1537,
    "nse_ddmmyyyy/AARTIIND.csv": 1220,
    "pq_bool_volume/in.parquet": None,
    "pq_categorical/in.parquet": 3,
    "pq_decimal/in.parquet": 3,
    "pq_epoch_ms/in.parquet": 3,
    "pq_extra_list/in.parquet": 3,
    "pq_float32/in.parquet": 3,
    "pq_float_date/in.parquet": 2,
    "pq_gzip_ext/in.parquet.gzip": 3,
    "pq_gzip_ext/in2.csv.gz": 3,
    "pq_index_date/in.parquet": 3,
    "pq_index_tz_local/in.parquet": 3,
    "pq_index_tz_utc/in.parquet": 3,
    "pq_int_date/in.parquet": 3,
    "pq_multiindex_cols/in.parquet": 6,
    "pq_multiindex_rows/in.parquet": 6,
    "pq_nullable/in.parquet": 3,
    "pq_partitioned/in": 6,
    "pq_pq_ext/in.pq": 3,
    "pq_text_numbers/in.parquet": 3,
    "pq_unnamed_index/in.parquet": 3,
    "suffix_SH/in.csv": 2,
    "yf_multiheader/real.csv": 1006,
    "yf_old/daily-KO.csv": 356,
}
"""Rows to accept where a case says the outcome in words; None is a refusal in one sentence."""
ALSO_RIGHT: dict[str, dict[str, Any]] = {
    "date_d_m_noz": {"date": "2015-02-17"},  # the case names the date of another row: 2015/2/17 has one reading
    "date_two_digit": {"refused": True},  # 2025-05-26 and 2026-05-25 are both possible, and the case asks to refuse two
    "excel_utf16": {"accepted": 2},
    "excel_semicolon_de": {"accepted": 1},
    "index_novol/2006-day-001.txt": {"accepted": 255},
    "mixed_basis": {"refused": True},
    "name_is_company": {"refused": True},
    "nse_bind/data_bind.csv": {"accepted": 1533},  # a Saturday's session that comes before the exchange is settled
    "nse_ddmmyyyy/AARTIIND.csv": {"accepted": 1214},  # weekend sessions that one ticker alone does not vouch for
    "yahoo_dup_last": {"accepted": 2},
}
"""Outcomes that a case allows beside its number."""


@dataclass(frozen=True)
class Result:
    """What came of one input."""

    name: str
    status: int
    output: str
    panel: pl.DataFrame | None

    @property
    def traceback(self) -> bool:
        return "Traceback" in self.output

    def is_right(self, expected: dict[str, Any]) -> bool:
        """Return whether the outcome is the expected one; a refusal is one sentence and exit status 1."""
        if expected.get("refused") or expected.get("accepted", 1) == 0:
            return self.status == 1 and not self.traceback and self.panel is None
        if self.panel is None or self.status != 0:
            return False
        return all(_holds(self.panel, key, value) for key, value in expected.items())


def _holds(panel: pl.DataFrame, key: str, value: Any) -> bool:
    if value is None:
        return True
    days = panel["date"].cast(pl.String)
    if key == "accepted":
        return panel.height == value
    if key == "accepted_at_least":
        return panel.height >= value
    if key == "date":
        return days.unique().to_list() == [value]
    if key == "dates":
        return days.unique().sort().to_list() == value
    if key == "values":
        found = {
            f"{t} {d}": [*row] for t, d, *row in panel.select("ticker", days, "open", "close", "volume").iter_rows()
        }
        return all(found.get(cell) == numbers for cell, numbers in value.items())
    if key == "max_abs_return":
        change = panel.sort("ticker", "date").select(
            (pl.col("close") / pl.col("close").shift(1) - 1).over("ticker").abs()
        )
        return bool(change.to_series().max() <= value)
    if key == "calendar":
        sessions = reindex(panel, spec=panel_spec()).group_by("ticker").agg(pl.len(), pl.col("is_missing").sum())
        counted = {ticker: {"rows": rows, "missing": missing} for ticker, rows, missing in sessions.iter_rows()}
        return all(counted.get(ticker) == counts for ticker, counts in value.items())
    raise ValueError(f"{key}: what a case expects by this name is not known")


def inputs(case: Path) -> Iterator[Path]:
    """Yield the inputs of a case: files and folders but its README and numbers."""
    yield from sorted(path for path in case.iterdir() if path.name not in ("README", "expected.json"))


def expected_of(case: Path, path: Path) -> list[dict[str, Any]]:
    """Return the outcomes that are right for an input."""
    name = f"{case.name}/{path.name}"
    numbers = case / "expected.json"
    if name in ACCEPTED:
        rows = ACCEPTED[name]
        first = {"refused": True} if rows is None else {"accepted": rows}
    else:
        first = json.loads(numbers.read_text()) if numbers.exists() else {}
    return [first, *(ALSO_RIGHT[key] for key in (name, case.name) if key in ALSO_RIGHT)]


def inspect(path: Path) -> tuple[int, str]:
    """Return exit status and output of ``forecast-assets inspect``."""
    done = subprocess.run(
        [sys.executable, "-m", "forecast_assets.cli", "inspect", str(path)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def try_input(case: Path, path: Path) -> Result:
    """Inspect an input, and read it once more in this process for its values."""
    status, output = inspect(path)
    panel = read_folder(path)[0] if status == 0 else None
    return Result(f"{case.name}/{path.name}", status, output, panel)


def is_silent(result: Result) -> bool:
    """Return whether a wrong outcome would pass unseen: exit status 0, nothing rejected, flagged or noted."""
    said = [line for line in result.output.splitlines() if line.startswith(("rejected", "flag", "left out", "  "))]
    remarks = [line for line in said if "sector_missing" not in line and "new_ticker" not in line]
    return result.status == 0 and not remarks


def two_panels(folder: Path) -> bool:
    """Return whether a second panel in the data root of another one is refused, with both ways out."""
    outcomes = []
    for name, years in (("in1.csv", "2018"), ("in2.csv", "2022")):
        command = [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", "smoke", "--years", years]
        options = ["--panel", str(CASES / "two_panels" / name), "--data-dir", str(folder)]
        outcomes.append(subprocess.run([*command, *options], capture_output=True, text=True, check=False))
    said = outcomes[1].stderr
    return (
        outcomes[0].returncode == 0 and outcomes[1].returncode == 1 and "--data-dir" in said and "Traceback" not in said
    )


def inspect_seconds() -> dict[str, Any]:
    """Return the time of an inspection of the reference panel as CSV."""
    table = pl.read_parquet(FULL_PANEL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.csv"
        table.write_csv(path)
        seconds = []
        for _ in range(3):
            begun = time.perf_counter()
            status, output = inspect(path)
            seconds.append(time.perf_counter() - begun)
            if status:
                raise SystemExit(output)
    return {"value": round(statistics.median(seconds), 1), "rows": table.height, "runs": [round(s, 1) for s in seconds]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    if not CASES.exists():
        raise SystemExit(f"{CASES}: the reference folder does not exist")
    wrong, silent, tracebacks, count = [], [], [], 0
    for case in sorted(path for path in CASES.iterdir() if path.is_dir() and (not names or path.name in names)):
        if case.name in BY_GRAPH:
            continue
        for path in inputs(case):
            result, count = try_input(case, path), count + 1
            right = any(result.is_right(expected) for expected in expected_of(case, path))
            tracebacks += [result.name] * result.traceback
            wrong += [result.name] * (not right)
            silent += [result.name] * (not right and is_silent(result))
            print(
                f"{'right' if right else 'WRONG':6}{result.name}: {result.output.strip().splitlines()[-1][:200]}",
                flush=True,
            )
    if not names or "two_panels" in names:
        with tempfile.TemporaryDirectory() as folder:
            right, count = two_panels(Path(folder)), count + 1
        print(f"{'right' if right else 'WRONG':6}two_panels")
        wrong += ["two_panels"] * (not right)
    figures = {
        "cases_wrong": {"value": len(wrong), "of": count, "cases": wrong},
        "cases_silent": {"value": len(silent), "of": count, "cases": silent},
        "cases_traceback": {"value": len(tracebacks), "of": count, "cases": tracebacks},
    }
    print(json.dumps(figures, indent=1))
    if not names:
        print(record("cases", figures | {"inspect_seconds": inspect_seconds()}, command=COMMAND))


if __name__ == "__main__":
    main()
