"""Generate malformed raw panels, and judge what a reader made of them, independently of its code.

Each file comes from one canonical panel. A reader may accept rows with exactly the canonical values, or reject them (or the
whole file) with a reason. Everything else is an error: a changed value, an additional row, a row that is neither accepted
nor rejected, a traceback. Changes that leave another well-formed number (a digit for a digit) are not malformed, and are not
made.
"""

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput

HEADER = ("Date", "Ticker", "Sector", "Opening Price", "Closing Price", "Volume")
TICKERS = {"AAPL": 90.0, "MSFT": 310.0, "BMW.DE": 78.0, "7203.T": 2100.0}
DAYS = [dt.date(2024, 4, 8) + dt.timedelta(days=k) for k in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)]
SEEDS_PER_CATEGORY = 25

Row = tuple[str, str, str, str, str, str]
Key = tuple[dt.date, str]
Reader = Callable[[Path], tuple[pl.DataFrame, pl.DataFrame, int]]
"""File -> accepted (date, ticker, open, close, volume), rejected (line, reason, row), rows read; BadInput for a bad file."""


@dataclass(frozen=True)
class Case:
    """One file. ``accepted``: whether every canonical row has to be accepted, since the file has one reading only."""

    category: str
    content: bytes
    canonical: dict[Key, tuple[float, float, float]]
    accepted: bool


def canonical_rows(rng: random.Random, *, whole: bool = False) -> list[Row]:
    """Return the panel as text; ``whole``: prices without decimals."""
    rows: list[Row] = []
    for ticker, level in TICKERS.items():
        for day in DAYS:
            opening, close = (level * rng.uniform(0.9, 1.1) for _ in range(2))
            prices = [f"{value:.0f}" if whole else f"{value:.2f}" for value in (opening, close)]
            rows.append((str(day), ticker, "Industrials", prices[0], prices[1], str(rng.randint(1_000, 9_999_999))))
    return rows


def canonical_values(rows: Sequence[Row]) -> dict[Key, tuple[float, float, float]]:
    return {(dt.date.fromisoformat(r[0]), r[1]): (float(r[3]), float(r[4]), float(r[5])) for r in rows}


def text(rows: Sequence[Sequence[str]], *, header: Sequence[str] = HEADER, mark: str = ",", end: str = "\n") -> str:
    return end.join(mark.join(row) for row in [header, *rows]) + end


def judge(case: Case, path: Path, read: Reader) -> str | None:
    """Return None where the reader did right, else what it did wrong."""
    path.write_bytes(case.content)
    try:
        accepted, rejected, rows_read = read(path)
    except BadInput as error:
        if case.accepted:
            return f"rejected a file that has one reading: {error}"
        text = str(error)
        return (
            None if path.name in text and "\n" not in text.strip() else f"rejected without a clear sentence: {text!r}"
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    encoding = "utf-16" if case.content.startswith(b"\xff\xfe") else "utf-8-sig"
    lines = case.content.decode(encoding).replace("\r\n", "\n").split("\n")
    data = [line for line in lines if line.strip()][1:]
    if rows_read != len(data) or accepted.height + rejected.height != rows_read:
        return f"{len(data)} rows: {rows_read} read, {accepted.height} accepted, {rejected.height} rejected"
    keys = list(accepted.select("date", "ticker").iter_rows())
    if len(set(keys)) != len(keys):
        return "accepted a key twice"
    last = None if case.content.endswith(b"\n") else data[-1].split(",")[:2]
    for key, values in zip(keys, accepted.select("open", "close", "volume").iter_rows(), strict=True):
        unheard = "Volume" not in lines[0] and values[2] is None  # no column says what it is
        if unheard or ([str(key[0]), key[1]] == last and values[2] is None):  # or the file may be cut off
            values = (*values[:2], case.canonical[key][2])
        if case.canonical.get(key) != values:
            return f"accepted {key} {values}, which was {case.canonical.get(key)}"
    for line, reason, row in rejected.select("line", "reason", "row").iter_rows():
        if not reason or row != lines[line - 1]:
            return f"rejected line {line} {row!r} with {reason!r}; it reads {lines[line - 1]!r}"
    if case.accepted and len(keys) != len(case.canonical):
        return f"kept {len(keys)} of {len(case.canonical)} rows of a file that has one reading"
    return None


def cases() -> list[Case]:
    """Return fourteen categories of twenty-five files each, always the same."""
    return [make(name, random.Random(f"{name} {seed}")) for name in CATEGORIES for seed in range(SEEDS_PER_CATEGORY)]


def make(category: str, rng: random.Random) -> Case:
    maker, accepted = CATEGORIES[category]
    rows = canonical_rows(rng, whole=category == "european thousands")
    content = maker(rng, rows)
    return Case(category, content, canonical_values(rows), accepted)


def _some(rng: random.Random, rows: list[Row]) -> list[int]:
    return rng.sample(range(len(rows)), rng.randint(1, 5))


def _with(row: Row, field: int, value: str) -> Row:
    changed = list(row)
    changed[field] = value
    return tuple(changed)  # type: ignore[return-value]


def _encoded(rng: random.Random, rows: list[Row]) -> bytes:
    lines = text(rows).split("\n")
    ends = [rng.choice(["\n", "\r\n"]) for _ in lines] if rng.random() < 0.5 else ["\r\n"] * len(lines)
    blank = {k for k in range(1, len(lines)) if rng.random() < 0.1}
    joined = "".join(
        ("\n" if k in blank else "") + line + end for k, (line, end) in enumerate(zip(lines, ends, strict=True))
    )
    return (b"\xef\xbb\xbf" if rng.random() < 0.7 else b"") + joined.encode()


def _separated(rng: random.Random, rows: list[Row]) -> bytes:
    mark = rng.choice([";", "\t", ","])
    quoted = [[f'"{value}"' if rng.random() < 0.3 else value for value in row] for row in rows]
    header = [rng.choice([name, name.upper(), name.replace(" ", "_"), f" {name} "]) for name in HEADER]
    return text(quoted, header=header, mark=mark).encode()


def _unsorted(rng: random.Random, rows: list[Row]) -> bytes:
    lines = [*rows, *rng.choices(rows, k=rng.randint(0, 6))]
    rng.shuffle(lines)
    return text(lines).encode()


def _dated(rng: random.Random, rows: list[Row]) -> bytes:
    offsets = {"BMW.DE": "+02:00", "7203.T": "+0900"}
    forms = ("{}", "{}T00:00:00", "{} 16:00:00{}", "{}T17:35:00{}", "{} 09:00", "{}T00:00:00Z", "{} 00:00:00{}")
    compact = rng.random() < 0.2
    dates = [
        row[0].replace("-", "") if compact else rng.choice(forms).format(row[0], offsets.get(row[1], "-04:00"))
        for row in rows
    ]
    if rng.random() < 0.2:
        dates = [date.replace("-", "/", 2) for date in dates]
    return text([_with(row, 0, date) for row, date in zip(rows, dates, strict=True)]).encode()


def _misdated(rng: random.Random, rows: list[Row]) -> bytes:
    bad = ("04/08/2024", "08.04.2024", "24-04-08", "2024-02-30", "2024-13-01", "", "45390", "April 8", "2024-04",
           "0000-00-00", "20240230", "2024-04-08-01", "9999-99-99", "2024-04-08x", "NaT")  # fmt: skip
    rows = list(rows)
    for k in _some(rng, rows):
        rows[k] = _with(rows[k], 0, rng.choice(bad))
    return text(rows).encode()


def _mispriced(rng: random.Random, rows: list[Row]) -> bytes:
    bad = ("0", "-1.5", "NaN", "inf", "-inf", "1e400", "", "abc", "$12.5", "12.5%", "0x1F", "1.2.3", "--5",
           "١٢", "１２.５", "12,", "True", "-0.0", "1e", "#N/A", "12.5 USD")  # fmt: skip
    rows = list(rows)
    for k in _some(rng, rows):
        field = rng.choice([3, 4])
        value = rng.choice(bad)
        rows[k] = _with(rows[k], field, f'"{value}"' if "," in value else value)
    return text(rows).encode()


def _contradicting(rng: random.Random, rows: list[Row]) -> bytes:
    lines = list(rows)
    for k in _some(rng, rows):
        field = rng.choice([3, 4, 5])
        lines.insert(rng.randint(0, len(lines)), _with(rows[k], field, str(rng.randint(1, 99)) + ".5"))
    return text(lines).encode()


def _thousands(rng: random.Random, rows: list[Row]) -> bytes:
    lines = []
    for row in rows:
        volume, price = f"{int(row[5]):,}", f"{float(row[4]):,.2f}"
        mark = rng.choice([",", "'", "_", " "])
        lines.append([*row[:4], f'"{price.replace(",", mark)}"', f'"{volume.replace(",", mark)}"'])
    return text(lines).encode()


def _european(rng: random.Random, rows: list[Row]) -> bytes:
    def dotted(value: str) -> str:
        return f"{int(value):,}".replace(",", ".")

    which = rng.choice(["volumes", "prices", "both"])
    lines = [
        [*row[:3], *((dotted(v) for v in row[3:5]) if which != "volumes" else row[3:5]),
         dotted(row[5]) if which != "prices" else row[5]]
        for row in rows
    ]  # fmt: skip
    for k in rng.sample(range(len(lines)), rng.randint(0, 2)):
        lines[k][5] = rng.choice(["12.34", "", "1.5"])  # with a slip
        lines[k][3] = "x"
    return text(lines, mark=rng.choice([",", ";", "\t"])).encode()


def _decimal_commas(rng: random.Random, rows: list[Row]) -> bytes:
    some = rng.random() < 0.5
    lines = [
        [*row[:3], *(v.replace(".", ",") if not some or rng.random() < 0.2 else v for v in row[3:5]), row[5]]
        for row in rows
    ]
    return text(lines, mark=rng.choice([";", "\t"])).encode()


def _mixed(rng: random.Random, rows: list[Row]) -> bytes:
    marks = rng.sample([",", ";", "\t"], 2)
    lines = text(rows, mark=marks[0]).split("\n")
    if rng.random() < 0.3:
        lines[0] = lines[0].replace(marks[0], marks[1], 2)
    else:
        for k in rng.sample(range(1, len(lines) - 1), rng.randint(1, 5)):
            lines[k] = lines[k].replace(marks[0], marks[1])
    return "\n".join(lines).encode()


def _spoilt(rng: random.Random, rows: list[Row]) -> bytes:
    bad = ('"', "\x00", "\x07", "\x1b", "\x7f", "\x0b", '""', "\u200b", "\u00a0", "\ufeff")
    lines = [list(row) for row in rows]
    for k in _some(rng, rows):
        field = rng.choice([0, 1, 3, 4, 5])
        value = lines[k][field]
        at = rng.randint(1, len(value) - 1)
        lines[k][field] = value[:at] + rng.choice(bad) + value[at:]
    return text(lines).encode()


def _cut(rng: random.Random, rows: list[Row]) -> bytes:
    content = text(rows).encode()
    return content[: rng.randint(1, len(content) - 1)]


def _misshapen(rng: random.Random, rows: list[Row]) -> bytes:
    kind = rng.choice(
        ["missing", "twice", "extra", "fewer", "header", "trailing", "utf-16", "latin", "comment", "joined"]
    )
    lines: list[Sequence[str]] = list(rows)
    header: Sequence[str] = HEADER
    if kind == "missing":
        gone = rng.choice([0, 1, 3, 4, 5])
        lines, header = (
            [[v for k, v in enumerate(row) if k != gone] for row in rows],
            [h for k, h in enumerate(HEADER) if k != gone],
        )
    elif kind == "twice":
        header = [*HEADER[:5], rng.choice(["Close", "Adj Close", "Closing Price"])]
    elif kind in ("extra", "fewer", "trailing"):
        for k in _some(rng, rows):
            lines[k] = [*rows[k], "7"] if kind == "extra" else rows[k][:5] if kind == "fewer" else [*rows[k], ""]
    elif kind == "header":
        for _ in range(rng.randint(1, 3)):
            lines.insert(rng.randint(0, len(lines)), HEADER)
    elif kind == "comment":
        lines.insert(rng.randint(0, len(lines)), ["# downloaded today"])
    content = text(lines, header=header)
    if kind == "joined":
        parts = content.split("\n")
        k = rng.randint(1, len(parts) - 3)
        content = "\n".join([*parts[:k], parts[k] + parts[k + 1], *parts[k + 2 :]])
    if kind == "latin":
        return content.replace("Industrials", "Grundstücke", 1).encode("latin-1")
    return content.encode("utf-16" if kind == "utf-16" else "utf-8")


CATEGORIES: dict[str, tuple[Callable[[random.Random, list[Row]], bytes], bool]] = {
    "encoding and line breaks": (_encoded, True),
    "separators and quotes": (_separated, True),
    "order and repeats": (_unsorted, True),
    "dates with times": (_dated, True),
    "dates that are none": (_misdated, False),
    "prices that are none": (_mispriced, False),
    "rows that contradict": (_contradicting, False),
    "thousands": (_thousands, True),
    "european thousands": (_european, False),
    "decimal commas": (_decimal_commas, False),
    "mixed separators": (_mixed, False),
    "spoilt fields": (_spoilt, False),
    "cut files": (_cut, False),
    "misshapen files": (_misshapen, False),
}

NASTY = (
    '"',
    "'",
    ";",
    "\t",
    ",",
    "\x00",
    "\x1f",
    "\u00a0",
    "\u200b",
    "$",
    "%",
    "-",
    "/",
    "\n",
    "\r",
    "１",
    "\u2212",
    "\\",
    "#",
    "",
)


def mutated(rng: random.Random, changes: int) -> Case:
    """Return the canonical file with characters inserted, separators removed, lines joined, repeated, moved or cut."""
    rows = canonical_rows(rng)
    lines = text(rows).rstrip("\n").split("\n")
    for _ in range(changes):
        k = rng.randint(1, len(lines) - 1)
        line = lines[k]
        kind = rng.choice(["insert", "insert", "insert", "separator", "join", "repeat", "move", "blank", "drop field"])
        if kind == "insert" and line.count(",") == 5:
            fields = line.split(",")
            f = rng.choice([0, 1, 3, 4, 5])
            at = rng.randint(0, len(fields[f]))
            # A dash or a slash in a ticker makes another ticker, as well formed as the first.
            mark = rng.choice([mark for mark in NASTY if f != 1 or mark not in ("-", "/")])
            fields[f] = fields[f][:at] + mark + fields[f][at:]
            lines[k] = ",".join(fields)
        elif kind == "separator" and "," in line:
            at = rng.choice([i for i, c in enumerate(line) if c == ","])
            lines[k] = line[:at] + line[at + 1 :]
        elif kind == "join" and k + 1 < len(lines):
            lines[k : k + 2] = [line + lines[k + 1]]
        elif kind == "repeat":
            lines.insert(rng.randint(1, len(lines)), line)
        elif kind == "move":
            lines.insert(rng.randint(1, len(lines) - 1), lines.pop(k))
        elif kind == "blank":
            lines.insert(k, rng.choice(["", "   ", ",,,,,"]))
        elif kind == "drop field" and line.count(",") == 5:
            fields = line.split(",")
            del fields[rng.choice([0, 1, 3, 4, 5])]
            lines[k] = ",".join(fields)
    return Case("mutated", ("\n".join(lines) + "\n").encode(), canonical_values(rows), False)
