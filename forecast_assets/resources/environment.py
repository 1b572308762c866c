"""The environment variables that the project reads; those that name models of one's own are in ``model_files``."""

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from forecast_assets.core.as_of import AsOf
from forecast_assets.core.credentials import has_credentials
from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.model_files import DEFAULT_PROFILE

DEMO_PROFILES = ("demo", "smoke")  # they use the synthetic panel and a data root of their own by default
SECRET_SETTINGS = frozenset(
    (
        *("FORECAST_API_TOKEN", "FORECAST_DAGSTER_POSTGRES_URL"),
        *("FORECAST_SMTP_URL", "FORECAST_WEBHOOK_URL", "FORECAST_WEBHOOK_SECRET"),
    )
)
ENGINES = ("local", "ray")
SHORTEST_SECRET = 6  # characters; a shorter value stands in many texts by chance
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|_PWD|CREDENTIAL|KEY|POSTGRES_URL|DSN", re.IGNORECASE)  # not PWD

Default = TypeVar("Default", str, None)


def _variable(name: str, default: Default) -> Callable[[], str | Default]:
    """Return a function that reads the variable ``name``: ``default`` where it is unset or empty."""
    return lambda: os.environ.get(name) or default


profile_name = _variable("FORECAST_PROFILE", DEFAULT_PROFILE)  # a file in conf/profile
nightly_cron = _variable("FORECAST_NIGHTLY_CRON", "0 22 * * 1-5")  # after the last exchange's close and the day's VIX
nightly_timezone = _variable("FORECAST_NIGHTLY_TIMEZONE", "America/New_York")  # of the cron; New York closes last
owner = _variable("FORECAST_OWNER", "team:forecasting")  # in the Dagster UI: ``team:<name>`` or an e-mail address
code_location = _variable("FORECAST_CODE_LOCATION", "forecast_assets")  # in the UI: where commands' runs appear
ray_address = _variable("RAY_ADDRESS", None)  # host:port of the cluster's head; None: a cluster on this machine alone
api_token = _variable("FORECAST_API_TOKEN", None)  # the service's bearer token; None for a service on loopback only
dagster_postgres_url = _variable("FORECAST_DAGSTER_POSTGRES_URL", None)  # Dagster's runs; None for SQLite in its home
wandb_mode = _variable("WANDB_MODE", "offline")
arrived = _variable("FORECAST_ARRIVED", "")  # when the files arrived: history, name, a date; empty: when first seen
slack_token = _variable("SLACK_BOT_TOKEN", "")  # the bot's; empty where alerts are only logged and queued
slack_channel = _variable("SLACK_CHANNEL", "")  # with an id like C0123456789, lost answers can be looked up
slack_base_url = _variable("SLACK_BASE_URL", "https://slack.com/api/")  # Slack's Web API, a proxy's or a test's

smtp_url = _variable(
    "FORECAST_SMTP_URL", ""
)  # smtps://user:password@host:port, or smtp:// for STARTTLS; of alerts by e-mail
mail_from = _variable("FORECAST_MAIL_FROM", "")  # sender of alerts
mail_to = _variable("FORECAST_MAIL_TO", "")  # their recipients, separated by commas
seals = _variable("FORECAST_SEALS", "")  # where seals of the nights are kept: files and git:FOLDER, separated by commas
webhook_url = _variable("FORECAST_WEBHOOK_URL", "")  # takes alerts as JSON
webhook_secret = _variable("FORECAST_WEBHOOK_SECRET", "")  # with which they are signed; empty: they are not


def reports_url() -> str:
    """``FORECAST_REPORTS_URL``: where ``reports/latest`` of the data root is served; empty: nowhere.

    Raises BadSetting, without quoting it, for a URL with credentials: it stands on pages.
    """
    named = os.environ.get("FORECAST_REPORTS_URL") or ""
    if has_credentials(named):
        raise BadSetting("FORECAST_REPORTS_URL: the URL holds credentials, and it would stand on the report's page.")
    return named.rstrip("/")


def data_dir() -> str:
    """``FORECAST_DATA_DIR``: root of raw/, store/ and reports/; a local path or an fsspec URL. Raises as `checked_root`."""
    if named := os.environ.get("FORECAST_DATA_DIR"):
        return checked_root(named)
    return f"data/{profile_name()}" if profile_name() in DEMO_PROFILES else "data"


def expanded(path: str, *, variable: str) -> str:
    """Return ``path`` with a leading ~ as the home folder: quoted, or in a file of settings, no shell replaces it.

    Raises BadSetting where there is no such home.
    """
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise BadSetting(
            f"{variable}: {path} names a home folder that is not known here; write the whole path"
        ) from error


def checked_root(root: str) -> str:
    """Return ``root`` with its ~ replaced.

    Raises BadSetting, without quoting it, for a URL with credentials: roots appear in messages.
    """
    if has_credentials(root):
        raise BadSetting(
            "FORECAST_DATA_DIR: the URL holds credentials, and it would appear in logs and on run pages; put them into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or where else the store's library reads them."
        )
    return expanded(root, variable="FORECAST_DATA_DIR")


def checked_path(text: str, *, variable: str) -> str:
    """Return ``text`` with its ~ replaced. Raises BadInput, without quoting it, for a URL: raw data is read locally."""
    if "://" in text:
        raise BadInput(f"{variable}: a URL is not read; download the file and name its local path.")
    return expanded(text, variable=variable)


def declared_roots() -> list[Path]:
    """Return the folders that whoever started this process has declared, links followed: the data root, the folder of
    FORECAST_PANEL, and those of ``FORECAST_ROOTS``, which separates them as PATH does.
    """
    panel = Path(panel_path())
    named = (os.environ.get("FORECAST_ROOTS") or "").split(os.pathsep)
    more = [Path(expanded(folder, variable="FORECAST_ROOTS")) for folder in named if folder]
    return [root.resolve() for root in (local_root(), panel.parent if panel.is_file() else panel, *more)]


_declared_urls: set[str] = set()


def declare_root(root: str) -> None:
    """Let the runs of this process, and of those that it starts, use a file, a folder or a URL that its user has named."""
    if "://" in root:
        _declared_urls.add(root)
    elif root:
        path, named = os.path.abspath(root), os.environ.get("FORECAST_ROOTS")
        if path not in (named or "").split(os.pathsep):
            os.environ["FORECAST_ROOTS"] = os.pathsep.join([*([named] if named else []), path])


def is_declared_root(root: str) -> bool:
    """Return whether this is the data root of the process, or a URL that was declared."""
    return root == data_dir() or root in _declared_urls


def require_inside(path: str, *, setting: str) -> None:
    """Raise BadSetting for a path of the launchpad or an override that leads out of ``declared_roots``; nothing is opened.

    Who may launch a run may not thereby read or write any file of the account that it runs under.
    """
    found = Path(path).resolve()
    if not any(found.is_relative_to(root) for root in declared_roots()):
        raise BadSetting(
            f"{setting}: {path[:200]!r} lies outside the folders that runs may use (the data root, the panel's folder); "
            "put it there, or name its folder in FORECAST_ROOTS where the UI is started"
        )


def refuse_secret(text: str, *, setting: str) -> None:
    """Raise BadSetting, without quoting it, for a setting that holds the value of a secret environment variable.

    Dagster replaces ``{env: NAME}`` in a run's configuration, and settings are shown on run pages and in messages.
    """
    for name, secret in os.environ.items():
        if len(secret) >= SHORTEST_SECRET and secret in text and _SECRET_NAME.search(name):
            raise BadSetting(
                f"{setting}: it holds the value of {name}, a secret, and settings are shown; write another value"
            )


def panel_path() -> str:
    """``FORECAST_PANEL``: a CSV or Parquet file, or a folder of them read as one panel. Raises BadInput for a URL."""
    named = os.environ.get("FORECAST_PANEL")
    return checked_path(named, variable="FORECAST_PANEL") if named else str(local_root() / "raw")


def local_root() -> Path:
    """Return the data root, or the user's cache where that is no local folder."""
    root = data_dir()
    return Path(expanded("~/.cache/forecast_assets", variable="HOME") if "://" in root else root)


def macro_path() -> str:
    """``FORECAST_MACRO``: a CSV with Date, VIX, US10Y, US2Y; empty where there is none. Raises BadInput for a URL."""
    return checked_path(os.environ.get("FORECAST_MACRO") or "", variable="FORECAST_MACRO")


def covariates_path() -> str:
    """``FORECAST_COVARIATES``: YAML that declares own series; empty: ``covariates.yaml`` in the data root, if it is there.

    Raises as `checked_path`.
    """
    return checked_path(os.environ.get("FORECAST_COVARIATES") or "", variable="FORECAST_COVARIATES")


def universe_path() -> str:
    """``FORECAST_UNIVERSE``: a CSV with Ticker, From, To; empty: all are always members. Raises as `checked_path`."""
    return checked_path(os.environ.get("FORECAST_UNIVERSE") or "", variable="FORECAST_UNIVERSE")


def sectors_path() -> str:
    """``FORECAST_SECTORS``: a CSV with Ticker, Sector, From; empty: the panel's own labels. Raises as `checked_path`."""
    return checked_path(os.environ.get("FORECAST_SECTORS") or "", variable="FORECAST_SECTORS")


def rivals_path() -> str:
    """``FORECAST_RIVALS``: folder of rivals' forecasts; empty: ``rivals`` in the data root. Raises as `checked_path`."""
    return checked_path(os.environ.get("FORECAST_RIVALS") or "", variable="FORECAST_RIVALS")


def chronos_weights() -> str:
    """``FORECAST_CHRONOS``: folder of a Chronos model's weights, or its id on the hub. Raises as `checked_path`."""
    return checked_path(os.environ.get("FORECAST_CHRONOS") or "", variable="FORECAST_CHRONOS")


def fx_path() -> str:
    """``FORECAST_FX``: a file of exchange rates, pairs such as EURUSD; empty: none. Raises as `checked_path`."""
    return checked_path(os.environ.get("FORECAST_FX") or "", variable="FORECAST_FX")


def ui_hosts() -> frozenset[str]:
    """``FORECAST_UI_HOSTS``: names of the Dagster UI's server beyond loopback, separated by commas, without ports.

    Raises BadSetting for what is no host name.
    """
    named = [host for part in (os.environ.get("FORECAST_UI_HOSTS") or "").split(",") if (host := part.strip().lower())]
    for host in named:
        if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
            raise BadSetting(
                f"FORECAST_UI_HOSTS: {host!r} is no host name; write dagster.example.org, without https:// and a port"
            )
    return frozenset(named)


def uses_demo_panel() -> bool:
    """Whether a run reads the synthetic panel: a demo profile, and no panel named."""
    return profile_name() in DEMO_PROFILES and not names_panel()


def names_panel() -> bool:
    """Whether ``FORECAST_PANEL`` names the raw panel."""
    return bool(os.environ.get("FORECAST_PANEL"))


def as_of() -> AsOf | None:
    """``FORECAST_AS_OF``: the date or time that a replay stands at; None for the real time."""
    named = os.environ.get("FORECAST_AS_OF")
    if not named:
        return None
    try:
        return AsOf.parse(named)
    except ValueError as error:
        raise BadSetting(
            f"FORECAST_AS_OF: {named!r} is no date and no time; write it like 2025-07-24 or 2025-07-24T22:00-04:00"
        ) from error


def engine_name() -> str:
    """``FORECAST_ENGINE``: where fits and trials run, ``local`` (processes of this machine) or ``ray`` (a cluster).

    Raises BadSetting for any other value, and for ``ray`` where it is not installed.
    """
    named = os.environ.get("FORECAST_ENGINE") or "local"
    if named not in ENGINES:
        raise BadSetting(f"FORECAST_ENGINE: {named!r} is no engine; choose {' or '.join(ENGINES)}")
    if named == "ray" and (find_spec("ray") is None or find_spec("dagster_ray") is None):
        raise BadSetting("FORECAST_ENGINE: ray is not installed; pip install 'forecast-assets[ray]', or choose local")
    return named


def workers() -> int | None:
    """``FORECAST_WORKERS``: processes that fit networks at the same time on this machine; None: as many as it has cores for.

    Raises BadSetting for what is no whole number from 1 on.
    """
    named = os.environ.get("FORECAST_WORKERS")
    if not named:
        return None
    if not named.isdecimal() or int(named) < 1:
        raise BadSetting(f"FORECAST_WORKERS: {named!r} is no number of processes; write 1, 2, ...")
    return int(named)


def shared_settings() -> list[str]:
    """Return the names of the variables to send with a step to another machine, without those that hold a secret: what is
    sent with a job can be read on the cluster's pages, so each machine has its own secrets. Nor the number of processes.
    """
    own = {*SECRET_SETTINGS, "FORECAST_WORKERS"}
    named = (name for name in os.environ if name.startswith("FORECAST_") and name not in own)
    return sorted([*named, *(name for name in ("DAGSTER_HOME", "WANDB_MODE", "WANDB_DIR") if name in os.environ)])


def wandb_dir() -> str:
    """``WANDB_DIR``: folder of offline runs; by default the data root, or "" where that is no local folder."""
    root = data_dir()
    named = os.environ.get("WANDB_DIR")
    return expanded(named, variable="WANDB_DIR") if named else ("" if "://" in root else root)


def checkpoint_folder() -> Path:
    """Return the folder in which fits keep their last finished epoch."""
    return local_root() / "checkpoints"
