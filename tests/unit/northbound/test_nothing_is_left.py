"""Nothing is left of calls, watches, circuits and routers that have come and gone, in any table of the services."""

from collections import Counter

import pytest

from controller.metrics.circuit_tallies import CircuitTallies
from digitalgrid.client import AsyncPowerClient
from digitalgrid.client.errors import RequestRefused
from digitalgrid.model import LinkAdvertisement, RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until
from tests.support.sizes import sizes

BEFORE, LIVES = 2, 5
# Circuits that have ended, of which 10,000 are remembered with their requests, and marks, of which 8,192 are; what was
# counted of circuits goes with them. The store of this test keeps all.
REMEMBERED = {
    *("._book._ended", "._book._noted", "._book._settled", "._book.circuits"),
    *("._book._requests", "._book._requests[][]", "._marks._kept"),
    "._store.changes",
    *(f"tallies.{name}" for name in ("_set_up", "_missing", "_interruptions")),
}


async def ask(client: AsyncPowerClient, life: int) -> None:
    for number in range(2):
        request = pb.PowerRequest(
            request_id=f"request-{life}-{number}", sink_id="town", power_w=1e5
        )
        (circuit,) = (await client.request_power(request)).circuits
        await client.change_circuit(circuit.circuit_id, 2e5)
        await client.release_circuit(circuit.circuit_id)
    with pytest.raises(RequestRefused):
        await client.get_circuit(10**6 + life)
    await client.get_topology()
    await client.read_meters()


async def live(api: Northbound, life: int) -> None:
    """A client that watches, asks for what is and what is not to be had, and hangs up; a router of nobody."""
    async with AsyncPowerClient(api.address) as client:
        async for _ in client.watch_circuits():
            async for _ in client.watch_topology():
                await ask(client, life)
                break
            break
    router_id = f"stranger-{life}"
    link = LinkAdvertisement(f"r1-{router_id}", "r1", 0.1, 20e3, 300.0)
    lsa = RouterLsa(router_id, 1, 1, 0.97, (link,))
    api.runtime.attach(router_id, lambda _: None, b"x")
    api.runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))
    api.runtime.detach(router_id)
    await api.client.forget_router(router_id)
    await until(lambda: not api.watched)


@in_loop
async def test_whoever_comes_and_goes_leaves_nothing_in_any_table() -> None:
    async with northbound() as api:
        tallies = CircuitTallies(api.runtime)
        end = tallies.subscribed()
        feeds = api.runtime.feeds
        api.standing = (len(feeds.circuits), len(feeds.topology))
        looks: list[Counter[str]] = []
        for lives in (BEFORE, LIVES):
            for life in range(lives):
                await live(api, 100 * len(looks) + life)
            await until(lambda: not api.runtime.questions.standing)
            tallies.sweep()
            found = sizes(api.services) + sizes(api.server)
            found.update({f"tallies{path}": size for path, size in sizes(tallies).items()})
            looks.append(found)
        end()
        before, after = looks
        grown = {
            path: (before[path], entries)
            for path, entries in after.items()
            if before[path] and entries >= before[path] + LIVES
        }
        assert {path for path in grown if not path.endswith(tuple(REMEMBERED))} == set(), grown
