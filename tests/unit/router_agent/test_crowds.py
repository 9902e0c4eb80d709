"""Routers with more flows than are settled with every event: all get their power, however many begin."""

from dataclasses import replace

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.settling import FLOWS_SETTLED_AT_ONCE, PATIENT_NS_A_FLOW
from tests.support.device_network import DeviceNetwork, circuit_hops, router

# More than have their turn within a tick: what waits for a while must not begin to wait anew with each.
TICK_MS = 20
FLOWS = FLOWS_SETTLED_AT_ONCE + 50


def test_all_of_a_crowd_get_their_power_while_others_begin() -> None:
    assert FLOWS * PATIENT_NS_A_FLOW > TICK_MS * NS_PER_MS
    plain = (router("a", ("ab", "b")), router("b", ("ab", "a")))
    configs = [replace(each, tick_interval_ms=TICK_MS) for each in plain]
    network = DeviceNetwork(configs)
    network.run(NS_PER_S)
    reserved_a: dict[tuple[str, str], float] = {}
    for number in range(1, FLOWS + 1):
        hops = circuit_hops(CircuitGeneration(number, 1), number, configs, 10.0, reserved_a)
        assert network.program(hops, number)
        if number % 25 == 0:
            network.run(7 * NS_PER_MS)
    network.run(2 * NS_PER_S)
    told = {status.key.circuit_id: status.state for _, status in network.nodes["b"].statuses}
    assert [key for key, state in told.items() if state is not FlowState.ACTUATED] == []
    assert len(told) == FLOWS
