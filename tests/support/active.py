"""Circuits of the diamond's or ladder's source that stand, and the path that they take."""

from typing import Any

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


def active(
    network: SimulatedNetwork, power_w: float = 2e6, sink: str = "town", **more: Any
) -> Circuit:
    name = f"{sink} {power_w} {len(network.core.questions.circuits)}"
    (circuit,) = network.request(PowerRequest(name, sink, power_w, ("solar",), **more))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def path(circuit: Circuit) -> tuple[str, ...]:
    return newest(circuit).route.router_ids
