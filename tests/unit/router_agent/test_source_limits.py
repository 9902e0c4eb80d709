"""A source that drops: its router shares what is left at once, by floors and priorities."""

import itertools

import pytest
from msgspec.structs import replace

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS
from router_agent.device.sink import FlowStatus
from tests.support.device_network import DeviceNetwork, circuit_hops, router

CIRCUITS = 10
POWER_W = 1e6
FLOOR_W = 0.3e6
# By circuit: the youngest of class 2 is younger than all others, which age alone would curtail first.
PRIORITIES = [0, 0, 1, 1, 1, 0, 1, 2, 0, 2]


class Chain:
    """a - b - c - d, ten circuits of a megawatt from a to d; losses so small that shares are seen as they are."""

    def __init__(self) -> None:
        configs = [
            router(name, *links, source_w=15e6, load_w=10e6, resistance_ohm=0.01, efficiency=1.0)
            for name, links in {
                "a": [("ab", "b")],
                "b": [("ab", "a"), ("bc", "c")],
                "c": [("bc", "b"), ("cd", "d")],
                "d": [("cd", "c")],
            }.items()
        ]
        self.network = DeviceNetwork(configs)
        self.network.run(300 * NS_PER_MS)
        reserved_a: dict[tuple[str, str], float] = {}
        txn_ids = itertools.count(1)
        for index, priority in enumerate(PRIORITIES):
            key = CircuitGeneration(index + 1, 1)
            hops = circuit_hops(key, index + 1, configs, POWER_W, reserved_a)
            floor_w = FLOOR_W if priority == 0 else 0.0
            asked = {
                name: replace(hop, priority=priority, floor_w=floor_w) for name, hop in hops.items()
            }
            assert self.network.program(asked, next(txn_ids))
        self.network.run(2000 * NS_PER_MS)

    def limit(self, power_w: float) -> None:
        device = self.network.nodes["a"].device
        effects = device.source_limit("pv-a", power_w, self.network.now_ns)
        self.network.carry_out("a", effects)

    def at_source_w(self) -> list[float]:
        return [flow.ingress_w for flow in self.network.nodes["a"].device.flows]

    def at_sinks_w(self) -> list[float]:
        return [flow.granted_w for flow in self.network.nodes["d"].device.flows]

    def news(self, since_ns: int) -> list[tuple[int, FlowStatus]]:
        return [each for each in self.network.nodes["d"].statuses if each[0] >= since_ns]


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_floors_and_priorities_are_right_at_the_source_within_one_event(chain: Chain) -> None:
    chain.limit(6e6)
    granted_w = chain.at_source_w()
    assert sum(granted_w) == pytest.approx(6e6)
    # Two of class 2 in full; four floors of class 0; what is left goes to class 1, the oldest first.
    by_class: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for priority, power_w in zip(PRIORITIES, granted_w, strict=True):
        by_class[priority].append(power_w / POWER_W)
    assert by_class[2] == pytest.approx([1.0, 1.0], rel=1e-2)
    assert by_class[0] == pytest.approx([0.3, 0.3, 0.3, 0.3], rel=1e-2)
    assert by_class[1] == pytest.approx([1.0, 1.0, 0.8, 0.0], abs=1e-2)


def test_all_sinks_know_within_a_tick_and_power_follows(chain: Chain) -> None:
    before_ns = chain.network.now_ns
    chain.limit(6e6)
    chain.network.run(2 * NS_PER_MS)
    starved = [status for _, status in chain.news(before_ns) if status.state is FlowState.STARVED]
    assert [status.key.circuit_id for status in starved] == [1, 2, 5, 6, 7, 9]
    assert [status.granted_mw / MILLIWATTS_PER_W for status in starved[:2]] == pytest.approx(
        [FLOOR_W] * 2, rel=1e-3
    )
    chain.network.run(1000 * NS_PER_MS)
    assert sum(chain.at_sinks_w()) == pytest.approx(6e6, rel=1e-3)


def test_the_advertisement_says_so_at_once(chain: Chain) -> None:
    adverts = chain.network.nodes["a"].adverts
    chain.limit(6e6)
    assert chain.network.nodes["a"].adverts == adverts + 1
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == 6e6
    chain.limit(6e6)
    assert chain.network.nodes["a"].adverts == adverts + 1


def test_everybody_is_served_again_once_the_source_is_back(chain: Chain) -> None:
    chain.limit(6e6)
    chain.network.run(500 * NS_PER_MS)
    chain.limit(15e6)
    chain.network.run(2 * NS_PER_MS)
    assert chain.at_sinks_w() == pytest.approx([POWER_W] * CIRCUITS)


def test_a_source_gives_no_more_than_it_is_built_for_and_no_less_than_nothing(chain: Chain) -> None:
    chain.limit(99e6)
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == 15e6
    chain.limit(-1.0)
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == 0.0
    assert chain.at_source_w() == [0.0] * CIRCUITS


def test_books_balance_and_no_limit_is_exceeded_however_the_clouds_pass(chain: Chain) -> None:
    for limit_w in (6e6, 2e6, 0.0, 9e6, 12e6, 1e6, 15e6):
        chain.limit(limit_w)
        chain.network.run(230 * NS_PER_MS)
    for node in chain.network.nodes.values():
        books = node.device.read_books(chain.network.now_ns)
        assert books.imbalance_mj() == 0
        assert books.oversubscribed_instants == 0
        assert all(link.oversubscribed_instants == 0 for link in books.links.values())


def test_a_circuit_that_begins_while_its_source_has_nothing_is_told_of_as_starved(
    chain: Chain,
) -> None:
    chain.limit(0.0)
    key = CircuitGeneration(CIRCUITS + 1, 1)
    configs = [node.device.config for node in chain.network.nodes.values()]
    began_ns = chain.network.now_ns
    assert chain.network.program(circuit_hops(key, 99, configs, POWER_W, {}), txn_id=99)
    chain.network.run(1000 * NS_PER_MS)
    told = [each.state for _, each in chain.news(began_ns) if each.key == key]
    assert told == [FlowState.STARVED]
    device = chain.network.nodes["d"].device
    assert FlowState.STARVED in [each.state for each in device.statuses() if each.key == key]
