"""A network with three ways from its plant to its town, and circuits on it that are protected."""

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from digitalgrid.gridfile import loads_grid
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support import settling
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

# Three ways from the plant to town, one of which shares a duct with another; and a house at the end of a stub.
THREE_WAYS = """
name: three-ways
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 300, resistance_ohm: 0.2}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}, {id: r5}, {id: r6}]
links:
  - {id: r1-r2, a: r1, b: r2}
  - {id: r2-r5, a: r2, b: r5, risk_groups: [duct]}
  - {id: r1-r3, a: r1, b: r3, resistance_ohm: 0.3}
  - {id: r3-r5, a: r3, b: r5, resistance_ohm: 0.3, risk_groups: [duct]}
  - {id: r1-r4, a: r1, b: r4, resistance_ohm: 0.9}
  - {id: r4-r5, a: r4, b: r5, resistance_ohm: 0.9}
  - {id: r5-r6, a: r5, b: r6}
sources:
  - {id: plant, router: r1, max_power_w: 6e6}
loads:
  - {id: town, router: r5, power_w: 6e6}
  - {id: house, router: r6, power_w: 1e6}
"""


def settle(network: SimulatedNetwork, duration_ns: int = 2 * NS_PER_S) -> None:
    settling.settle(network, duration_ns)


def three_ways() -> SimulatedNetwork:
    return SimulatedNetwork.running(loads_grid(THREE_WAYS, "three-ways"))


def protected(
    network: SimulatedNetwork,
    power_w: float = 1e6,
    protect: Against = Against.LINK,
    request_id: str = "request",
) -> Circuit:
    (circuit,) = network.request(PowerRequest(request_id, "town", power_w, protect=protect))
    network.deliver_all()
    network.advance(100 * NS_PER_MS)
    network.deliver_all()
    assert circuit.guard.word is Protection.PROTECTED, circuit.guard
    return circuit


def path(circuit: Circuit) -> tuple[str, ...]:
    return newest(circuit).route.router_ids


def standby_path(circuit: Circuit) -> tuple[str, ...]:
    return there(circuit.standby()).route.router_ids


def roles_at(network: SimulatedNetwork, router_id: str) -> dict[int, bool]:
    """Of the generations that a router holds, whether each stands by."""
    return {hop.generation: hop.standby for hop in network.grid.routers[router_id].table.hops}
