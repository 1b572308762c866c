"""Compose a run's settings from conf/ with Hydra."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from forecast_assets.core.errors import BadSetting
from forecast_assets.core.models.catalogue import CATALOGUE, EARLIER_NAMES, FAMILIES
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.settings import Settings, section_type
from forecast_assets.core.specs import Spec, refuse_password
from forecast_assets.model_files import SECTION, expanded
from forecast_assets.resources import environment

CONF = Path(__file__).parent.parent / "conf"
RENAMED = EARLIER_NAMES | {"shadow_sessions": "comparison_sessions"}
"""Settings by their names in earlier releases, which resemble other settings more than their own of today."""


def profiles() -> list[str]:
    """Names of the profiles that ship with the project."""
    return sorted(path.stem for path in (CONF / "profile").glob("*.yaml"))


def compose_settings(profile: str, overrides: list[str]) -> Settings:
    """The settings of ``profile`` with Hydra ``overrides`` such as ``b2_tft_ticker.epochs=5``.

    Raises BadSetting, with the accepted names, for an unknown profile, key or value, and for an override that would read
    something else than itself. Every stage of a run asks for the same ones, and Hydra takes as long to compose them as the
    rest of a stage that computes nothing.
    """
    return _composed(profile, tuple(overrides))


@functools.lru_cache(maxsize=32)
def _composed(profile: str, overrides: tuple[str, ...]) -> Settings:
    environment.refuse_secret(profile, setting="profile")
    for override in overrides:
        check_override(override)
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if profile not in profiles():
        raise BadSetting(f"FORECAST_PROFILE: there is no profile {profile!r}; choose one of {', '.join(profiles())}")
    add_spec_defaults()
    try:
        with initialize_config_dir(str(CONF)):
            composed = compose("config", overrides=[f"profile={profile}", *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        first = " ".join(str(error).split("\n")[:2]).rstrip(". ")
        raise BadSetting(f"settings: {first}; `forecast-assets knobs` lists what can be set") from error
    return validated(cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True)))


def validated(content: dict[str, Any]) -> Settings:
    """Return what Hydra composed, resolved, as settings. Raises BadSetting for a value that does not fit."""
    sections = {name: section for name, section in content.items() if name not in (*FAMILIES, SECTION)}
    loaded = {model.file for model in CATALOGUE}
    if late := [file for file in expanded(content.get(SECTION)) if file not in loaded]:
        raise BadSetting(
            f"settings: models: {late[0]} was not loaded when this process began; choose the profile with FORECAST_PROFILE, "
            "or name the file with FORECAST_MODELS"
        )
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        raise BadSetting(describe(error)) from error


def add_spec_defaults() -> None:
    """Tell Hydra every setting's default, as the config ``specs`` that conf/config.yaml begins with."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("specs", _spec_defaults(), replace=True)


def check_override(override: str) -> None:
    """Raise BadSetting for an override that is more than a setting and its value, or a group and one of its files.

    Hydra would resolve ``${oc.env:NAME}`` to a secret, and read YAML from where ``hydra.searchpath`` or ``profile=../..``
    lead; its errors quote what they can't use, so this comes before.
    """
    setting, _, value = override.lstrip("+~").partition("=")
    require_plain(setting, value)
    if setting.partition(".")[0] == "hydra":
        raise BadSetting(f"settings: there is no setting {setting!r}; Hydra itself is not configured here")
    group = setting.partition("@")[0]
    if (CONF / group).is_dir() and group in groups():
        check_group(group, value)
    elif "." in setting or setting not in (*Settings.model_fields, *FAMILIES, SECTION):
        check_setting(setting, also=(*groups(), SECTION))


def require_plain(setting: str, value: str) -> None:
    """Raise BadSetting, without the value, for one that refers to something else (``${...}``) or holds a secret."""
    if "${" in f"{setting}{value}":
        raise BadSetting(
            f"settings: {setting.partition('$')[0]}: a value can't refer to anything by ${{...}}; write the value itself"
        )
    environment.refuse_secret(setting, setting="settings")
    environment.refuse_secret(value, setting=f"settings: {setting}")
    refuse_password(value, setting=setting)


def groups() -> list[str]:
    """Return the config groups of conf/, such as ``profile`` and ``model/tft``."""
    return sorted({path.parent.relative_to(CONF).as_posix() for path in CONF.glob("*/**/*.yaml")})


def check_group(group: str, value: str) -> None:
    """Raise BadSetting, with the nearest, for a file that ``group`` does not have."""
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for option in value.split(","):
        if option not in options:
            raise BadSetting(f"{group}: there is no {option!r}; the nearest is {nearest_name(option, options)}")


def check_setting(key: str, *, also: Sequence[str] = ()) -> None:
    """Raise BadSetting, with the nearest name, for a setting that does not exist.

    ``also``: further keys that are accepted.
    """
    if key.partition(".")[0] == "hydra":
        return
    known = [f"{name}.{setting}" for name in Settings.model_fields for setting in section_type(name).model_fields]
    known += [f"{family}.{setting}" for family, spec in _families().items() for setting in spec.model_fields]
    known += also
    if key not in known and not any(key.startswith(f"{name}.") for name in known):
        raise no_such_setting(key, known)


def no_such_setting(key: str, known: Iterable[str]) -> BadSetting:
    """Return the error for a setting that is not among ``known``: its name today, or else the nearest."""
    section, dot, name = key.rpartition(".")
    if (today := f"{section}{dot}{RENAMED.get(name)}") in (known := list(known)):
        return BadSetting(f"settings: {key!r} was renamed; write {today}")
    return BadSetting(f"settings: there is no setting {key!r}; the nearest is {nearest_name(key, known)}")


def _families() -> dict[str, type[Spec]]:
    """Family -> the spec of its first network, which the others extend."""
    return {family: next(model.spec for model in CATALOGUE if model.family == family) for family in FAMILIES}


def _spec_defaults() -> dict[str, Any]:
    """Return every setting that has a default, so that Hydra knows its name and a profile need not repeat it.

    A network takes from the section of its family what it shares with it, unless it is set for the network itself.
    """
    families = _families()
    defaults = {family: _defaults(spec.model_fields) for family, spec in families.items()}
    for section in Settings.model_fields:
        defaults[section] = _defaults(section_type(section).model_fields)
    for model in (model for model in CATALOGUE if model.family):
        shared = families[model.family].model_fields
        defaults[model.key] |= {name: f"${{{model.family}.{name}}}" for name in shared}
    return defaults


def _defaults(fields: dict[str, FieldInfo]) -> dict[str, Any]:
    optional = {name: field for name, field in fields.items() if not field.is_required()}
    # Null for an empty mapping, which Hydra would not let an override fill.
    known = {name: None if field.default_factory else field.get_default() for name, field in optional.items()}
    return TypeAdapter(dict[str, Any]).dump_python(known, mode="json")


def describe(error: ValidationError) -> str:
    """Return a pydantic error as one sentence: which setting, what is wrong with it, what it was given."""
    first = error.errors()[0]
    setting = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"settings: {setting}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}{more}"


class SettingsResource(dg.ConfigurableResource):
    """The settings of a run. In the launchpad: a profile, and Hydra overrides on top of it."""

    profile: str = Field(default="", description="a file in conf/profile; empty: FORECAST_PROFILE, else demo")
    overrides: list[str] = Field(default=[], description="Hydra overrides, such as b2_tft_ticker.epochs=5")

    def profile_name(self) -> str:
        """The profile in force."""
        return self.profile or environment.profile_name()

    def settings(self, tuned: Sequence[str] = ()) -> Settings:
        """Compose and validate; ``tuned`` are overrides that the run's own come after.

        A replay has the corrections that were known then: they enter input keys as settings do.
        """
        settings = compose_settings(self.profile_name(), [*tuned, *self.overrides])
        as_of = environment.as_of()
        return settings.model_copy(update={"panel": settings.panel.known_on(as_of.day)}) if as_of else settings
