"""How likely a ticker is to report soon, for people, as the panel's features have it."""

import math

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

WITHIN = HORIZONS[1]  # sessions: a week
CHANCE = f"announcement_{WITHIN}d"


def announcement_chance(panel: PanelTensors, row: int) -> float | None:
    """Return the probability, at the close of a row, of an announcement within ``WITHIN`` sessions.

    None for a panel without announcements. Two expected ones, which add up to more than one, are one for certain.
    """
    if CHANCE not in panel.feature_names:
        return None
    expected = float(panel.features[row, panel.feature_names.index(CHANCE)])
    return min(expected, 1.0) if math.isfinite(expected) else None


def announcement_sentence(chance: float) -> str:
    """Return a probability in words.

    >>> announcement_sentence(0.617)
    'an announcement is expected within 5 sessions, 62 %'
    """
    return f"an announcement is expected within {WITHIN} sessions, {100 * chance:.0f} %"
