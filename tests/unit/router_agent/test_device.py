"""Whole devices in a simulated network: power arrives, stays exact, and goes where it is told."""

import itertools

import pytest

from digitalgrid.model import CircuitGeneration, FlowState, ResultCode
from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import decode
from router_agent.config import RouterConfig
from router_agent.device.effects import Effect, SaveBooks, SendDatagram
from router_agent.device.meters import RouterBooks
from tests.support.device_network import DeviceNetwork, circuit_hops, router

KEY = CircuitGeneration(1, 1)
NEXT = CircuitGeneration(1, 2)
POWER_W = 2e6


class Ring:
    """a - b - c - d - a; circuits run from a to c by b or by d."""

    def __init__(self) -> None:
        names = "abcd"
        self.configs: dict[str, RouterConfig] = {}
        for index, name in enumerate(names):
            before, after = names[index - 1], names[(index + 1) % 4]
            links = [("".join(sorted(name + other)), other) for other in (before, after)]
            self.configs[name] = router(name, *links)
        self.network = DeviceNetwork(list(self.configs.values()))
        self.network.run(300 * NS_PER_MS)
        self.reserved_a: dict[tuple[str, str], float] = {}
        self.txn_ids = itertools.count(1)
        self.seqs = itertools.count(1)

    def program(self, key: CircuitGeneration, path: str, power_w: float = POWER_W) -> None:
        hops = circuit_hops(
            key, next(self.seqs), [self.configs[name] for name in path], power_w, self.reserved_a
        )
        assert self.network.program(hops, next(self.txn_ids))

    def books(self, name: str) -> RouterBooks:
        return self.network.nodes[name].device.read_books(self.network.now_ns)

    def delivered_mj(self) -> int:
        return self.books("c").delivered_mj["town-c"]

    def states(self, key: CircuitGeneration = KEY) -> list[FlowState]:
        """Those that it went through; each may have been told again for the sake of what was missing."""
        told = [status.state for _, status in self.network.nodes["c"].statuses if status.key == key]
        return [state for state, _ in itertools.groupby(told)]

    def first(self, key: CircuitGeneration, state: FlowState) -> int:
        return next(
            at_ns
            for at_ns, status in self.network.nodes["c"].statuses
            if status.key == key and status.state is state
        )

    def assert_balanced(self) -> None:
        for node in self.network.nodes.values():
            assert node.device.books.imbalance_mj() == 0
            assert node.device.books.max_formula_deviation_mj <= 1.0
            assert node.device.books.oversubscribed_instants == 0
            books = node.device.books
            assert sum(each.sent_mj for each in books.circuits.values()) == sum(
                each.sent_mj for each in books.links.values()
            )
            assert sum(each.line_loss_mj for each in books.circuits.values()) == sum(
                each.line_loss_mj for each in books.links.values()
            )
            for link in node.device.books.links.values():
                assert link.oversubscribed_instants == link.lost_in_transit_mj == 0


@pytest.fixture
def ring() -> Ring:
    return Ring()


class TestPower:
    def test_arrives_within_milliseconds_and_is_steady_after_a_few_ticks(self, ring: Ring) -> None:
        began_ns = ring.network.now_ns
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        assert ring.states() == [FlowState.ARRIVED, FlowState.ACTUATED]
        assert ring.first(KEY, FlowState.ARRIVED) - began_ns < 5 * NS_PER_MS
        assert ring.first(KEY, FlowState.ACTUATED) - began_ns < 550 * NS_PER_MS
        ring.assert_balanced()

    def test_is_exact_whenever_the_meters_are_read(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        # Until the buffers are full.
        ring.network.run(7000 * NS_PER_MS)
        before_mj, injected_mj = ring.delivered_mj(), ring.books("a").injected_mj["pv-a"]
        reserved_w = ring.network.nodes["a"].device.flows[0].hop.ingress_power_w
        for step_ms in (137, 1, 250, 33, 579):
            ring.network.run(step_ms * NS_PER_MS)
            ring.delivered_mj()
        assert ring.delivered_mj() - before_mj == pytest.approx(POWER_W * 1000, abs=2)
        drawn_mj = ring.books("a").injected_mj["pv-a"] - injected_mj
        assert drawn_mj == pytest.approx(reserved_w * 1000, abs=2)

    def test_a_circuit_of_no_hops_is_one_conversion(self, ring: Ring) -> None:
        ring.program(KEY, "c")
        ring.network.run(500 * NS_PER_MS)
        assert ring.states() == [FlowState.ARRIVED, FlowState.ACTUATED]
        books = ring.books("c")
        drawn_mj = books.injected_mj["pv-c"]
        assert books.converter_loss_mj == pytest.approx(0.03 * drawn_mj, abs=1)
        assert drawn_mj == books.delivered_mj["town-c"] + books.converter_loss_mj

    def test_a_newcomer_disturbs_nobody(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(800 * NS_PER_MS)
        before_mj = ring.delivered_mj()
        for number in range(2, 7):
            ring.program(CircuitGeneration(number, 1), "bc", power_w=3e5)
            ring.network.run(61 * NS_PER_MS)
        passed_ms = 5 * 61
        mine = ring.books("c").circuits[KEY]
        others_mj = sum(c.delivered_mj for k, c in ring.books("c").circuits.items() if k != KEY)
        delivered_mj = ring.delivered_mj() - before_mj - others_mj
        assert delivered_mj == pytest.approx(POWER_W * passed_ms, rel=1e-9, abs=2)
        assert mine.missed_ticks == 0
        assert ring.states() == [FlowState.ARRIVED, FlowState.ACTUATED]

    def test_without_a_source_none_is_delivered(self, ring: Ring) -> None:
        hops = circuit_hops(KEY, 1, [ring.configs[name] for name in "abc"], POWER_W, {})
        del hops["a"]
        assert ring.network.program(hops, 1)
        ring.network.run(500 * NS_PER_MS)
        assert ring.delivered_mj() == 0 and ring.states() == []

    def test_a_scarce_source_serves_in_order_of_admission(self, ring: Ring) -> None:
        ring.program(KEY, "a", power_w=14e6)
        ring.program(CircuitGeneration(2, 1), "a", power_w=4e6)
        ring.network.run(500 * NS_PER_MS)
        first, second = ring.network.nodes["a"].device.flows
        assert first.granted_w == pytest.approx(14e6)
        assert first.ingress_w + second.ingress_w == pytest.approx(15e6)
        news = [status for _, status in ring.network.nodes["a"].statuses]
        assert [status.state for status in news if status.key == second.key] == [FlowState.STARVED]
        assert ring.books("a").oversubscribed_instants > 0, "the load is built for 5 MW"


class TestRelease:
    def test_drains_to_the_last_millijoule(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(800 * NS_PER_MS)
        ring.network.drain("c", KEY)
        ring.network.run(600 * NS_PER_MS)
        assert ring.states()[-1] is FlowState.DRAINED
        for name in "abc":
            assert ring.books(name).buffered_mj == 0
            ring.network.withdraw(name, KEY)
            assert ring.books(name).dissipated_mj == 0
        ring.network.run(300 * NS_PER_MS)
        a, b, c = (ring.books(name) for name in "abc")
        assert a.links["ab"].total_mj == b.links["ab"].received_mj
        assert b.links["bc"].total_mj == c.links["bc"].received_mj
        ring.assert_balanced()

    def test_drained_is_said_again_when_asked_again(self, ring: Ring) -> None:
        ring.network.drain("c", KEY)
        ring.network.drain("c", KEY)
        told = [status.state for _, status in ring.network.nodes["c"].statuses]
        assert told == [FlowState.DRAINED, FlowState.DRAINED]

    def test_what_is_withdrawn_undrained_is_dissipated(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(800 * NS_PER_MS)
        held_mj = ring.books("c").buffered_mj
        assert held_mj > 0
        ring.network.withdraw("c", KEY)
        assert ring.books("c").dissipated_mj == held_mj and ring.books("c").buffered_mj == 0
        ring.network.run(500 * NS_PER_MS)
        assert ring.books("a").links["ab"].sent_mj == pytest.approx(
            ring.books("b").links["ab"].received_mj + ring.books("a").links["ab"].line_loss_mj
        )
        ring.assert_balanced()


class TestMakeBeforeBreak:
    def test_the_load_keeps_its_power(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        before_mj, began_ns = ring.delivered_mj(), ring.network.now_ns
        ring.program(NEXT, "adc")
        ring.network.run(600 * NS_PER_MS)
        assert ring.states(NEXT) == [FlowState.ARRIVED, FlowState.ACTUATED]
        ring.network.drain("c", KEY)
        ring.network.run(300 * NS_PER_MS)
        assert ring.states(KEY) == [FlowState.ARRIVED, FlowState.ACTUATED, FlowState.DRAINED]
        for name in "abc":
            ring.network.withdraw(name, KEY)
        ring.network.run(100 * NS_PER_MS)
        milliseconds = (ring.network.now_ns - began_ns) / NS_PER_MS
        delivered_mj = ring.delivered_mj() - before_mj
        assert delivered_mj <= POWER_W * milliseconds + 10
        assert delivered_mj >= POWER_W * (milliseconds - 100), "at most a tick's worth is missing"
        (arrived,) = (
            status
            for _, status in ring.network.nodes["c"].statuses
            if status.key == NEXT and status.state is FlowState.ARRIVED
        )
        assert arrived.interruption_ns == 0
        assert ring.books("c").circuits[KEY].missed_ticks == 0
        ring.assert_balanced()

    @pytest.mark.parametrize("power_w", [0.5e6, 3e6])
    def test_power_changes_on_the_same_path(self, ring: Ring, power_w: float) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        ring.reserved_a.clear()
        ring.program(NEXT, "abc", power_w)
        ring.network.run(1000 * NS_PER_MS)
        ring.network.drain("c", KEY)
        ring.network.run(300 * NS_PER_MS)
        assert ring.states(KEY)[-1] is FlowState.DRAINED
        assert ring.states(NEXT) == [FlowState.ARRIVED, FlowState.ACTUATED]
        before_mj = ring.delivered_mj()
        ring.network.run(1000 * NS_PER_MS)
        assert ring.delivered_mj() - before_mj == pytest.approx(power_w * 1000, abs=2)
        ring.assert_balanced()


class TestFaults:
    def test_a_cut_starves_the_sink_at_once_and_a_new_path_feeds_it(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        adverts = ring.network.nodes["a"].adverts
        cut_ns = ring.network.now_ns
        ring.network.cut("ab")
        assert ring.network.nodes["a"].adverts == adverts + 1
        ring.network.run(20 * NS_PER_MS)
        assert ring.first(KEY, FlowState.STARVED) - cut_ns < 2 * NS_PER_MS
        ring.program(NEXT, "adc")
        ring.network.run(1000 * NS_PER_MS)
        arrived = next(
            status for _, status in ring.network.nodes["c"].statuses if status.key == NEXT
        )
        assert 15 * NS_PER_MS < arrived.interruption_ns < 30 * NS_PER_MS
        ring.assert_balanced()

    def test_a_silent_line_goes_down_at_both_ends(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        ring.network.silence("ab", "a")
        silent_ns = ring.network.now_ns
        ring.network.run(200 * NS_PER_MS)
        assert not ring.network.nodes["a"].device.lines["ab"].up
        assert not ring.network.nodes["b"].device.lines["ab"].up
        assert ring.first(KEY, FlowState.STARVED) - silent_ns <= 175 * NS_PER_MS
        ring.network.heal("ab")
        ring.network.run(1000 * NS_PER_MS)
        assert ring.states()[-1] is FlowState.ACTUATED, (
            "its path is back, and it was never withdrawn"
        )
        assert ring.books("b").links["ab"].lost_to_faults_mj > 0
        ring.assert_balanced()

    def test_a_killed_router_comes_back_empty_but_remembers(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        ring.network.kill("b")
        ring.network.run(300 * NS_PER_MS)
        assert ring.states()[-1] is FlowState.STARVED
        ring.network.restart("b")
        ring.network.run(300 * NS_PER_MS)
        device = ring.network.nodes["b"].device
        assert device.table.hops == [] and device.books.buffered_mj == 0
        assert device.books.dissipated_mj > 0
        hop = circuit_hops(KEY, 1, [ring.configs[name] for name in "abc"], POWER_W, {})["b"]
        assert ring.network.stage("b", 77, hop).code is ResultCode.OK
        assert ring.network.commit("b", 77).code is ResultCode.OK
        ring.network.run(1000 * NS_PER_MS)
        assert ring.states()[-1] is FlowState.ACTUATED
        ring.assert_balanced()

    def test_others_never_miss_a_tick(self, ring: Ring) -> None:
        other = CircuitGeneration(2, 1)
        ring.program(KEY, "abc")
        ring.program(other, "dc", power_w=1e6)
        ring.network.run(1000 * NS_PER_MS)
        for _ in range(3):
            ring.network.cut("ab")
            ring.network.run(170 * NS_PER_MS)
            ring.network.restore("ab")
            ring.network.run(430 * NS_PER_MS)
        assert ring.books("c").circuits[other].missed_ticks == 0
        assert ring.states(other) == [FlowState.ARRIVED, FlowState.ACTUATED]

    def test_a_neighbour_that_leaves_in_order_is_known_to_be_gone_at_once(self, ring: Ring) -> None:
        node = ring.network.nodes["b"]
        leaving = node.device.stop(ring.network.now_ns)
        ring.network.carry_out("b", leaving)
        node.alive = False
        ring.network.run(1 * NS_PER_MS)
        assert not ring.network.nodes["a"].device.lines["ab"].up
        assert not ring.network.nodes["c"].device.lines["bc"].up


class TestOverload:
    """A router that gets no time must not make it worse, for itself or its neighbours."""

    def sleep(self, ring: Ring, names: str, duration_ns: int) -> None:
        """These routers get no time at all; what comes for them waits, and is read before their timers fire."""
        network = ring.network
        due_ns = {name: network.nodes[name].device.next_deadline_ns() for name in names}
        network.delay_to.update(dict.fromkeys(names, network.now_ns + duration_ns))
        network.run(duration_ns)
        assert all(due < network.now_ns for due in due_ns.values())
        network.delay_to.clear()

    def test_a_router_that_was_asleep_takes_no_neighbour_for_dead(self, ring: Ring) -> None:
        ring.program(KEY, "abc")
        ring.network.run(1000 * NS_PER_MS)
        adverts = {name: node.adverts for name, node in ring.network.nodes.items()}
        self.sleep(ring, "abcd", 1000 * NS_PER_MS)
        ring.network.run(1000 * NS_PER_MS)
        assert {name: node.adverts for name, node in ring.network.nodes.items()} == adverts
        assert ring.states() == [FlowState.ARRIVED, FlowState.ACTUATED]
        for node in ring.network.nodes.values():
            assert node.device.books.imbalance_mj() == 0
            for link in node.device.books.links.values():
                assert link.lost_to_faults_mj == link.lost_in_transit_mj == 0

    def test_a_late_router_waits_longer_for_others_and_then_no_more(self, ring: Ring) -> None:
        self.sleep(ring, "a", 100 * NS_PER_MS)
        ring.network.silence("ab", "b")
        ring.network.run(200 * NS_PER_MS)
        assert ring.network.nodes["a"].device.lines["ab"].up, "it was 100 ms late itself"
        ring.network.run(250 * NS_PER_MS)
        assert not ring.network.nodes["a"].device.lines["ab"].up

    def test_what_comes_together_is_answered_together(self, ring: Ring) -> None:
        network, c = ring.network, ring.network.nodes["c"].device
        for number in range(1, 8):
            ring.program(CircuitGeneration(number, 1), "abc", power_w=1e4)
        effects = c.timer(network.now_ns)
        (state,) = [each for each in effects if isinstance(each, SendDatagram)]
        assert state.link_id == "bc"
        assert len(decode(state.datagram).demands) == 7
        assert c.next_deadline_ns() > network.now_ns

    def test_the_books_are_saved_before_energy_is_sent(self, ring: Ring) -> None:
        network, b = ring.network, ring.network.nodes["b"].device
        ring.program(KEY, "abc")
        network.run(1000 * NS_PER_MS)
        effects: list[Effect] = []
        while not any(isinstance(each, SaveBooks) for each in effects):
            assert not any(
                decode(each.datagram).power for each in effects if isinstance(each, SendDatagram)
            )
            effects = b.timer(b.next_deadline_ns())
        assert isinstance(effects[0], SaveBooks)
        assert any(
            decode(each.datagram).received_mj for each in effects if isinstance(each, SendDatagram)
        )


def test_the_timer_is_never_due_in_the_past_for_long(ring: Ring) -> None:
    """After an event at the deadline there is a later one: the edge can never spin."""
    ring.program(KEY, "abc")
    for _ in range(300):
        device = ring.network.nodes["b"].device
        at_ns = max(device.next_deadline_ns(), ring.network.now_ns)
        ring.network.run(at_ns - ring.network.now_ns)
        assert device.next_deadline_ns() > ring.network.now_ns


def test_the_lsa_is_refreshed_and_numbered(ring: Ring) -> None:
    device = ring.network.nodes["a"].device
    before = device.lsa()
    assert before.boot_id == 1 and [link.up for link in before.links] == [True, True]
    ring.network.run(31_000 * NS_PER_MS)
    assert device.lsa().seq == before.seq + 1
    ring.network.cut("ab")
    after = device.lsa()
    assert after.seq == before.seq + 2
    assert {link.link_id: link.up for link in after.links} == {"ab": False, "ad": True}
