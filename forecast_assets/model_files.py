"""The files with models of one's own: ``models`` of the profile, and ``FORECAST_MODELS``.

With the other settings they could not be read in time: the catalogue is made when it is imported, and with it the assets and
the settings. So they are part of an installation, as entry points are.
"""

import os
from pathlib import Path
from typing import Any

PROFILES = Path(__file__).parent / "conf" / "profile"
SECTION = "models"
DEFAULT_PROFILE = "demo"  # where FORECAST_PROFILE names none


def model_files() -> list[str]:
    """Return paths of Python files, those of the profile first; a leading ~ is the home folder.

    ``FORECAST_MODELS`` separates them as PATH does; a profile has a list, ``models: [mine.py]``.
    """
    return expanded(
        [
            *_of_profile(os.environ.get("FORECAST_PROFILE") or DEFAULT_PROFILE),
            *os.environ.get("FORECAST_MODELS", "").split(os.pathsep),
        ]
    )


def expanded(paths: Any) -> list[str]:
    """Return the paths of a list or of one text, with their home folders; none for an empty text or None."""
    each = [paths] if isinstance(paths, str) else list(paths or [])
    return [os.path.expanduser(str(path)) for path in each if path]


def _of_profile(name: str) -> list[str]:
    """Return what a profile names; a profile that is not there is reported where it is composed."""
    path = PROFILES / f"{name}.yaml"
    if not name or not path.is_file() or SECTION not in (text := path.read_text(encoding="utf-8")):
        return []
    import yaml  # seldom needed, and this module is imported by every process

    return expanded((yaml.safe_load(text) or {}).get(SECTION))
