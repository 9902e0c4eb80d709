"""Routers in which nothing changes count nothing, say little, and lose no millijoule by it."""

from collections.abc import Sequence

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import Frame, decode, encode
from router_agent.device.effects import Effect, SendDatagram
from router_agent.device.meters import LinkBooks
from router_agent.device.missing import ROUNDING_MJ
from tests.support.device_network import DeviceNetwork, circuit_hops, router

CIRCUITS = 40
POWER_W = 25_000.0
CONFIGS = [
    router("a", ("ab", "b")),
    router("b", ("ab", "a"), ("bc", "c")),
    router("c", ("bc", "b")),
]


class Line(DeviceNetwork):
    """a - b - c with many circuits all the way, in which nothing has changed for a while."""

    def __init__(self, without_marks: frozenset[str] = frozenset()) -> None:
        self.frames: list[tuple[str, Frame]] = []
        super().__init__(CONFIGS, without_marks=without_marks)
        self.run(300 * NS_PER_MS)
        self.reserved_a: dict[tuple[str, str], float] = {}
        for number in range(1, CIRCUITS + 1):
            self.add(number)
        self.run(7 * NS_PER_S)
        self.frames.clear()

    def add(self, number: int) -> None:
        key = CircuitGeneration(number, 1)
        assert self.program(circuit_hops(key, number, CONFIGS, POWER_W, self.reserved_a), number)

    def carry_out(self, router_id: str, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self.frames.append((router_id, decode(effect.datagram)))
        super().carry_out(router_id, effects)

    def link(self, name: str, link_id: str) -> LinkBooks:
        return self.nodes[name].device.books.links[link_id]

    def lacks_nothing(self) -> None:
        for node in self.nodes.values():
            assert node.device.fault() == ""
        sinks = self.nodes["c"].device
        assert {flow.state for flow in sinks.flows} == {FlowState.ACTUATED}
        for promise in sinks.books.promises.values():
            # Where the start ends rounding may be left over.
            assert promise.missing_mj - promise.start_mj <= ROUNDING_MJ


def test_one_short_frame_a_line_and_tick_is_all_that_is_said() -> None:
    network = Line()
    network.run(NS_PER_S)
    assert len(network.frames) <= 4 * 20
    assert all(frame.stands_on for _, frame in network.frames)
    assert max(len(encode(frame)) for _, frame in network.frames) <= 104
    packets = [name for name, frame in network.frames if frame.interval_ns]
    assert {packets.count(name) for name in "ac"} == {10} and packets.count("b") == 20
    network.lacks_nothing()


def test_a_millijoule_that_is_lost_while_nothing_is_counted_is_told() -> None:
    network = Line()
    network.silence("ab", "a")
    network.run(110 * NS_PER_MS)
    network.heal("ab")
    network.run(4 * NS_PER_S)
    lost_mj = network.link("b", "ab").lost_in_transit_mj
    # One packet, of all circuits.
    arrives_w = CIRCUITS * POWER_W / 0.97**2
    assert lost_mj == pytest.approx(arrives_w * 100, rel=0.01)
    heard = network.link("b", "ab")
    network.run_until_all_arrived()
    assert heard.received_mj + lost_mj == network.link("a", "ab").total_mj
    for node in network.nodes.values():
        assert node.device.fault() == ""


def test_what_a_router_had_sent_is_in_its_books_when_it_comes_back_from_a_crash() -> None:
    network = Line()
    network.run(700 * NS_PER_MS)
    before = network.nodes["b"].device.books
    assert network.nodes["b"].progress
    sent = {link_id: each.sent_mj for link_id, each in before.links.items()}
    received = {link_id: each.received_mj for link_id, each in before.links.items()}
    network.kill("b")
    saved = network.nodes["b"].saved
    saved.dissipate_buffers()
    assert {link_id: each.sent_mj for link_id, each in saved.links.items()} == sent
    assert saved.imbalance_mj() == 0
    # What came after its own last packet is lost with it.
    assert 0 <= received["ab"] - saved.links["ab"].received_mj < CIRCUITS * POWER_W * 110


def test_what_a_load_was_promised_and_got_is_in_its_books_after_a_crash() -> None:
    network = Line()
    network.run(700 * NS_PER_MS)
    before = dict(network.nodes["c"].device.books.promises)
    saved = network.nodes["c"].saved
    assert saved.standing is not None
    saved.dissipate_buffers()
    assert saved.promises == before


def test_a_change_of_one_circuit_is_told_as_ever_and_costs_the_others_nothing() -> None:
    network = Line()
    network.add(CIRCUITS + 1)
    network.run(7 * NS_PER_S)
    network.lacks_nothing()
    network.frames.clear()
    network.run(NS_PER_S)
    assert all(frame.stands_on for _, frame in network.frames)


def test_a_frame_that_stands_on_a_state_that_was_never_heard_is_refused() -> None:
    network = Line()
    network.run(NS_PER_S)
    (frame, *_) = (each for name, each in reversed(network.frames) if name == "a")
    before = network.link("b", "ab").received_mj
    device = network.nodes["b"].device
    for bad in (
        frame._replace(seq=frame.seq + 1, stands_on=frame.seq + 1),
        frame._replace(seq=frame.seq + 2, total_mj=frame.total_mj + 1),
        frame._replace(seq=frame.seq + 3, origin_ns=frame.origin_ns + 10**15),
    ):
        device.datagram_received("ab", encode(bad), network.now_ns)
    assert network.link("b", "ab").frames_refused == 3
    assert network.link("b", "ab").received_mj == before


def test_whose_state_is_not_there_any_more_states_it_again_and_loses_no_more_than_a_round_trip() -> (
    None
):
    network = Line()
    network.run(NS_PER_S)
    network.nodes["b"].device.lines["ab"].stated.mistrust()
    network.run(NS_PER_S)
    refused, lost_mj = (
        network.link("b", "ab").frames_refused,
        network.link("b", "ab").lost_in_transit_mj,
    )
    assert refused <= 3 and lost_mj <= CIRCUITS * POWER_W * 150
    network.run(7 * NS_PER_S)
    assert network.link("b", "ab").frames_refused == refused
    assert network.link("b", "ab").lost_in_transit_mj == lost_mj
    assert network.nodes["a"].device.lines["ab"].out.stream is not None
    for node in network.nodes.values():
        assert node.device.fault() == ""


def test_streams_that_ask_in_vain_for_more_keep_no_router_from_standing() -> None:
    network = Line()
    first = network.nodes["a"].device
    needs_w = sum(flow.need_w for flow in first.flows)
    network.carry_out("a", first.source_limit("pv-a", needs_w, network.now_ns))
    # For as long as buffers last: from now on they hold less than is worth having, and the source has nothing left.
    network.delay_to["b"] = network.now_ns + 120 * NS_PER_MS
    network.run(3 * NS_PER_S)
    assert any(flow.lean for flow in network.nodes["b"].device.flows)
    network.run(12 * NS_PER_S)
    network.frames.clear()
    network.run(NS_PER_S)
    assert all(frame.stands_on for _, frame in network.frames)
    assert any(flow.lean for flow in network.nodes["b"].device.flows)
    for node in network.nodes.values():
        assert node.device.fault() == ""


def test_what_a_cut_line_leaves_behind_keeps_no_router_from_standing() -> None:
    """Nothing of it is wanted, and what was on its way over the line has nowhere to go."""
    network = Line()
    network.cut("bc")
    network.run(2 * NS_PER_S)
    network.frames.clear()
    network.run(NS_PER_S)
    assert {name for name, frame in network.frames if frame.stands_on} == {"a", "b"}
    assert not any(frame.parts for _, frame in network.frames)
    network.restore("bc")
    network.run(3 * NS_PER_S)
    for node in network.nodes.values():
        assert node.device.fault() == ""
    assert {flow.state for flow in network.nodes["c"].device.flows} == {FlowState.ACTUATED}


def test_a_circuit_that_gets_nothing_keeps_no_router_from_standing() -> None:
    """Its source's router was not told of it yet, as where routers are late."""
    network = Line()
    number = CIRCUITS + 1
    key = CircuitGeneration(number, 1)
    hops = circuit_hops(key, number, CONFIGS, POWER_W, network.reserved_a)
    began_ns = network.now_ns
    assert network.program({name: hops[name] for name in "bc"}, number)
    network.run(3 * NS_PER_S)
    network.frames.clear()
    network.run(NS_PER_S)
    assert all(frame.stands_on for _, frame in network.frames)
    books = network.nodes["c"].device.read_books(network.now_ns).promises[number]
    promised_mj = POWER_W * (network.now_ns - began_ns) / NS_PER_MS
    assert books.start_mj == books.promised_mj == pytest.approx(promised_mj, abs=1)
    assert network.program({"a": hops["a"]}, number)
    network.run(7 * NS_PER_S)
    network.lacks_nothing()
    assert all(frame.stands_on for _, frame in network.frames[-12:])


def test_circuits_of_a_source_that_has_nothing_stand_and_have_power_as_soon_as_it_has() -> None:
    network = Line()
    first = network.nodes["a"].device
    network.carry_out("a", first.source_limit("pv-a", 0.0, network.now_ns))
    network.run(3 * NS_PER_S)
    network.frames.clear()
    network.run(NS_PER_S)
    assert all(frame.stands_on for _, frame in network.frames)
    sinks = network.nodes["c"].device
    assert {flow.state for flow in sinks.flows} == {FlowState.STARVED}
    # What is missing goes on being told, now and then.
    key = sinks.flows[0].key
    told = [each.missing for _, each in network.nodes["c"].statuses if each.key == key][-2:]
    assert told[0] and told[1] and 0 < told[0].curtailment_mj < told[1].curtailment_mj
    # Of half of them, the first in order, all is there again; what these leave later is the others'.
    needs_w = [flow.need_w for flow in first.flows]
    half_w = sum(needs_w[: CIRCUITS // 2]) + 1.0
    network.carry_out("a", first.source_limit("pv-a", half_w, network.now_ns))
    network.run(3 * NS_PER_S)
    powered = [flow.key for flow in sinks.flows if flow.state is FlowState.ACTUATED]
    assert powered == [CircuitGeneration(number, 1) for number in range(1, CIRCUITS // 2 + 1)]
    for name in "cba":
        network.withdraw(name, *powered[:5])
    network.run(3 * NS_PER_S)
    # All but one, which gets what is left: those that were admitted later lose more.
    whole = CIRCUITS // 2 - 1
    states = [flow.state for flow in sinks.flows]
    assert states[:whole] == [FlowState.ACTUATED] * whole
    assert set(states[whole:]) == {FlowState.STARVED}
    assert 0 < sinks.flows[whole].ingress_w < sinks.flows[whole].need_w
    for node in network.nodes.values():
        assert node.device.fault() == ""


@pytest.mark.parametrize("old", ["a", "b", "c"])
def test_beside_a_router_of_an_earlier_release_energy_is_told_circuit_by_circuit(old: str) -> None:
    network = Line(without_marks=frozenset([old]))
    network.run(2 * NS_PER_S)
    network.lacks_nothing()
    told = {name for name, frame in network.frames if frame.power and frame.received_mj}
    assert told == ({"b"} if old == "c" else {"a", "b"})


def test_a_late_packet_is_waited_for_as_ever() -> None:
    network = Line()
    network.delay_to["a"] = network.now_ns + 180 * NS_PER_MS
    network.run(3 * NS_PER_S)
    for node in network.nodes.values():
        assert node.device.fault() == ""
    network.run(4 * NS_PER_S)
    assert {flow.state for flow in network.nodes["c"].device.flows} == {FlowState.ACTUATED}
    missing = {each.missing_mj for each in network.nodes["c"].device.books.promises.values()}
    network.run(4 * NS_PER_S)
    assert missing == {
        each.missing_mj for each in network.nodes["c"].device.books.promises.values()
    }
