"""Two correct ends of a line whose figures differ, or of which one was late: the line stays, and the books."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration, HopSnapshot
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS, NS_PER_S
from digitalgrid.wire import DemandRecord, PowerRecord, decode, encode
from router_agent.config import RouterConfig
from router_agent.device.line import Line
from router_agent.device.meters import LinkBooks
from router_agent.device.neighbor_state import Demand
from tests.support.device_network import DeviceNetwork, circuit_hops, router

KEY = CircuitGeneration(1, 1)
OTHER = CircuitGeneration(2, 1)
# 10 A at 1 kV.
CAPACITY_W = 10e3


class Pair:
    """a - b, and a circuit from a's source to b's load that fills the line."""

    def __init__(self, *shares_w: float) -> None:
        self.configs = {"a": thin("a", "b"), "b": thin("b", "a")}
        self.network = DeviceNetwork(list(self.configs.values()))
        self.network.run(300 * NS_PER_MS)
        reserved_a: dict[tuple[str, str], float] = {}
        path = [self.configs["a"], self.configs["b"]]
        self.hops: list[dict[str, HopSnapshot]] = []
        for number, share_w in enumerate(shares_w or (CAPACITY_W,), start=1):
            key, power_w = CircuitGeneration(number, 1), 0.97 * share_w
            self.hops.append(circuit_hops(key, number, path, power_w, reserved_a))
            assert self.network.program(self.hops[-1], number)
        self.network.run(2 * NS_PER_S)

    def line(self, name: str) -> Line:
        return self.network.nodes[name].device.lines["ab"]

    def books(self, name: str) -> LinkBooks:
        return self.network.nodes[name].device.read_books(self.network.now_ns).links["ab"]

    def reconfigure(self, name: str, change: Callable[[RouterConfig], RouterConfig]) -> None:
        """Restart one end with other figures; the controller gives it the circuits back as they were reserved."""
        node = self.network.nodes[name]
        node.config = change(node.config)
        self.network.restart(name)
        self.network.run(300 * NS_PER_MS)
        for number, hops in enumerate(self.hops, start=100):
            self.network.stage(name, number, hops[name])
            assert self.network.commit(name, number).code == 1

    def assert_whole(self, limit_w: float = CAPACITY_W) -> None:
        """For ten seconds the line is up and within ``limit_w``, and not a millijoule of the books is missing."""
        before_mj = self.books("b").received_mj
        for _ in range(100):
            self.network.run(100 * NS_PER_MS)
            assert self.line("a").up and self.line("b").up
        carried_w = (self.books("b").received_mj - before_mj) / (10 * MILLIWATTS_PER_W)
        # A packet more or less, which holds a hundredth of a second.
        assert 0.95 * limit_w < carried_w < limit_w * 1.0011
        self.assert_books()

    def assert_books(self) -> None:
        self.network.run_until_all_arrived()
        for name in "ab":
            assert self.network.nodes[name].device.books.imbalance_mj() == 0
            books = self.books(name)
            assert books.frames_refused == books.lost_in_transit_mj == 0
            assert books.oversubscribed_instants == 0
        # Both ends: what left a, arrived or was lost to a fault, or is to go with the next frame.
        under_way_mj = self.line("a").waits_mj
        arrived_mj = self.books("b").received_mj + self.books("b").lost_to_faults_mj
        assert self.books("a").total_mj - under_way_mj == arrived_mj


def thin(name: str, neighbor: str) -> RouterConfig:
    config = router(name, ("ab", neighbor), resistance_ohm=5.0, ampacity_a=10.0)
    return with_link(voltage_v=1e3)(config)


def with_link(**figures: float) -> Callable[[RouterConfig], RouterConfig]:
    def change(config: RouterConfig) -> RouterConfig:
        return replace(config, links=(replace(config.links[0], **figures),))  # type: ignore[arg-type]

    return change


def with_efficiency(efficiency: float) -> Callable[[RouterConfig], RouterConfig]:
    return lambda config: replace(config, efficiency=efficiency)


def test_a_line_that_is_full_outlives_a_worse_converter_at_its_far_end() -> None:
    """Its need is then more than the line carries: it asks for what the line does."""
    pair = Pair()
    pair.assert_whole()
    pair.reconfigure("b", with_efficiency(0.95))
    pair.network.run(NS_PER_S)
    pair.assert_whole()
    (flow,) = pair.network.nodes["b"].device.flows
    assert flow.need_w > 1.02 * CAPACITY_W and flow.asked_w < 1.0001 * CAPACITY_W
    assert pair.books("a").frames_clamped == pair.books("b").frames_clamped == 0


@pytest.mark.parametrize("figures", [{"ampacity_a": 5.0}, {"voltage_v": 500.0}])
def test_a_far_end_that_rates_the_line_lower_asks_for_less_in_all(
    figures: dict[str, float],
) -> None:
    pair = Pair(CAPACITY_W / 2, CAPACITY_W / 4, CAPACITY_W / 4)
    pair.reconfigure("b", with_link(**figures))
    pair.network.run(NS_PER_S)
    pair.assert_whole(CAPACITY_W / 2)


def test_a_line_that_carries_less_serves_floors_first_and_then_by_priority() -> None:
    pair = Pair(*[CAPACITY_W / 4] * 4)
    for hops, (priority, floor) in zip(
        pair.hops, [(0, 0.5), (0, 0.0), (2, 0.0), (1, 0.0)], strict=True
    ):
        for name, hop in hops.items():
            hops[name] = msgspec.structs.replace(
                hop, priority=priority, floor_w=floor * hop.power_w
            )
    pair.reconfigure("b", with_link(ampacity_a=5.0))
    pair.network.run(NS_PER_S)
    asked = [flow.asked_w / (CAPACITY_W / 4) for flow in pair.network.nodes["b"].device.flows]
    assert asked == pytest.approx([0.5, 0.0, 1.0, 0.5], abs=1e-3)
    pair.assert_whole(CAPACITY_W / 2)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize(
    "figures",
    [
        {"ampacity_a": 20.0},
        {"voltage_v": 2e3},
        {"resistance_ohm": 0.01},
        {"resistance_ohm": 9.0},
    ],
)
def test_a_line_that_is_full_outlives_other_figures_at_one_end(
    name: str, figures: dict[str, float]
) -> None:
    pair = Pair(CAPACITY_W / 2, CAPACITY_W / 2)
    # A source whose line loses more still draws only what was reserved, so less arrives.
    pair.reconfigure(name, with_link(**figures))
    pair.network.run(NS_PER_S)
    pair.assert_whole()


@pytest.mark.parametrize("late", ["a", "b", "ab"])
def test_routers_that_stood_still_for_half_a_minute_come_back(late: str) -> None:
    pair = Pair()
    network = pair.network
    for name in late:
        network.delay_to[name] = network.now_ns + 30 * NS_PER_S
    network.run(35 * NS_PER_S)
    pair.assert_whole()


def test_a_far_end_that_wants_and_grants_beyond_reason_gets_what_the_line_carries() -> None:
    pair = Pair()
    line, network = pair.line("a"), pair.network
    for beyond_mw in (11_000_000, 2**62, MAX_INT64):
        # What b says next, with other rates.
        datagram = pair.line("b").state_frames([], [], network.now_ns)[0]
        said = decode(datagram)._replace(
            power=(PowerRecord(OTHER, 0, 0, beyond_mw, False),),
            demands=(DemandRecord(KEY, beyond_mw),),
        )
        network.carry_out(
            "a", network.nodes["a"].device.datagram_received("ab", encode(said), network.now_ns)
        )
        most_mw = 1.01 * CAPACITY_W * MILLIWATTS_PER_W + 4
        assert line.stated.demands == {KEY: Demand(int(most_mw))}
        assert line.stated.grants[OTHER].power_mw == most_mw
        network.run(50 * NS_PER_MS)
    assert pair.books("a").frames_clamped == 3
    pair.assert_whole()
