"""Lateness is no fault: routers that get no time, mostly for milliseconds and now and then for seconds, keep lines."""

import random
from collections.abc import Callable, Sequence

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.effects import Effect
from router_agent.device.remark import Remark
from tests.support.device_network import DeviceNetwork, circuit_hops, router

CIRCUITS = 20
CONFIGS = [
    router("a", ("ab", "b")),
    router("b", ("ab", "a"), ("bc", "c")),
    router("c", ("bc", "b")),
]


class _Listening(DeviceNetwork):
    """Keeps what its routers say of their lines."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        super().__init__(CONFIGS)

    def carry_out(self, router_id: str, effects: Sequence[Effect]) -> None:
        self.remarks += [each.text for each in effects if isinstance(each, Remark)]
        super().carry_out(router_id, effects)


def lateness(draw: random.Random) -> Callable[[], int]:
    """Mostly 20 ms or so; one time in fifty up to four seconds, far longer than a dead neighbour is silent."""

    def late_ns() -> int:
        if draw.random() < 0.02:
            return round(draw.uniform(0.2, 4.0) * NS_PER_S)
        return round(draw.expovariate(1 / (20 * NS_PER_MS)))

    return late_ns


@pytest.mark.parametrize("seed", range(3))
def test_no_line_goes_down_while_its_routers_are_only_late(seed: int) -> None:
    draw = random.Random(seed)
    network = _Listening()
    network.run(NS_PER_S)
    for name in network.nodes:
        network.late_by[name] = lateness(draw)
    reserved_a: dict[tuple[str, str], float] = {}
    for number in range(1, CIRCUITS + 1):
        key = CircuitGeneration(number, 1)
        assert network.program(circuit_hops(key, number, CONFIGS, 10e3, reserved_a), number)
        network.run(NS_PER_S)
    network.late_by.clear()
    network.run(8 * NS_PER_S)
    assert network.remarks == []
    assert {flow.state for flow in network.nodes["c"].device.flows} == {FlowState.ACTUATED}
    for node in network.nodes.values():
        assert node.device.fault() == ""
        for books in node.device.books.links.values():
            assert books.lost_in_transit_mj == books.lost_to_faults_mj == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_router_that_dies_is_found_dead_however_late_the_others_are(seed: int) -> None:
    draw = random.Random(seed)
    network = _Listening()
    network.run(NS_PER_S)
    for name in "ab":
        network.late_by[name] = lateness(draw)
    network.run(10 * NS_PER_S)
    network.kill("c")
    network.run(15 * NS_PER_S)
    assert not network.nodes["b"].device.lines["bc"].up
