"""A mechanism that dawdles, in a worker that is begun anew: what it runs there is found by its name, as here."""

import os

from trading.exchange import clearer
from trading.market.outcome import Clear, Cleared
from trading.mechanisms.network import MarketNetwork

DAWDLING = "dawdling"


def cleared(asked: Clear, network: MarketNetwork) -> Cleared:
    """As any other would, but for one by a mechanism that never ends: it reads what nobody ever writes."""
    if asked.mechanism == DAWDLING:
        silence, _ = os.pipe()
        os.read(silence, 1)
    return clearer._cleared(asked, network)
