"""The input files: the raw panel, and what the user may provide beside it, such as a universe or exchange rates."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from forecast_assets.core.as_of import AsOf
from forecast_assets.core.errors import BadInput, ChangedMeanwhile
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.arrivals import HISTORY, Arrival, arrived_by, new_arrivals
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import CovariateSpec, DemoSpec, PanelSpec
from forecast_assets.resources import environment
from forecast_assets.resources.arrival_log import read_arrivals, seen_file, with_arrivals
from forecast_assets.resources.chronos_weights import ChronosWeights, find_weights
from forecast_assets.resources.file_stamp import FileStamp
from forecast_assets.store.durable import file_sha256, replace_bytes
from forecast_assets.store.keys import canonical_json, code_digest, sha256_text

if TYPE_CHECKING:
    from forecast_assets.core.panel.adapters.folders import FoundFiles

DEMO_FILE = "demo_panel.csv"
DEMO_NOTE = ".demo_panel.json"  # beside the folder of the panel: what wrote it
DEMO_RIVAL = "demo_friend.parquet"
COVARIATES_FILE = "covariates.yaml"


@dataclass(frozen=True)
class InputFiles:
    """The files that together are one raw panel, in the order in which they are merged."""

    files: tuple[InputFile, ...]
    contents: Mapping[str, str]  # name -> sha256
    left_out: tuple[
        tuple[str, str], ...
    ] = ()  # other files of the folder, and why each is not read; those of ``later`` too
    as_of: AsOf | None = None  # sessions after its day are not read
    later: tuple[InputFile, ...] = ()  # files that had not arrived by then
    new: tuple[Arrival, ...] = ()  # what the log of arrivals lacks
    stamps: tuple[FileStamp, ...] = ()  # of the files, taken before their contents were digested
    planted_signal: float = 0.0  # its strength, where they are the synthetic panel

    @property
    def until(self) -> dt.date | None:
        """Return the last day that is read; None for all."""
        return self.as_of.day if self.as_of else None

    def digest(self) -> str:
        """Digest names, contents and arrivals of the files that are read, and the replayed day, 64 hex digits."""
        lines = [str(self.as_of.day) if self.as_of else ""]
        for file in self.files:
            arrived = file.arrived.isoformat() if file.arrived else ""
            read_as = f"{sorted(file.constants.items())}{sorted(file.options.items())}"
            lines.append(f"{file.name}:{self.contents[file.name]}:{arrived}:{read_as}")
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


@dataclass(frozen=True)
class OptionalFile:
    """A file beside the panel that the user named (macro series, universe, sectors, rates); no path where there is none."""

    path: Path | None
    as_of: AsOf | None = None
    stamps: tuple[FileStamp, ...] = ()

    @property
    def until(self) -> dt.date | None:
        """Return the last day that is read; None for all."""
        return self.as_of.day if self.as_of else None

    def digest(self) -> str:
        """Digest content and ``until``, 64 hex digits; an empty file is not the same as none."""
        content = b"" if self.path is None else self.path.read_bytes() or b"\0"
        return hashlib.sha256(f"{self.until or ''}\n".encode() + content).hexdigest()


@dataclass(frozen=True)
class RivalFiles:
    """The files of rivals' forecasts, by name; none where there is no folder of them."""

    files: tuple[Path, ...] = ()
    as_of: AsOf | None = None
    stamps: tuple[FileStamp, ...] = ()

    @property
    def until(self) -> dt.date | None:
        """Return the last day that is read; None for all."""
        return self.as_of.day if self.as_of else None

    def digest(self) -> str:
        """Digest names, contents and ``until``, 64 hex digits."""
        lines = [f"{file.name}:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in self.files]
        return hashlib.sha256("\n".join([str(self.until or ""), *lines]).encode()).hexdigest()


@dataclass(frozen=True)
class CovariateFiles:
    """The user's own series as declared, and the file of each, by name; none where none is declared."""

    specs: Mapping[str, CovariateSpec]
    files: Mapping[str, Path]
    stamps: tuple[FileStamp, ...] = ()

    def digest(self) -> str:
        """Digest declarations and contents, 64 hex digits. What a replay reads is cut by arrival, row by row."""
        lines = [
            f"{name}:{spec.model_dump_json(exclude={'path'})}:{hashlib.sha256(self.files[name].read_bytes()).hexdigest()}"
            for name, spec in self.specs.items()
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class PanelSource(dg.ConfigurableResource):
    """Where the input files are: the raw panel, and what may stand beside it.

    A panel that is named here reads what is named here alone. Otherwise both come from the environment.
    """

    panel: str = Field(
        default="", description="a file or folder in the data root or beside FORECAST_PANEL; empty: that"
    )
    macro_file: str = Field(
        default="", description="VIX and yields; empty: FORECAST_MACRO, or none beside a named panel"
    )
    covariates_file: str = Field(default="", description="own series; likewise FORECAST_COVARIATES")
    universe_file: str = Field(default="", description="members by day; likewise FORECAST_UNIVERSE")
    sectors_file: str = Field(default="", description="sectors by day; likewise FORECAST_SECTORS")
    fx_file: str = Field(default="", description="exchange rates; likewise FORECAST_FX")
    rivals_folder: str = Field(default="", description="rivals' forecasts; likewise FORECAST_RIVALS")

    def is_demo(self) -> bool:
        """Return whether the synthetic panel is read."""
        return not self.panel and environment.uses_demo_panel()

    def _named(self, own: str, from_environment: Callable[[], str], *, variable: str) -> str:
        """Return the path of a file beside the panel. Raises as ``environment.checked_path`` and ``require_inside``."""
        return _own(own, variable=variable) if self.panel else from_environment()

    def path(self) -> Path:
        """Return where the raw panel is, whether there is anything or not.

        Raises BadSetting for a ``panel`` outside of what was declared where the process was started.
        """
        return Path(_own(self.panel, variable="source.panel") or environment.panel_path())

    def state(self) -> str:
        """Return names, sizes and times of writing of the panel's files in one line, without reading any."""
        from forecast_assets.core.panel.adapters.folders import files_below  # the definitions load without it

        path = self.path()
        files = [file for file in files_below(path) if file.is_file()] if path.is_dir() else [path]
        found = {str(file): file.stat() for file in files if file.exists()}
        return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in found.items()])

    def input_files(
        self, demo: DemoSpec, panel: PanelSpec, *, data_root: str, quiet_seconds: float = 0.0
    ) -> InputFiles:
        """Return the panel's files that had arrived; a demo profile without one of its own writes the synthetic one first,
        with the file of its rival.

        Arrivals are looked up in the data root's log, which is left as it is. A new file that is written to all the time
        is left out, see ``quiet_files``. Raises BadInput where there is no file, or the synthetic panel would be mixed with
        others, BadSetting as ``path``, ChangedMeanwhile where one that was read before is being written.
        """
        from forecast_assets.core.panel.adapters.folders import find_files  # the definitions load without it

        path = self.path()
        declared, planted = environment.arrived(), 0.0
        unfinished: list[str] = []
        if not self.panel and not environment.names_panel():
            _refuse_mixture(path, panel, is_demo=self.is_demo())
        if not self.is_demo():
            unfinished = _still_being_written(path, quiet_seconds, data_root=data_root)
        else:
            _write_demo(path / DEMO_FILE, demo, rival=_demo_rival() if demo.rival else None)
            declared, planted = HISTORY, demo.signal
        files = as_arrived(find_files(path, panel, unfinished=unfinished), declared=declared, data_root=data_root)
        return replace(files, planted_signal=planted)

    def macro(self) -> OptionalFile:
        """Return the file that FORECAST_MACRO names. Raises BadInput where it does not exist."""
        return _optional(
            self._named(self.macro_file, environment.macro_path, variable="macro"),
            what="macro series",
            variable="FORECAST_MACRO",
        )

    def covariates(self) -> CovariateFiles:
        """Return what FORECAST_COVARIATES, or ``covariates.yaml`` in the data root, declares.

        Raises BadInput where the file that is named, or one that is declared, does not exist, or the YAML can't be used.
        """
        named = self._named(self.covariates_file, environment.covariates_path, variable="covariates")
        if self.panel and not named:
            return CovariateFiles({}, {})
        path = Path(named) if named else environment.local_root() / COVARIATES_FILE
        if named and not path.is_file():
            raise BadInput(f"{path}: no such file; name the declarations with FORECAST_COVARIATES, or leave it unset")
        if not path.is_file():
            return CovariateFiles({}, {})
        from forecast_assets.core.panel.covariates.declare import read_declarations  # the definitions load without it

        specs = read_declarations(path)
        files = {
            name: path.parent / environment.checked_path(spec.path, variable=f"{path.name}: {name}: path")
            for name, spec in specs.items()
        }
        if gone := [name for name, file in files.items() if not file.is_file()]:
            raise BadInput(f"{path.name}: {gone[0]}: path: there is no file {files[gone[0]]}; correct the path")
        return CovariateFiles(specs, files, tuple(map(FileStamp.of, files.values())))

    def universe(self) -> OptionalFile:
        """Return the file that FORECAST_UNIVERSE names. Raises BadInput where it does not exist."""
        return _optional(
            self._named(self.universe_file, environment.universe_path, variable="universe"),
            what="universe",
            variable="FORECAST_UNIVERSE",
        )

    def sectors(self) -> OptionalFile:
        """Return the file that FORECAST_SECTORS names. Raises BadInput where it does not exist."""
        return _optional(
            self._named(self.sectors_file, environment.sectors_path, variable="sectors"),
            what="sectors",
            variable="FORECAST_SECTORS",
        )

    def fx(self) -> OptionalFile:
        """Return the file that FORECAST_FX names. Raises BadInput where it does not exist."""
        return _optional(
            self._named(self.fx_file, environment.fx_path, variable="fx"), what="exchange rates", variable="FORECAST_FX"
        )

    def rivals(self) -> RivalFiles:
        """Return the files in the folder of rivals' forecasts. Raises BadInput where FORECAST_RIVALS names no folder."""
        named = self._named(self.rivals_folder, environment.rivals_path, variable="rivals")
        if self.panel and not named:
            return RivalFiles()
        folder = Path(named) if named else environment.local_root() / "rivals"
        if named and not folder.is_dir():
            raise BadInput(
                f"{folder}: no such folder; name the one of the rivals' files with FORECAST_RIVALS, or leave it unset"
            )
        if not folder.is_dir():
            return RivalFiles()
        files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
        return RivalFiles(tuple(files), environment.as_of(), tuple(map(FileStamp.of, files)))

    def chronos(self) -> ChronosWeights:
        """Return the weights that FORECAST_CHRONOS names, or why there are none."""
        return find_weights(environment.chronos_weights())


def _still_being_written(path: Path, quiet_seconds: float, *, data_root: str) -> list[str]:
    """Return the names of new files that are still being written after a while.

    Raises ChangedMeanwhile for one that was read before: without it the panel would be another one.
    """
    from forecast_assets.resources.quiet_files import wait_until_quiet  # the definitions load without it

    unfinished = wait_until_quiet(path, seconds=quiet_seconds)
    if not unfinished:
        return []
    known = {entry.file.name for entry in read_arrivals(data_root)}
    for name in unfinished:
        if path.is_file() or name in known:
            raise ChangedMeanwhile(
                f"{path if path.is_file() else path / name}: the file is still being written, and is read once it was quiet "
                f"for {quiet_seconds:g} s (arrival.quiet_seconds); run it again then, or write new prices under another "
                "name and rename the file when it is complete"
            )
    return unfinished


def _write_demo(path: Path, demo: DemoSpec, *, rival: Path | None) -> None:
    """Write the demo panel, and its rival's forecasts, where they are not what the same code and settings wrote before."""
    made_by = code_digest(
        *(f"forecast_assets.core.panel.{name}" for name in ("demo", "demo_announcements", "sessions", "closures"))
    )
    versions = [version(name) for name in ("exchange_calendars", "numpy", "polars")]
    own_key = sha256_text(canonical_json([demo.model_dump(), list(HORIZONS), made_by, versions]))
    files = [path] if rival is None else [path, rival]
    note = environment.local_root() / DEMO_NOTE
    try:
        if json.loads(note.read_text(encoding="utf-8")) == {
            "key": own_key,
            "files": [file_sha256(one) for one in files],
        }:
            return
    except (FileNotFoundError, json.JSONDecodeError):
        pass  # the first time, or one of them was removed
    from forecast_assets.core.panel.demo import write_demo_csv

    path.parent.mkdir(parents=True, exist_ok=True)
    write_demo_csv(path, demo, rival=rival)
    replace_bytes(note, canonical_json({"key": own_key, "files": [file_sha256(one) for one in files]}).encode())


def _refuse_mixture(folder: Path, panel: PanelSpec, *, is_demo: bool) -> None:
    """Raise BadInput where the synthetic panel would be read together with files of somebody's own.

    ``is_demo``: it is about to be written; else it may have been, by a run of another profile.
    """
    from forecast_assets.core.panel.adapters.folders import find_files  # the definitions load without it

    files: tuple[InputFile, ...] = ()
    with suppress(BadInput):  # nothing in it that is read
        files = find_files(folder, panel).files
    others = [file.path for file in files if file.name != DEMO_FILE]
    alone = len(others) == len(files)
    if others and is_demo:
        named = folder if alone else others[0]
        raise BadInput(
            f"{others[0]}: the profile {environment.profile_name()} reads a synthetic panel, which is never mixed with "
            "files of yours; choose the profile of these files (--profile full, FORECAST_PROFILE=full), or name them "
            f"(--panel {named}, FORECAST_PANEL={named})"
        )
    if others and not alone:
        raise BadInput(
            f"{folder / DEMO_FILE}: the synthetic panel of a demo run lies beside {others[0].name}, and is never mixed with "
            f"files of yours; remove it, or name your files (--panel {others[0]}, FORECAST_PANEL={others[0]})"
        )


def _demo_rival() -> Path | None:
    """Return where the forecasts of the demo's rival go; None where the user has named a folder of rivals."""
    if environment.rivals_path():
        return None
    folder = environment.local_root() / "rivals"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / DEMO_RIVAL


def _own(path: str, *, variable: str) -> str:
    """Return a path of a run's configuration, which lies in a folder that whoever started the process has declared."""
    environment.refuse_secret(path, setting=variable)
    given = environment.checked_path(path, variable=variable)
    if given:
        environment.require_inside(given, setting=variable)
    return given


def _optional(named: str, *, what: str, variable: str) -> OptionalFile:
    if not named:
        return OptionalFile(None)
    path = Path(named)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the {what} with {variable}, or leave it unset")
    return OptionalFile(path, environment.as_of(), (FileStamp.of(path),))


def as_arrived(found: "FoundFiles", *, declared: str, data_root: str) -> InputFiles:
    """Return the files that a run reads now, by the data root's log of arrivals, which is left as it is.

    ``declared``: when all of them arrived; empty: as said beside them, or when first read. Raises BadInput where a replay
    has nothing to read.
    """
    stamps = tuple(FileStamp.of(file.path) for file in found.files)
    seen = [seen_file(file) for file in found.files]
    log = read_arrivals(data_root)
    new = new_arrivals(seen, log=log, now=dt.datetime.now(dt.UTC))
    as_of = environment.as_of()
    here, later = arrived_by(with_arrivals(found.files, seen, declared=declared, log=[*log, *new]), as_of)
    contents = {file.name: file.sha256 for file in seen}
    not_yet = ((file.name, f"arrived at {file.arrived:%Y-%m-%d %H:%M} UTC, after the replayed time") for file in later)
    return InputFiles(tuple(here), contents, (*found.left_out, *not_yet), as_of, tuple(later), tuple(new), stamps)
