"""Where a Chronos model's weights are: a folder that the user names, or a model of the hub."""

import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

from forecast_assets.resources.file_stamp import FileStamp

PACKAGE, EXTRA = "chronos-forecasting", "pip install 'forecast-assets[chronos]'"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FILES = ("*.json", "*.safetensors")  # no pickle is fetched or read


@dataclass(frozen=True)
class ChronosWeights:
    """The weights of a model in a local folder, or why there are none."""

    name: str = ""  # the folder's, or the model's id on the hub
    folder: Path | None = None
    problem: str = ""  # empty where there are weights
    stamps: tuple[FileStamp, ...] = ()  # of its files, taken before they are digested

    @classmethod
    def of(cls, name: str, folder: Path) -> "ChronosWeights":
        """Return the weights in a folder."""
        return cls(name, folder, stamps=tuple(map(FileStamp.of, _files_in(folder))))

    def digest(self) -> str:
        """Digest name, problem, release of the package and contents, 64 hex digits."""
        lines = [self.name, self.problem, _release()]
        if self.folder is not None:
            for file in _files_in(self.folder):
                with file.open("rb") as content:
                    lines.append(f"{file.name}:{hashlib.file_digest(content, 'sha256').hexdigest()}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for pattern in FILES for file in folder.glob(pattern))


def find_weights(named: str) -> ChronosWeights:
    """Return the weights that ``named``, a folder or an id like amazon/chronos-bolt-small, stands for.

    A model of the hub is fetched where the hub's own cache has it not yet. What goes wrong is the result's ``problem``, a
    sentence: a run without this model goes on.
    """
    folder = Path(named)
    if not named:
        what = "takes a folder of a Chronos model's weights, or its id on the hub"
        return ChronosWeights(problem=f"no weights are named: FORECAST_CHRONOS {what}")
    if not _release():
        return ChronosWeights(folder.name, problem=f"the package {PACKAGE} is not installed: {EXTRA}")
    if folder.is_dir():
        name = folder.resolve().name
        lacking = [pattern for pattern in FILES if not any(folder.glob(pattern))]
        if lacking:
            return ChronosWeights(
                name, problem=f"{named}: no file {' and none '.join(lacking)} in it; name the folder of a model"
            )
        return ChronosWeights.of(name, folder)
    if not HUB_ID.fullmatch(named):
        return ChronosWeights(
            folder.name, problem=f"{named}: no such folder; name one with FORECAST_CHRONOS, or leave it unset"
        )
    return _of_hub(named)


def _of_hub(model: str) -> ChronosWeights:
    from huggingface_hub import snapshot_download

    try:
        return ChronosWeights.of(model, Path(snapshot_download(model, allow_patterns=list(FILES))))
    except Exception as error:  # of the network, the hub or its cache, which are not ours
        said = next(iter(str(error).splitlines()), "")
        why = f"{model}: no such folder, and not to be had from the hub ({type(error).__name__}: {said})"
        return ChronosWeights(model, problem=f"{why}; download it and name its folder")


def _release() -> str:
    """Return the release of the package; empty where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""
