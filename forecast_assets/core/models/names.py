"""The networks of the ablation: the list that jobs, pools, reports and experiments are made from.

Beside an entry here, a network has a constructor (``registry``), a field of ``Settings``, settings in ``conf`` and an asset
(``assets/networks.py``); a test holds them against each other.
"""

from typing import NamedTuple


class Network(NamedTuple):
    """A network of the ablation."""

    asset: str
    family: str


EXPERIMENTS = {
    "B0": Network("b0_mlp", "mlp"),
    "B1": Network("b1_tft", "tft"),
    "B2": Network("b2_tft_ticker", "tft"),
    "B3": Network("b3_tft_sector", "tft"),
    "B4": Network("b4_patchtst", "patchtst"),
    "B5": Network("b5_moe", "tft"),
    "B6": Network("b6_graph", "tft"),
    "B7": Network("b7_maml", "tft"),
}

NETWORKS = tuple(network.asset for network in EXPERIMENTS.values())
MLP_BASELINE, *_CANDIDATES = NETWORKS
CANDIDATES = tuple(_CANDIDATES)
"""Those that an ensemble may be made of: all but the rival."""
