"""Find the files of a raw panel in a folder, what lies beside them, and what ``panel.yaml`` says about reading them."""

import datetime as dt
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from pydantic import Field, ValidationError, field_validator

from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.panel.adapters.headers import PRICE_FIELDS, is_field, known_fields
from forecast_assets.core.panel.adapters.parquet_tables import is_parquet, parquet_columns
from forecast_assets.core.panel.adapters.text_tables import (
    NO_TABLES,
    beginning,
    has_rows,
    holds_prices,
    looks_like_a_table,
    open_text,
)
from forecast_assets.core.panel.arrivals import natural_order
from forecast_assets.core.panel.input_file import SUFFIXES, InputFile
from forecast_assets.core.specs import PanelSpec, ReadSpec, Spec, text_keys

OPTIONS_FILE = "panel.yaml"
DONE = ".done"  # of a marker beside a file: prices.csv.done says that prices.csv is complete
UNFINISHED = (
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".download",
    ".swp",
    ".swo",
    ".tmp",
    ".temp",
    ".lock",
    "~",
)
NO_PRICES = "its columns hold neither days nor prices"
NOT_DATA = ("_delta_log", "_temporary", "_spark_metadata", "_metadata", "__MACOSX")  # folders that other programs keep
NOTES = ("readme", "license", "licence", "notes", "changelog", "citation", "copying", "metadata")


class FileOptions(ReadSpec):
    """How some of the files are read."""

    columns: dict[str, str] = Field({}, description="column of a field, as the file spells it")
    ticker: str | None = Field(None, description="ticker of all rows")
    tickers: dict[str, str] = Field({}, description="exchange (MIC) of a ticker, whatever its name and its dates say")
    exchanges: dict[str, str] = Field({}, description="exchange (MIC) of a word or a suffix")
    arrived: str | None = Field(None, description="when it arrived: a date or time, history, or name (the date in it)")
    skip: bool = Field(False, description="leave the files out")
    done: bool = Field(False, description="read a file only once its marker, such as prices.csv.done, lies beside it")

    @field_validator("tickers", "exchanges", mode="before")
    @classmethod
    def _are_text(cls, value: Any) -> Any:
        return text_keys(value)

    @field_validator("arrived", mode="before")
    @classmethod
    def _as_written(cls, value: object) -> object:
        return str(value) if isinstance(value, dt.date) else value  # YAML reads a date where one is written


class FolderOptions(FileOptions):
    """The content of ``panel.yaml``: options of all files, and of some under a name or a pattern."""

    files: dict[str, FileOptions] = Field({}, description="options by name or pattern, such as old/*.csv")


@dataclass(frozen=True)
class FoundFiles:
    """The files that are read, and the names of those that are not, each with the reason."""

    files: tuple[InputFile, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def find_files(path: Path, spec: PanelSpec, *, unfinished: Collection[str] = ()) -> FoundFiles:
    """Return the files of a panel: ``path`` itself, or what a folder and the folders in it hold.

    ``unfinished``: names of files in the folder that are still being written, and are left out. Raises BadInput where there
    is none, and for a ``panel.yaml`` that can't be read.
    """
    if path.is_file():
        options = _read_options(path.parent / OPTIONS_FILE)
        _refuse_unknown_fields(path.parent / OPTIONS_FILE, options, spec)
        return FoundFiles((_with_options(InputFile(path, path.name), options),))
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder; name the raw panel with FORECAST_PANEL or --panel")
    if not path.is_dir():
        raise BadInput(
            f"{path}: this is neither a file nor a folder; name the raw panel with FORECAST_PANEL or --panel"
        )
    options = _read_options(path / OPTIONS_FILE)
    _refuse_unknown_fields(path / OPTIONS_FILE, options, spec)
    files, left_out, unread = [], [], []
    for found in files_below(path):
        name = found.relative_to(path).as_posix()
        if name == OPTIONS_FILE:
            continue
        file = _with_options(InputFile(found, name, constants=_from_folders(found.relative_to(path), spec)), options)
        own = _options_of(name, options)
        reason = "skip: true" if own.skip else _not_yet(file, own, unfinished) or _why_not(file, spec)
        if reason:
            left_out.append((name, reason))
            if reason == NO_PRICES and not is_parquet(found):
                unread.append(file)
        else:
            files.append(file)
    names = [found.relative_to(path).as_posix() for found in files_below(path)]
    left_out += [
        (pattern, f"no file fits this name of {OPTIONS_FILE}")
        for pattern in options.files
        if not any(fnmatch(name, pattern) for name in names)
    ]
    if not files:
        for file in unread:
            open_text(file, file.spec(spec))  # says what its columns are, and what to add
        seen = f"; left out: {', '.join(f'{name} ({why})' for name, why in left_out[:3])}" if left_out else ""
        raise BadInput(f"{path}: the folder holds no .csv or .parquet file of prices{seen}; put the raw panel there")
    return FoundFiles(tuple(files), tuple(left_out))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield files, and folders that are not entered: hidden ones, and links to a folder that they stand in."""
    here = folder.resolve()
    for entry in sorted(folder.iterdir(), key=lambda entry: natural_order(entry.name)):
        if entry.is_dir() and not entry.name.startswith((".", *NOT_DATA)) and not here.is_relative_to(entry.resolve()):
            yield from files_below(entry)
        else:
            yield entry


def _from_folders(path: Path, spec: PanelSpec) -> dict[str, str]:
    """Return the fields that folders like ``Ticker=BMW.DE`` say."""
    pairs = [part.partition("=") for part in path.parts[:-1] if "=" in part]
    found = {is_field(key, spec.columns): unquote(value) for key, _, value in pairs}
    return {field: value for field, value in found.items() if field in ("ticker", "exchange", "sector", "date")}


def _not_yet(file: InputFile, options: FileOptions, unfinished: Collection[str]) -> str | None:
    """Return why a file of a folder is not complete yet, or None."""
    if file.name in unfinished:
        return "still being written"
    if options.done and not file.path.name.endswith(DONE) and not file.path.with_name(file.path.name + DONE).exists():
        return f"not complete: there is no {file.path.name}{DONE} beside it yet"
    return None


def _why_not(file: InputFile, spec: PanelSpec) -> str | None:
    """Return why a file of a folder is no part of the panel, or None."""
    path, name = file.path, file.path.name.lower()
    if name.startswith((".", "~$")):
        return "hidden"
    if path.is_dir():
        return "a folder that is not entered"
    if name.endswith(DONE):
        return "the marker of a complete file"
    if name.endswith(UNFINISHED):
        return "an unfinished or temporary file"
    if not path.exists():
        return "a link to nothing"
    if not stat.S_ISREG(path.stat().st_mode):
        return "not a regular file"
    if name.endswith((".md", ".rst", ".pdf")) or file.stem.lower().startswith(NOTES):
        return "notes"
    if what := next((said for mark, said in NO_TABLES.items() if beginning(path).startswith(mark)), None):
        return f"this is {what}"
    if not name.endswith(SUFFIXES):
        return f"{path.suffix or 'files without a suffix'}: not read"
    if path.stat().st_size == 0:
        return "empty"
    if is_parquet(path):
        names, rows = parquet_columns(file)
        fields = known_fields(names, spec.columns) & {"date", *PRICE_FIELDS}
        return "no rows" if rows == 0 else None if fields else NO_PRICES
    if name.endswith(".txt") and not looks_like_a_table(path):
        return "a text without a table"
    if not holds_prices(file, file.spec(spec)):
        return NO_PRICES
    return None if has_rows(path) else "a header but no rows"


def _read_options(path: Path) -> FolderOptions:
    if not path.is_file():
        return FolderOptions()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(content, dict):
            raise BadInput(
                f"{path}: it holds options by name, a line each, such as `ticker: AAPL`; got {content!r:.60}"
            )
        return FolderOptions.model_validate(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not readable as YAML ({' '.join(str(error).split())[:120]})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][-1])
        spec: type[Spec] = FileOptions if "files" in first["loc"] else FolderOptions
        if first["type"] == "extra_forbidden":
            raise BadInput(
                f"{path}: no option {key!r}; the nearest is {nearest_name(key, spec.model_fields)}"
            ) from error
        where = ": ".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: {where or 'it'}: {first['msg']}, got {first['input']!r}") from error


def _refuse_unknown_fields(path: Path, options: FolderOptions, spec: PanelSpec) -> None:
    for own in (options, *options.files.values()):
        if unknown := [name for name in own.columns if name not in spec.columns]:
            nearest = nearest_name(unknown[0], spec.columns)
            raise BadInput(f"{path}: columns: there is no field {unknown[0]!r}; the nearest is {nearest}")


def _options_of(name: str, options: FolderOptions) -> FileOptions:
    """Return the options of a file: those of all, with those of the patterns that it fits over them."""
    merged: dict[str, Any] = options.model_dump(exclude_unset=True, exclude={"files"})
    for pattern, own in options.files.items():
        if fnmatch(name, pattern):
            merged |= own.model_dump(exclude_unset=True)
    return FileOptions.model_validate(merged)


def _with_options(file: InputFile, options: FolderOptions) -> InputFile:
    own = _options_of(file.name, options)
    constants = dict(file.constants) | ({"ticker": own.ticker} if own.ticker else {})
    said = own.model_dump(exclude_unset=True, exclude={"ticker", "arrived", "skip", "done"})
    return InputFile(file.path, file.name, constants=constants, options=said, declared_arrival=own.arrived)
