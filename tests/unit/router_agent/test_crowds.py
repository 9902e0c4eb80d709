"""Routers with more flows than are settled with every event: all get their power, however many begin."""

from dataclasses import replace

from digitalgrid.model import CircuitGeneration, FlowState, HopSnapshot, ResultCode
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


def test_what_changes_in_a_crowd_leaves_the_flows_in_order_and_nothing_of_what_is_gone() -> None:
    configs = (router("a", ("ab", "b")), router("b", ("ab", "a")))
    network = DeviceNetwork(configs)
    network.run(NS_PER_S)
    reserved_a: dict[tuple[str, str], float] = {}
    hops: dict[CircuitGeneration, dict[str, HopSnapshot]] = {}
    for number in range(1, 31):
        key = CircuitGeneration(number, 1)
        hops[key] = circuit_hops(key, number, configs, 1e3, reserved_a)
        assert network.program(hops[key], number)
    network.run(NS_PER_S)
    # Others of the same circuits, in one transaction, then all the older ones away in another.
    newer = [
        circuit_hops(CircuitGeneration(number, 2), 100 - number, configs, 1e3, reserved_a)
        for number in range(5, 15)
    ]
    for name in ("b", "a"):
        network.stage(name, 99, *(each[name] for each in newer))
        assert network.commit(name, 99).code is ResultCode.OK
    network.run(NS_PER_S)
    for name in ("b", "a"):
        network.withdraw(name, *(CircuitGeneration(number, 1) for number in range(1, 15)))
        device = network.nodes[name].device
        numbers = [*range(15, 31), *range(14, 4, -1)]
        assert [flow.key.circuit_id for flow in device.flows] == numbers
        assert {flow.lender or flow.heir for flow in device.flows} == {None}
        assert device.fault() == ""
    network.run(NS_PER_S)
    assert all(node.device.fault() == "" for node in network.nodes.values())
