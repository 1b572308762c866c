"""Where seals are kept outside of the store: a file to append to, or tags in a git repository.

A new kind of place is a class here and a line in ``seal_places``.
"""

import errno
import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.resources import environment
from forecast_assets.store.seals import Seal, SealLine

VARIABLE = "FORECAST_SEALS"
GIT, TAGS = "git:", "seal"
WAIT_SECONDS = 60  # for git, which may ask another machine
_SIGNER = ("-c", "user.name=forecast-assets", "-c", "user.email=forecast-assets@localhost")


class NotSealed(Exception):
    """Seals that a place did not take; the text is one sentence."""


class SealPlace(Protocol):
    """A place outside of the store; ``str()`` is how messages name it."""

    ordered: bool  # whether it keeps the order in which seals were made

    def read(self) -> list[str]:
        """Return the lines kept there, none where nothing was kept yet. Raises BadInput where that can't be known."""

    def keep(self, seals: Sequence[Seal]) -> None:
        """Add those of all ``seals`` that the place lacks, oldest first. Raises NotSealed where it can't."""


class SealFile:
    """A text file with a line per seal: day, head, time. Lines are added at its end and never changed."""

    ordered = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> list[str]:
        """Return its lines. Raises BadInput where it can't be read."""
        try:
            return [
                line for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(f"{VARIABLE}: {self} can't be read: {error.strerror}") from error

    def keep(self, seals: Sequence[Seal]) -> None:
        """Append the lines it lacks; they are on the disk on return. Raises NotSealed where it can't be written, and as
        ``_lacking``.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # so that what another process adds is read before
                if new := _lacking(seals, self.read(), where=str(self)):
                    _append(descriptor, "".join(f"{seal.line}\n" for seal in new).encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotSealed(f"{self} can't be written: {error.strerror}") from error
        except BadInput as error:
            raise NotSealed(_plain(error)) from error


def _append(descriptor: int, data: bytes) -> None:
    """Add whole lines to a file, on the disk on return; a line that a crash cut off is ended first."""
    size = os.fstat(descriptor).st_size
    cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    data = b"\n" + data if cut else data
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


class GitTags:
    """Annotated tags ``seal/<day>/<head>`` on what is checked out in a git repository; pushing them is its owner's.

    With the name of a panel ``seal-<panel>/<day>/<head>``.
    """

    ordered = False

    def __init__(self, folder: Path, *, panel: str = "") -> None:
        self.folder, self.panel = folder, panel
        self._tags = f"{TAGS}-{panel}/" if panel else f"{TAGS}/"

    def __str__(self) -> str:
        return f"{GIT}{self.folder}" + (f"#{self.panel}" if self.panel else "")

    def read(self) -> list[str]:
        """Return the messages of the tags. Raises BadInput where git or the repository is missing."""
        try:
            return self._git("for-each-ref", f"refs/tags/{self._tags}", "--format=%(contents:subject)").splitlines()
        except NotSealed as error:
            raise BadInput(f"{VARIABLE}: {error}") from error

    def keep(self, seals: Sequence[Seal]) -> None:
        """Add the tags it lacks. Raises NotSealed where git, the repository or a first commit is missing, and as
        ``_lacking``.
        """
        try:
            lines = self.read()
        except BadInput as error:
            raise NotSealed(_plain(error)) from error
        for seal in _lacking(seals, lines, where=str(self)):
            tag = f"{self._tags}{seal.day}/{seal.head[:16]}"
            self._git(*_SIGNER, "tag", "--annotate", "--message", str(seal.line), tag)

    def _git(self, *arguments: str) -> str:
        """Run git in the repository and return what it prints."""
        command = ["git", "-C", str(self.folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_SECONDS)
        except FileNotFoundError as error:
            raise NotSealed(f"{self} needs the program git, which is not installed here") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotSealed(f"{self}: git did not answer ({type(error).__name__})") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[0].removeprefix("fatal: ")
            raise NotSealed(f"{self}: git says: {said}")
        return done.stdout


def _lacking(seals: Sequence[Seal], lines: Sequence[str], *, where: str) -> list[Seal]:
    """Return the seals that ``lines`` lack. Raises NotSealed where they hold one that the store does not have."""
    kept, known = [line for line in map(SealLine.parse, lines) if line], {seal.head for seal in seals}
    if strange := [line for line in kept if line.head not in known]:
        raise NotSealed(
            f"{where} holds the seal {strange[0].head} of {strange[0].day}, which is not one of this store: name a place of "
            "its own for each store, or run verify"
        )
    return [seal for seal in seals if seal.head not in {line.head for line in kept}]


def _plain(error: BadInput) -> str:
    return str(error).removeprefix(f"{VARIABLE}: ")


def seal_places(named: str, *, panel: str = "") -> list[SealPlace]:
    """Return the places that a value of FORECAST_SEALS names: files, and ``git:`` with the folder of a repository.

    A named ``panel`` of a deployment with several has places of its own: ``seals-<panel>.txt`` for ``seals.txt``, and tags
    that ``git:FOLDER#<panel>`` names. Raises BadSetting for a URL.
    """
    found: list[SealPlace] = []
    for text in filter(None, (part.strip() for part in named.split(","))):
        if "://" in text:
            raise BadSetting(
                f"{VARIABLE}: a URL is not a place for seals; name a file, and have it timestamped as docs/record.md says"
            )
        folder, _, own = text.removeprefix(GIT).partition("#") if text.startswith(GIT) else (text, "", "")
        path = Path(environment.expanded(folder, variable=VARIABLE)).absolute()
        if text.startswith(GIT):
            found.append(GitTags(path, panel=panel or own))
        else:
            found.append(SealFile(path.with_name(f"{path.stem}-{panel}{path.suffix}") if panel else path))
    return found
