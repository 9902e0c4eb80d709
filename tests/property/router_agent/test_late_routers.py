"""Lateness is no fault: routers that get no time, mostly for milliseconds and now and then for seconds, keep lines."""

import random
from collections.abc import Callable, Sequence

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.effects import Effect
from router_agent.device.remark import Remark
from tests.support.device_network import DeviceNetwork, circuit_hops, router
from tests.support.missing_energy import LOAD, TwoWays

CIRCUITS = 20
# Of what a generation has reserved: by that it charges.
TRICKLE = 0.1
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


def hold_up_any(ways: TwoWays, draw: random.Random) -> float:
    """Some router gets no time for a while, less than is in its buffers; returns what the load lacks."""
    (missing,) = ways.missing_ms(draw.uniform(150, 300))
    name = draw.choice(sorted(ways.network.nodes))
    ways.network.stand_still(name, round(draw.uniform(10, 150) * NS_PER_MS))
    (after,) = ways.missing_ms(200)
    return missing + after


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("way", [0, 1])
def test_a_planned_move_costs_nothing_while_no_router_stands_still_for_longer_than_its_cushion(
    seed: int, way: int
) -> None:
    """Over the same way or the other, beside a standby; one router after the other gets no time."""
    draw = random.Random(seed)
    ways = TwoWays(3)
    ways.program(1, 0, trickle=TRICKLE)
    ways.program(2, 1 - way, standby=True, trickle=TRICKLE)
    ways.run_ms(8_000 + draw.uniform(0, 100))
    ways.program(3, way, trickle=TRICKLE)
    missing_ms = sum(hold_up_any(ways, draw) for _ in range(14))
    sink = ways.network.nodes[LOAD]
    assert [flow.demand_w > 0 for flow in sink.device.flows] == [False, False, True]
    ways.network.drain(LOAD, CircuitGeneration(1, 1))
    missing_ms += sum(hold_up_any(ways, draw) for _ in range(2))
    for name in ways.ways[0]:
        ways.network.withdraw(name, CircuitGeneration(1, 1))
    missing_ms += hold_up_any(ways, draw)
    assert missing_ms == pytest.approx(0.0, abs=0.01)
    assert not any(status.state is FlowState.SWITCHED for _, status in sink.statuses)
    ways.assert_sound()
