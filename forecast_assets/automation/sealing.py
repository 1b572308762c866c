"""Sealing the nights that have been made, and keeping the seals where the user says: after each run, and by the daemon.

What can't be kept is a sentence and an alert, and tried again each time; the night itself is done.
"""

import datetime as dt
from dataclasses import dataclass

from forecast_assets.automation.alerts import Observation, asset_link
from forecast_assets.core.errors import BadSetting, CorruptArtefact
from forecast_assets.core.specs import AlertSpec
from forecast_assets.resources import environment
from forecast_assets.resources.channels.channel import Message
from forecast_assets.resources.seal_places import NotSealed, seal_places
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST
from forecast_assets.store.seals import Seal, read_seals, seal_nights
from forecast_assets.store.store import Store

SEALS = "seals"
"""Key of the alert and of the messages."""


@dataclass(frozen=True)
class Sealing:
    """What became of the seals: those just made, the newest of all, and what could not be done, in sentences."""

    made: list[Seal]
    newest: Seal | None
    problems: list[str]

    def lines(self) -> list[str]:
        """Return what to say of it."""
        return [f"sealed {seal.day}: {seal.head}" for seal in self.made] + [f"seals: {what}" for what in self.problems]


def keep_sealed(store: Store, root: str, *, now: dt.datetime, panel: str = "") -> Sealing:
    """Seal what is not sealed yet below a data root, and add to each place of FORECAST_SEALS what it lacks.

    ``panel``: its name, where a deployment has several.
    """
    try:
        made = seal_nights(store, root, now=now)
        seals = read_seals(root)
    except (CorruptArtefact, OSError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Sealing([], None, [f"no night is sealed: {why}"])
    problems = []
    try:
        places = seal_places(environment.seals(), panel=panel) if seals else []
    except BadSetting as error:
        places, problems = [], [str(error)]
    for place in places:
        try:
            place.keep(seals)
        except NotSealed as error:
            problems.append(f"{error}; the seals are kept there at the next try")
    return Sealing(made, seals[-1] if seals else None, problems)


def seal_message(seal: Seal, *, alerts: AlertSpec) -> Message:
    """Return the message of a night's seal."""
    sentence = (
        f"{seal.head} is the seal of the night of {seal.day} and of all before it, made at {seal.at}. Kept here, it shows "
        "later whether a forecast was altered, dropped or dated otherwise: forecast-assets verify --seals."
    )
    link = asset_link(NIGHTLY_FORECAST, seal.day, alerts)
    title = f"The night of {seal.day} is sealed"
    return Message(f"{SEALS}.{seal.head}", SEALS, seal.day, "sealed", "information", title, sentence, link)


def seals_observation(sealing: Sealing, *, alerts: AlertSpec) -> Observation:
    """Return whether a seal could not be kept."""
    day = sealing.newest.day if sealing.newest else "none"
    said = " ".join(f"{what}." for what in sealing.problems) or "The seals are kept in every place."
    return Observation(SEALS, bool(sealing.problems), day, said, asset_link(NIGHTLY_FORECAST, None, alerts))
