"""Whether the controller sees the whole grid, as its clients would see it."""

import asyncio
import time
from collections.abc import Callable, Iterable

from digitalgrid.client import AsyncPowerClient
from digitalgrid.client.errors import ControllerUnreachable
from digitalgrid.gridfile import Grid
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import Unhealthy

# Between two looks at the network (s).
_POLL_S = 0.1
# For one of these looks (s): a controller that is starting is asked again.
_CALL_TIMEOUT_S = 2.0


def missing_from(topology: pb.Topology, grid: Grid) -> list[str]:
    """What the controller does not know of this grid, or knows as down; nothing where all is well."""
    connected = (router.router_id for router in topology.routers if router.connected)
    links_up = (link.link_id for link in topology.links if link.up)
    return [
        *_missing("router", (router.id for router in grid.routers), connected),
        *_missing("link", (link.id for link in grid.links), links_up),
        *_missing("source", (s.id for s in grid.sources), (s.source_id for s in topology.sources)),
        *_missing("load", (load.id for load in grid.loads), (x.load_id for x in topology.loads)),
    ]


async def wait_until_healthy(
    client: AsyncPowerClient,
    grid: Grid,
    timeout_s: float,
    require_running: Callable[[], None] = lambda: None,
) -> None:
    """Return once every router has its session, and every link is up at both ends.

    Unhealthy (also a TimeoutError), naming what is missing, where that takes too long;
    ``require_running`` raises it as soon as that is known to be in vain.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        require_running()
        try:
            missing = missing_from(await client.get_topology(), grid)
        except ControllerUnreachable as error:
            missing = [f"answer of the controller ({error})"]
        if not missing:
            return
        if time.monotonic() >= deadline:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise Unhealthy(
                f"after {timeout_s:g} s there is still no {', no '.join(missing[:5])}{more};"
                " see the logs in the run directory"
            )
        await asyncio.sleep(_POLL_S)


def wait_healthy(emulation: Emulation, northbound: str, timeout_s: float) -> None:
    """The same of an emulation, for those without an event loop; Unhealthy at once where a part of it has ended."""

    async def wait() -> None:
        async with AsyncPowerClient(northbound, timeout_s=_CALL_TIMEOUT_S) as client:
            await wait_until_healthy(client, emulation.grid, timeout_s, emulation.require_running)

    asyncio.run(wait())


def _missing(kind: str, wanted: Iterable[str], found: Iterable[str]) -> list[str]:
    known = set(found)
    return [f"{kind} {each}" for each in wanted if each not in known]
