"""The files with models of one's own: ``FORECAST_MODELS``.

With the other environment variables it could not be read in time: the catalogue is made when it is imported, and with it
the assets and the settings. So it is part of an installation, as entry points are.
"""

import os

VARIABLE = "FORECAST_MODELS"


def model_files() -> list[str]:
    """``FORECAST_MODELS``: paths of Python files, separated as in PATH; a leading ~ is the home folder."""
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    return [os.path.expanduser(path) for path in named if path]
