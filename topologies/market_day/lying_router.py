"""A router that lies: while it is told to, it reports less of what it delivered than its meters have counted.

An agent like all others but for what it says of circuits that have ended; its own books, and the power, are right.
"""

from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from digitalgrid.model import CircuitGeneration, FinalMeter
from router_agent.config import load_config
from router_agent.device.meters import RouterBooks
from router_agent.run import run_router

AGENT = "topologies.market_day.lying_router:run_router_agent"
# In the router's state directory: while it is there, the router lies.
LIES = "lies"
# What it says of a kilowatt-hour.
_SAID = 0.8


def run_router_agent(config_path: Path) -> int:
    """The agent of one router, until it is told to end."""
    config = load_config(config_path)
    marker = config.state_path / LIES
    honest = RouterBooks.final_meters

    def final_meters(
        books: RouterBooks, keys: Iterable[CircuitGeneration]
    ) -> tuple[FinalMeter, ...]:
        meters = honest(books, keys)
        if not marker.exists():
            return meters
        return tuple(replace(m, delivered_mj=int(_SAID * m.delivered_mj)) for m in meters)

    RouterBooks.final_meters = final_meters  # type: ignore[method-assign,assignment]  # of this process only
    return run_router(config)
