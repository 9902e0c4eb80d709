"""Drains in a simulated network: what an operator does, what he is told, and time that passes meanwhile."""

from typing import Any

from controller.core.network.admin import AdminState, DrainOrder, Hindrance
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork


def drain(network: SimulatedNetwork, id_: str, **how: Any) -> bool:
    order = DrainOrder(id_, **how)
    return network.event(lambda core, now_ns: core.drain(order, now_ns))


def undrain(network: SimulatedNetwork, id_: str) -> None:
    network.event(lambda core, now_ns: core.undrain(id_, now_ns))


def state(network: SimulatedNetwork, id_: str) -> AdminState:
    word = network.core.questions.drains.get(id_)
    return word.state if word is not None else AdminState.IN_SERVICE


def blocks(network: SimulatedNetwork, id_: str) -> dict[int, Hindrance]:
    return {each.circuit_id: each.why for each in network.core.questions.drain_blocks(id_)}


def run(network: SimulatedNetwork, duration_ns: int = 3 * NS_PER_S) -> None:
    settle(network, duration_ns)


def decided(network: SimulatedNetwork, action: str) -> list[tuple[str, str]]:
    run(network, NS_PER_MS)
    return [(e.subject, e.decided) for e in network.store.audit if e.action == action]
