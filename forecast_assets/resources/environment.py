"""Every environment variable the project reads, in one place."""

import datetime as dt
import os
from importlib.util import find_spec
from pathlib import Path

from forecast_assets.core.credentials import has_credentials
from forecast_assets.core.errors import BadInput, BadSetting

DEMO_PROFILES = ("demo", "smoke")
"""Profiles that work on the synthetic panel and in a data root of their own, unless told otherwise."""

SECRET_SETTINGS = frozenset({"FORECAST_API_TOKEN", "FORECAST_DAGSTER_POSTGRES_URL"})
"""Variables of ours that hold a secret; those of Slack, W&B and AWS have names of their own."""


def profile_name() -> str:
    """``FORECAST_PROFILE``: a file in conf/profile."""
    return os.environ.get("FORECAST_PROFILE") or "demo"


def data_dir() -> str:
    """``FORECAST_DATA_DIR``: root of raw/, store/ and reports/; a local path or an fsspec URL. Raises as below."""
    named = os.environ.get("FORECAST_DATA_DIR")
    if named:
        return checked_root(named)
    return "data/demo" if profile_name() in DEMO_PROFILES else "data"


def checked_root(root: str) -> str:
    """``root`` itself. Raises BadSetting, without it, where it is a URL with credentials: roots stand in messages."""
    if has_credentials(root):
        raise BadSetting(
            "FORECAST_DATA_DIR: the URL holds credentials, and it would stand in logs and on run pages; leave them to "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or to what else the store's library reads."
        )
    return root


def checked_path(text: str, *, variable: str) -> str:
    """``text`` itself. Raises BadInput, without it, where it is a URL: raw data is read from local files."""
    if "://" in text:
        raise BadInput(f"{variable}: a URL is not read; download the file and name its local path.")
    return text


def panel_path() -> str:
    """``FORECAST_PANEL``: a CSV or Parquet file, or a folder of drops read as one panel. Raises BadInput for a URL."""
    named = os.environ.get("FORECAST_PANEL")
    return checked_path(named, variable="FORECAST_PANEL") if named else str(local_root() / "raw")


def local_root() -> Path:
    """The data root, or where that is no local folder the user's cache."""
    root = data_dir()
    return Path.home() / ".cache" / "forecast_assets" if "://" in root else Path(root)


def macro_path() -> str:
    """``FORECAST_MACRO``: a CSV with Date, VIX, US10Y, US2Y; empty where there is none. Raises BadInput for a URL."""
    return checked_path(os.environ.get("FORECAST_MACRO") or "", variable="FORECAST_MACRO")


def uses_demo_panel() -> bool:
    """Whether a run reads the synthetic panel: a demo profile, and no panel named."""
    return profile_name() in DEMO_PROFILES and not os.environ.get("FORECAST_PANEL")


def as_of() -> dt.date | None:
    """``FORECAST_AS_OF``: the last session that a replay may see; None where the clock is the wall's."""
    named = os.environ.get("FORECAST_AS_OF")
    if not named:
        return None
    try:
        return dt.date.fromisoformat(named)
    except ValueError as error:
        raise BadSetting(f"FORECAST_AS_OF: {named!r} is not a date; write it like 2025-07-24") from error


ENGINES = ("local", "ray")


def engine_name() -> str:
    """``FORECAST_ENGINE``: where fits and trials run, ``local`` (this process) or ``ray`` (a cluster).

    Raises BadSetting for another one, and for ``ray`` where it is not installed.
    """
    named = os.environ.get("FORECAST_ENGINE") or "local"
    if named not in ENGINES:
        raise BadSetting(f"FORECAST_ENGINE: {named!r} is no engine; choose {' or '.join(ENGINES)}")
    if named == "ray" and (find_spec("ray") is None or find_spec("dagster_ray") is None):
        raise BadSetting("FORECAST_ENGINE: ray is not installed; pip install 'forecast-assets[ray]', or choose local")
    return named


def ray_address() -> str | None:
    """``RAY_ADDRESS``: host:port of the cluster's head; None where a cluster of this machine alone will do."""
    return os.environ.get("RAY_ADDRESS") or None


def shared_settings() -> list[str]:
    """Names of the variables above that a step on another machine has to see alike; those that hold a secret are not
    among them: what is sent with a job can be read on the cluster's pages, so secrets belong to each machine.
    """
    named = (name for name in os.environ if name.startswith("FORECAST_") and name not in SECRET_SETTINGS)
    return sorted([*named, *(name for name in ("DAGSTER_HOME", "WANDB_MODE", "WANDB_DIR") if name in os.environ)])


def nightly_cron() -> str:
    """``FORECAST_NIGHTLY_CRON``: when the night begins; after the last exchange's close and the day's VIX."""
    return os.environ.get("FORECAST_NIGHTLY_CRON") or "0 22 * * 1-5"


def nightly_timezone() -> str:
    """``FORECAST_NIGHTLY_TIMEZONE``: of the cron; New York's closes last."""
    return os.environ.get("FORECAST_NIGHTLY_TIMEZONE") or "America/New_York"


def owner() -> str:
    """``FORECAST_OWNER``: who answers for the graph in the Dagster UI: ``team:<name>`` or an e-mail address."""
    return os.environ.get("FORECAST_OWNER") or "team:forecasting"


def api_token() -> str | None:
    """``FORECAST_API_TOKEN``: the service's bearer token; None where it serves loopback only."""
    return os.environ.get("FORECAST_API_TOKEN") or None


def dagster_postgres_url() -> str | None:
    """``FORECAST_DAGSTER_POSTGRES_URL``: where Dagster keeps its runs; None for SQLite in its home."""
    return os.environ.get("FORECAST_DAGSTER_POSTGRES_URL") or None


def wandb_mode() -> str:
    """``WANDB_MODE``: offline unless the user says otherwise."""
    return os.environ.get("WANDB_MODE") or "offline"


def wandb_dir() -> str:
    """``WANDB_DIR``: where offline runs go; else the data root, or nowhere ("") where that is no local folder."""
    root = data_dir()
    return os.environ.get("WANDB_DIR") or ("" if "://" in root else root)


def checkpoint_folder() -> Path:
    """Where fits keep their last finished epoch."""
    return local_root() / "checkpoints"


def slack_token() -> str:
    """``SLACK_BOT_TOKEN``: the bot's token; empty where alerts are only logged and queued."""
    return os.environ.get("SLACK_BOT_TOKEN") or ""


def slack_channel() -> str:
    """``SLACK_CHANNEL``: where alerts go; an id like C0123456789 lets lost answers be looked up."""
    return os.environ.get("SLACK_CHANNEL") or ""


def slack_base_url() -> str:
    """``SLACK_BASE_URL``: root of Slack's Web API; a proxy's, or a test's."""
    return os.environ.get("SLACK_BASE_URL") or "https://slack.com/api/"
