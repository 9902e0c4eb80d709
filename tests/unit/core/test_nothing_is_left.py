"""Nothing is left of what has ended: whoever comes and goes for ever fills no table of the core.

A table that forgets to forget grows by a little with each circuit or session; nobody notices for months. So all tables
are looked at, whatever they are, by way of :func:`tests.support.sizes.sizes`.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest

from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.admin import DrainOrder
from controller.core.settings import CoreSettings
from digitalgrid.gridfile import Grid
from digitalgrid.model import LinkAdvertisement, RouterLsa, SourceAdvertisement
from digitalgrid.units import NS_PER_S
from tests.support.grids import mesh
from tests.support.simulated_network import SimulatedNetwork
from tests.support.sizes import sizes

GRID: Grid = mesh()
LINKS = [each.id for each in GRID.links]
# Lives before the first look, in which tables get the size that they have with what stands, and until the second.
BEFORE, LIVES = 2, 5
# What circuits that have ended are remembered by, 10,000 of them.
REMEMBERED = {
    *("._book._ended", "._book._noted", "._book._settled"),
    *("._book._requests", "._book._requests[][]", "._book.circuits"),
}


def settle(network: SimulatedNetwork, seconds: int, step_s: int = 1) -> None:
    network.deliver_all()
    for _ in range(0, seconds, step_s):
        network.advance(step_s * NS_PER_S)
        network.deliver_all()


def circuits_live(network: SimulatedNetwork, life: int) -> None:
    """Of all kinds, through faults, clouds, drains, changes and a router that crashes; then all are released."""
    for number, load in enumerate(GRID.loads * 2):
        request = PowerRequest(
            f"request-{life}-{number}",
            load.id,
            (2e5, 5e5, 1e6, 9e7)[number % 4],
            allow_split=number % 6 == 0,
            setup_priority=number % 3,
            hold_priority=number % 3,
            floor_w=1e5 if number % 2 else 0.0,
            protect=(None, Against.LINK, Against.ROUTER)[number % 3],
            hold_ms=3000 if number in (2, 4) else None,
            # Some end within this life, others long after they are released.
            until_unix_ns=network.now_ns + (5, 10**6)[number % 2] * NS_PER_S
            if number % 5 < 3
            else None,
        )
        with suppress(Refusal):
            network.request(request)
    settle(network, 2)
    network.cut(LINKS[life % len(LINKS)])
    network.cut(LINKS[(life + 2) % len(LINKS)])
    settle(network, 2)
    for link_id in tuple(network.grid.cut):
        network.mend(link_id)
    source = GRID.sources[0]
    network.dim(source.id, source.max_power_w / 3)
    settle(network, 2)
    network.dim(source.id, source.max_power_w)
    drained = LINKS[(life + 1) % len(LINKS)]
    with suppress(Refusal):
        network.event(lambda core, now_ns: core.drain(DrainOrder(drained), now_ns))
        settle(network, 2)
        network.event(lambda core, now_ns: core.undrain(drained, now_ns))
    for circuit in tuple(network.core.questions.standing):
        with suppress(Refusal):
            network.event(lambda core, now_ns: core.change(circuit.circuit_id, 3e5, now_ns))  # noqa: B023
    crashed = tuple(network.grid.routers)[life % len(network.grid.routers)]
    network.kill_router(crashed)
    settle(network, 2)
    network.restart_router(crashed)
    network.connect(crashed)
    settle(network, 2)
    for circuit in tuple(network.core.questions.standing):
        network.release(circuit.circuit_id)
    settle(network, 60, step_s=5)
    assert not network.core.questions.standing
    assert len(network.core.questions.circuits) >= 5 * (life + 1)


def strangers_come(network: SimulatedNetwork, life: int) -> None:
    """Routers of nobody advertise lines to here, sources, and what others own; they go, and are forgotten."""
    for number in range(4):
        router_id = f"stranger-{life}-{number}"
        links = tuple(
            LinkAdvertisement(f"{end}-{router_id}", end, 0.1, 20e3, 300.0) for end in ("r1", "r2")
        )
        claimed = LinkAdvertisement(LINKS[0], "r1", 0.1, 20e3, 300.0)
        sources = (SourceAdvertisement(f"source-{router_id}", 1e6),)
        lsa = RouterLsa(router_id, 1, 1, 0.97, (*links, claimed), sources)
        network.event(lambda core, now_ns: core.on_connected(router_id, now_ns, b"x"))  # noqa: B023
        network.event(lambda core, now_ns: core.on_lsa(lsa, now_ns))  # noqa: B023
        network.event(lambda core, now_ns: core.on_sync_done(router_id, now_ns))  # noqa: B023
        settle(network, 2)
        network.event(lambda core, now_ns: core.on_disconnected(router_id, now_ns))  # noqa: B023
        network.event(lambda core, now_ns: core.forget_router(router_id, now_ns))  # noqa: B023
    settle(network, 2)


def somebody_answers_nothing(network: SimulatedNetwork, _life: int) -> None:
    """A router that advertises, and keeps its session, and never says what it runs."""
    lsa = RouterLsa("mute", 1, 1, 0.97)
    if not network.core.questions.is_connected("mute"):
        network.event(lambda core, now_ns: core.on_connected("mute", now_ns, b"x"))
        network.event(lambda core, now_ns: core.on_lsa(lsa, now_ns))
        network.event(lambda core, now_ns: core.on_sync_done("mute", now_ns))
    for _ in range(3):
        asked = network.event(lambda core, now_ns: core.reconcile((), now_ns, dry_run=True))
        network.advance(10 * NS_PER_S)
        network.event(lambda core, now_ns: core.abandon_reads(asked.reads))  # noqa: B023
    settle(network, 5)


@pytest.mark.parametrize("live", [circuits_live, strangers_come, somebody_answers_nothing])
def test_whoever_comes_and_goes_leaves_nothing_in_any_table(
    live: Callable[[SimulatedNetwork, int], None],
) -> None:
    # Nobody's advertisement grows old, for the network is quiet while time goes by.
    network = SimulatedNetwork.running(GRID, CoreSettings(lsa_max_age_ns=10**6 * NS_PER_S))
    for life in range(BEFORE):
        live(network, life)
    before = sizes(network.core)
    for life in range(BEFORE, BEFORE + LIVES):
        live(network, life)
    after = sizes(network.core)
    grown = {
        path: (before[path], entries)
        for path, entries in after.items()
        # What was not there at all is made when it is needed.
        if before[path] and entries >= before[path] + LIVES and path not in REMEMBERED
    }
    assert grown == {}
