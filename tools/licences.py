"""The licence of every locked package: listed in ``licences.csv``, and compared with those that are accepted.

    python -m tools.licences [FOLDER ...]       writes licences.csv; FOLDERs hold packages that are installed elsewhere

A licence is what the package's own metadata says. A package that is not installed keeps its line as long as its version is
the one of the lock; without a line, it is named and nothing is written.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "licences.csv"
LOCKS = ("requirements.lock", "requirements-chronos.lock", "requirements-fev.lock", "deploy/requirements.lock")
ELSEWHERE = (".venv/chronos", ".venv/fev")  # where `make` installs the extras

ACCEPTED = re.compile(
    r"MIT( License|-0|-CMU)?|Apache[- ](2\.0( License)?|Software License)( WITH LLVM-exception)?|ISC( License \(ISCL\))?|"
    r"(3-Clause |Simplified )?BSD( License|-[23]-Clause)?|0BSD|PSF-2\.0|Python Software Foundation License|"
    r"Zlib|CC0-1\.0|BSL-1\.0|NCSA|CNRI-Python|Public Domain|DFSG approved|"
    r"MPL-2\.0|Mozilla Public License 2\.0 \(MPL 2\.0\)"  # of single files, which are used as they are
)
REVIEWED = {
    "psycopg2-binary": "LGPL: a library of its own, used as it is",
    "docutils": "GPL: one file of it, an Emacs mode that nothing here runs; the rest is in the public domain or BSD",
    "axe-playwright-python": "MIT: its licence file; the metadata says nothing",
    "dataframely": "BSD-3-Clause: its licence file; the metadata says nothing",
    "ta-lib": "BSD-2-Clause: its licence file; the metadata says nothing",
}
"""Packages whose metadata says nothing, or something that is not accepted in general, and why each is used all the same."""


class Locked(NamedTuple):
    """A line of a lock."""

    package: str  # as PEP 503 spells it
    version: str


def locked() -> list[Locked]:
    """Return every pin of the locks, sorted."""
    lines = (line.strip() for lock in LOCKS for line in (ROOT / lock).read_text(encoding="utf-8").splitlines())
    pins = (line.split(" ")[0].partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return sorted({Locked(normalised(name), version) for name, _, version in pins})


def normalised(name: str) -> str:
    """Return a package's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(package: Distribution) -> str:
    """Return what a package's metadata says, empty where that is nothing; alternatives and parts as it joins them."""
    of = package.metadata
    if "License-Expression" in of:
        return of["License-Expression"]
    kinds = [text.rpartition(" :: ")[2] for text in of.get_all("Classifier") or () if text.startswith("License ::")]
    text = of["License"].strip().split("\n")[0][:80] if "License" in of else ""
    return "; ".join(kind for kind in kinds if kind != "OSI Approved") or text


def is_accepted(licence: str) -> bool:
    """Return whether each part of a licence is accepted; of alternatives (OR), one."""
    parts = (part.strip("() ") if part.startswith("(") else part for part in re.split(r"\s+AND\s+|;\s*", licence))
    return all(any(ACCEPTED.fullmatch(one) for one in re.split(r"\s+OR\s+", part)) for part in parts)


def installed(folders: Iterable[str] = ()) -> dict[Locked, str]:
    """Return the licence of each package that is installed here, or in a folder."""
    path = [*sys.path, *(str(ROOT / folder) for folder in ELSEWHERE), *folders]
    found = distributions(path=path)
    return {Locked(normalised(one.metadata["Name"]), one.version.partition("+")[0]): licence_of(one) for one in found}


def listed() -> dict[Locked, str]:
    """Return the lines of ``licences.csv``; none where there is no such file."""
    if not LIST.exists():
        return {}
    with LIST.open(newline="", encoding="utf-8") as file:
        return {Locked(row["package"], row["version"]): row["licence"] for row in csv.DictReader(file)}


def problems(licences: dict[Locked, str], pins: Iterable[Locked]) -> Iterator[str]:
    """Yield a sentence for each locked package that is not listed, or whose licence is neither accepted nor reviewed."""
    for pin in pins:
        if pin not in licences:
            yield f"{pin.package} {pin.version}: its licence is not listed; install it and run: python -m tools.licences"
        elif pin.package not in REVIEWED and not is_accepted(licences[pin]):
            yield f"{pin.package} {pin.version}: {licences[pin] or 'no licence'}: review it in tools/licences.py"


def main() -> None:
    """Write the list; exit with the problems there are."""
    pins, known = locked(), listed() | installed(sys.argv[1:])
    if wrong := [*problems(known, pins)]:
        raise SystemExit("\n".join(wrong))
    with LIST.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("package", "version", "licence"))
        rows.writerows((*pin, known[pin] or REVIEWED[pin.package].partition(":")[0]) for pin in pins)
    print(f"{LIST.name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
