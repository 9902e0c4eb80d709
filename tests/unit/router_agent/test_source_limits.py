"""A source that drops: its router shares what is left at once, by floors and priorities."""

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS
from tests.support.device_network import circuit_hops
from tests.support.source_chain import FLOOR_W, POWER_W, SOURCE_W, SourceChain

# By circuit: the youngest of class 2 is younger than all others, which age alone would curtail first.
PRIORITIES = [0, 0, 1, 1, 1, 0, 1, 2, 0, 2]
CIRCUITS = len(PRIORITIES)


@pytest.fixture
def chain() -> SourceChain:
    return SourceChain(PRIORITIES)


def test_floors_and_priorities_are_right_at_the_source_within_one_event(chain: SourceChain) -> None:
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


def test_all_sinks_know_within_a_tick_and_power_follows(chain: SourceChain) -> None:
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


def test_the_advertisement_says_so_at_once(chain: SourceChain) -> None:
    adverts = chain.network.nodes["a"].adverts
    chain.limit(6e6)
    assert chain.network.nodes["a"].adverts == adverts + 1
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == 6e6
    chain.limit(6e6)
    assert chain.network.nodes["a"].adverts == adverts + 1


def test_everybody_is_served_again_once_the_source_is_back(chain: SourceChain) -> None:
    chain.limit(6e6)
    chain.network.run(500 * NS_PER_MS)
    chain.limit(SOURCE_W)
    chain.network.run(2 * NS_PER_MS)
    assert chain.at_sinks_w() == pytest.approx([POWER_W] * CIRCUITS)


def test_a_source_gives_no_more_than_it_is_built_for_and_no_less_than_nothing(
    chain: SourceChain,
) -> None:
    chain.limit(99e6)
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == SOURCE_W
    chain.limit(-1.0)
    assert chain.network.nodes["a"].device.lsa().sources[0].max_power_w == 0.0
    assert chain.at_source_w() == [0.0] * CIRCUITS


def test_books_balance_and_no_limit_is_exceeded_however_the_clouds_pass(chain: SourceChain) -> None:
    for limit_w in (6e6, 2e6, 0.0, 9e6, 12e6, 1e6, SOURCE_W):
        chain.limit(limit_w)
        chain.network.run(230 * NS_PER_MS)
    for node in chain.network.nodes.values():
        books = node.device.read_books(chain.network.now_ns)
        assert books.imbalance_mj() == 0
        assert books.oversubscribed_instants == 0
        assert all(link.oversubscribed_instants == 0 for link in books.links.values())


def test_a_circuit_that_begins_while_its_source_has_nothing_is_told_of_as_starved(
    chain: SourceChain,
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
