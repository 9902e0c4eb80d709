"""What nothing has changed costs little: rates are found once, and news name only whom they concern."""

from collections.abc import Iterator

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import Frame, decode
from router_agent.device import quiet, rates
from router_agent.device.effects import Effect, SendDatagram
from router_agent.device.flow import Flow
from router_agent.device.meters import RouterBooks
from router_agent.device.neighbor_state import NO_DEMAND, NO_GRANT
from tests.support.device_network import DeviceNetwork, circuit_hops, router

CONFIGS = [
    router("a", ("ab", "b")),
    router("b", ("ab", "a"), ("bc", "c")),
    router("c", ("bc", "b")),
]
STANDING = 50
SMALL_W = 10.0


class _Listening(DeviceNetwork):
    """Keeps what every router has sent: when, by whom, and the frame."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, str, Frame]] = []
        self.reserved_a: dict[tuple[str, str], float] = {}
        self.circuits = 0
        super().__init__(CONFIGS)

    def carry_out(self, router_id: str, effects: list[Effect]) -> None:  # type: ignore[override]
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self.frames.append((self.now_ns, router_id, decode(effect.datagram)))
        super().carry_out(router_id, effects)

    def add(self, count: int, power_w: float = SMALL_W) -> None:
        """Circuits from a to c, in one stage and one commit at each router."""
        hops = []
        for _ in range(count):
            self.circuits += 1
            key = CircuitGeneration(self.circuits, 1)
            hops.append(circuit_hops(key, self.circuits, CONFIGS, power_w, self.reserved_a))
        for name in "cba":
            assert self.stage(name, self.circuits, *(each[name] for each in hops)).code == 1
        for name in "cba":
            assert self.commit(name, self.circuits).code == 1

    def states(self) -> set[FlowState]:
        return {flow.state for flow in self.nodes["c"].device.flows}

    def books(self) -> list[RouterBooks]:
        return [node.device.read_books(self.now_ns) for node in self.nodes.values()]


def running(power_w: float = SMALL_W) -> _Listening:
    network = _Listening()
    network.run(300 * NS_PER_MS)
    network.add(STANDING, power_w)
    network.run(6000 * NS_PER_MS)
    assert network.states() == {FlowState.ACTUATED}
    return network


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many flows there were each time that rates were found."""
    times: list[int] = []
    settle = rates.settle

    def counted(flows: list[Flow], *others: object) -> rates.Settlement:
        times.append(len(flows))
        return settle(flows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("router_agent.device.rate_finding.settle", counted)
    yield times


def test_where_nothing_changes_no_rates_are_found_anew(settled: list[int]) -> None:
    network = running()
    settled.clear()
    network.run(2000 * NS_PER_MS)
    assert settled == []
    network.cut("bc")
    network.run(1 * NS_PER_MS)
    assert settled


def test_a_circuit_that_falls_short_is_looked_at_with_every_tick(settled: list[int]) -> None:
    network = running()
    held = network.nodes["a"].device
    network.carry_out("a", held.source_limit("pv-a", SMALL_W, network.now_ns))
    network.run(500 * NS_PER_MS)
    settled.clear()
    network.run(1000 * NS_PER_MS)
    assert len(settled) >= 10


@pytest.mark.parametrize("power_w", [SMALL_W, 37e3])
def test_energies_are_those_of_rates_that_are_found_with_every_tick(
    power_w: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "begin_to_stand", lambda *_: None)
    restful = running(power_w)
    monkeypatch.setattr(Flow, "at_rest", property(lambda _: False))
    restless = running(power_w)
    for network in (restful, restless):
        network.run(1234 * NS_PER_MS)
    assert restful.books() == restless.books()
    assert [books.imbalance_mj() for books in restful.books()] == [0, 0, 0]


@pytest.mark.parametrize("power_w", [SMALL_W, 37e3, 98_765.4321])
def test_energies_of_what_stands_are_those_that_are_counted_with_every_tick(
    power_w: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = running(power_w)
    monkeypatch.setattr(quiet, "begin_to_stand", lambda *_: None)
    counting = running(power_w)
    for network in (standing, counting):
        network.run(60 * NS_PER_S)
    for lazy, counted in zip(standing.books(), counting.books(), strict=True):
        assert lazy.imbalance_mj() == 0
        assert lazy.max_formula_deviation_mj <= 1.0
        assert {key: each.missing_mj for key, each in lazy.promises.items()} == {
            key: each.missing_mj for key, each in counted.promises.items()
        }
        for key, circuit in lazy.circuits.items():
            # A demand is stated in whole milliwatts, and rounded up: a source gives that.
            most_mj = 3 + 3 * 66
            assert abs(circuit.injected_mj - counted.circuits[key].injected_mj) <= most_mj
            assert abs(circuit.delivered_mj - counted.circuits[key].delivered_mj) <= 3


def test_news_of_one_circuit_name_no_other() -> None:
    network = running()
    # Between two ticks of all three.
    ticks = sorted(
        at_ns % (100 * NS_PER_MS) for at_ns, _, f in network.frames[-60:] if f.interval_ns
    )
    assert ticks
    network.frames.clear()
    network.add(1)
    network.run(6 * NS_PER_MS)
    parts = [frame for _, _, frame in network.frames if frame.parts == 2]
    assert parts
    named = {each.key for frame in parts for each in frame.power}
    named |= {each.key for frame in parts for each in frame.demands}
    assert named == {CircuitGeneration(STANDING + 1, 1)}
    network.run(1000 * NS_PER_MS)
    assert network.states() == {FlowState.ACTUATED}
    for node in network.nodes.values():
        assert node.device.fault() == ""
        for link in node.device.books.links.values():
            assert link.lost_in_transit_mj == link.oversubscribed_instants == 0


def test_news_that_are_lost_are_told_again_with_the_next_tick() -> None:
    network = running()
    network.silence("ab")
    network.silence("bc")
    network.add(1)
    network.run(8 * NS_PER_MS)
    network.heal("ab")
    network.heal("bc")
    network.run(1500 * NS_PER_MS)
    assert network.states() == {FlowState.ACTUATED}
    assert len(network.nodes["c"].device.flows) == STANDING + 1


def test_a_circuit_that_is_gone_is_told_of_at_once() -> None:
    network = running()
    key = CircuitGeneration(1, 1)
    network.withdraw("b", key)
    network.run(2 * NS_PER_MS)
    for name, line in (("a", "ab"), ("c", "bc")):
        stated = network.nodes[name].device.lines[line].stated
        assert stated.demands.get(key, NO_DEMAND) == NO_DEMAND
        assert stated.grants.get(key, NO_GRANT) == NO_GRANT


def test_a_neighbour_that_says_it_is_late_is_not_taken_for_dead() -> None:
    network = running()
    # So it knows by itself that it is late, and says so.
    network.delay_to["b"] = network.now_ns + 100 * NS_PER_MS
    network.run(200 * NS_PER_MS)
    adverts = network.nodes["a"].adverts
    network.delay_to["b"] = network.now_ns + 200 * NS_PER_MS
    network.run(5000 * NS_PER_MS)
    # Where it has happened it happens again.
    network.delay_to["b"] = network.now_ns + 240 * NS_PER_MS
    network.run(1000 * NS_PER_MS)
    assert network.nodes["a"].adverts == adverts
    assert network.states() == {FlowState.ACTUATED}
