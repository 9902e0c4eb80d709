"""The books of a line by running totals, and what its ends state to each other."""

from dataclasses import replace

import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import DemandRecord, Frame, PowerRecord, decode, encode
from router_agent.config import LinkConfig, RouterConfig
from router_agent.device.arrival import NOTHING
from router_agent.device.lateness import MAX_LATE_MS
from router_agent.device.line import Line
from router_agent.device.meters import LinkBooks
from router_agent.device.neighbor_state import NO_GRANT, Demand, Grant
from router_agent.device.remark import Remark
from router_agent.device.signs import pulse

KEY = CircuitGeneration(7, 1)
OTHER = CircuitGeneration(8, 1)
HELLO_NS = 50 * NS_PER_MS


def end(
    name: str,
    neighbor: str,
    books: LinkBooks | None = None,
    boot_id: int = 1,
    told: list[Remark] | None = None,
    **changes: int,
) -> Line:
    link = LinkConfig(
        id="ab",
        neighbor=neighbor,
        interface="ab",
        ampacity_a=10.0,
        voltage_v=1000.0,
        resistance_ohm=20.0,
    )
    config = RouterConfig(router_id=name, links=(link,), **changes)  # type: ignore[arg-type]
    line = Line(
        link, config, boot_id, books or LinkBooks(), 0, ([] if told is None else told).append
    )
    line.set_carrier(True)
    return line


def join(a: Line, b: Line) -> None:
    for sender, receiver in ((a, b), (b, a), (a, b)):
        receiver.receive(sender.hello(0), 0)
    assert a.up and b.up


@pytest.fixture
def pair() -> tuple[Line, Line]:
    a, b = end("a", "b"), end("b", "a")
    join(a, b)
    return a, b


def send(
    line: Line, energy_mj: int, loss_mj: int = 0, start_ns: int = 0, end_ns: int = 100 * NS_PER_MS
) -> list[bytes]:
    line.put(KEY, energy_mj, loss_mj)
    line.close_segment(start_ns, end_ns, energy_mj, 1)
    return line.state_frames([(KEY, Grant(5, False))], [], end_ns)


def test_energy_and_grant_arrive(pair: tuple[Line, Line]) -> None:
    a, b = pair
    (datagram,) = send(a, 900, 100)
    arrival = b.receive(datagram, 100 * NS_PER_MS)
    assert arrival.energy == ((KEY, 900),) and arrival.restated
    assert b.stated.grants == {KEY: Grant(5, False)}
    assert (a.books.sent_mj, a.books.line_loss_mj) == (1000, 100)
    assert b.books.received_mj == b.books.heard_total_mj == 900


def test_demands_travel_the_other_way(pair: tuple[Line, Line]) -> None:
    a, b = pair
    (datagram,) = b.state_frames([], [DemandRecord(KEY, 77), DemandRecord(OTHER, 0)], 0)
    assert a.receive(datagram, 0).restated
    assert a.stated.demands == {KEY: Demand(77)}
    (datagram,) = b.state_frames([], [DemandRecord(KEY, 77)], 0)
    assert not a.receive(datagram, 0).restated


def test_what_a_state_does_not_name_is_gone_and_a_hello_changes_nothing(
    pair: tuple[Line, Line],
) -> None:
    a, b = pair
    b.receive(send(a, 1)[0], 0)
    b.receive(a.hello(0), 0)
    assert KEY in b.stated.grants
    b.receive(a.state_frames([], [], 0)[0], 0)
    assert b.stated.grants == {}


def test_a_state_in_parts_counts_as_whole_only_with_all_of_them() -> None:
    a, b = end("a", "b", frame_bytes=200), end("b", "a")
    join(a, b)
    keys = [CircuitGeneration(number, 1) for number in range(1, 12)]
    frames = a.state_frames([(key, Grant(1, False)) for key in keys], [], 0)
    assert len(frames) > 2
    for datagram in frames:
        b.receive(datagram, 0)
    assert list(b.stated.grants) == keys
    fewer = a.state_frames([(key, Grant(2, False)) for key in keys[3:]], [], 0)
    b.receive(fewer[0], 0)
    b.receive(fewer[-1], 0)
    assert set(b.stated.grants) == set(keys), "a part was lost: nothing is known to be gone"
    for datagram in a.state_frames([(key, Grant(3, False)) for key in keys[3:]], [], 0):
        b.receive(datagram, 0)
    assert b.stated.grants == {key: Grant(3, False) for key in keys[3:]}


def test_a_frame_lost_without_a_fault_is_lost_in_transit(pair: tuple[Line, Line]) -> None:
    a, b = pair
    send(a, 50)
    b.receive(a.hello(0), 0)
    assert (b.books.lost_in_transit_mj, b.books.lost_to_faults_mj) == (50, 0)


def test_what_was_under_way_when_a_line_went_down_is_lost_to_the_fault(
    pair: tuple[Line, Line],
) -> None:
    a, b = pair
    send(a, 50)
    a.put(KEY, 30, 3)
    assert a.set_carrier(False) and b.set_carrier(False)
    assert a.pending == {} and a.books.sent_mj == 83
    a.set_carrier(True)
    b.set_carrier(True)
    join(a, b)
    assert (b.books.lost_in_transit_mj, b.books.lost_to_faults_mj) == (0, 80)


def test_totals_go_on_after_restarts_of_both_ends(pair: tuple[Line, Line]) -> None:
    a, b = pair
    b.receive(send(a, 500)[0], 0)
    reborn_a, reborn_b = end("a", "b", a.books, boot_id=2), end("b", "a", b.books, boot_id=2)
    join(reborn_a, reborn_b)
    reborn_b.receive(send(reborn_a, 11)[0], 0)
    assert b.books.received_mj == a.books.total_mj == 511
    assert b.books.lost_to_faults_mj == b.books.lost_in_transit_mj == 0


def test_a_neighbour_with_new_books_is_followed(pair: tuple[Line, Line]) -> None:
    a, b = pair
    b.receive(send(a, 500)[0], 0)
    new = end("a", "b", boot_id=2)
    join(new, b)
    b.receive(send(new, 7)[0], 0)
    assert b.books.received_mj == 507 and b.books.heard_total_mj == 7
    assert b.books.lost_to_faults_mj == 0


def test_down_forgets_what_was_stated(pair: tuple[Line, Line]) -> None:
    a, b = pair
    b.receive(a.state_frames([(KEY, Grant(5, False))], [DemandRecord(KEY, 9)], 0)[0], 0)
    assert b.stated.grants and b.stated.demands
    b.set_carrier(False)
    assert not b.stated.grants and not b.stated.demands


def test_grants_of_nothing_are_not_sent(pair: tuple[Line, Line]) -> None:
    (datagram,) = pair[0].state_frames([(KEY, NO_GRANT)], [], 0)
    assert decode(datagram).power == ()


def test_the_rest_of_a_withdrawn_circuit_still_leaves(pair: tuple[Line, Line]) -> None:
    a, b = pair
    a.put(KEY, 40, 2)
    (datagram,) = a.state_frames([], [], 0)
    assert decode(datagram).power == (PowerRecord(KEY, 40, 2, 0, True),)
    assert b.receive(datagram, 0).energy == ((KEY, 40),)


@pytest.mark.parametrize("changes", [{"link_hash": 1}, {"sender_hash": 1}])
def test_foreign_frames_are_counted_and_dropped(
    pair: tuple[Line, Line], changes: dict[str, int]
) -> None:
    a, b = pair
    foreign: Frame = decode(a.hello(0))._replace(**changes)  # type: ignore[arg-type]
    assert b.receive(encode(foreign), 0) is NOTHING
    assert b.receive(b"noise", 0) is NOTHING
    assert b.receive(encode(foreign)[:20], 0) is NOTHING
    assert b.books.frames_dropped == 3
    assert b.up


def test_a_duplicate_is_counted_and_dropped(pair: tuple[Line, Line]) -> None:
    a, b = pair
    (datagram,) = send(a, 50)
    b.receive(datagram, 0)
    assert b.receive(datagram, 0) is NOTHING
    assert b.books.received_mj == 50 and b.books.frames_dropped == 1


class TestOversubscription:
    """10 A at 1 kV: 1 kJ in a tenth of a second is the ampacity."""

    FULL_MJ = 1_000_000

    def test_the_ampacity_itself_is_fine(self, pair: tuple[Line, Line]) -> None:
        a, b = pair
        b.receive(send(a, self.FULL_MJ)[0], 100 * NS_PER_MS)
        assert a.books.oversubscribed_instants == b.books.oversubscribed_instants == 0

    def test_both_directions_count_together(self, pair: tuple[Line, Line]) -> None:
        a, b = pair
        b.receive(send(a, self.FULL_MJ * 6 // 10)[0], 100 * NS_PER_MS)
        send(b, self.FULL_MJ * 6 // 10, start_ns=50 * NS_PER_MS, end_ns=150 * NS_PER_MS)
        assert b.books.oversubscribed_instants == 1

    def test_one_after_the_other_is_fine(self, pair: tuple[Line, Line]) -> None:
        a, b = pair
        b.receive(send(a, self.FULL_MJ)[0], 100 * NS_PER_MS)
        send(b, self.FULL_MJ, start_ns=100 * NS_PER_MS, end_ns=200 * NS_PER_MS)
        assert b.books.oversubscribed_instants == 0

    def test_one_direction_alone_can_be_too_much(self, pair: tuple[Line, Line]) -> None:
        a, _ = pair
        send(a, self.FULL_MJ + 10)
        assert a.books.oversubscribed_instants == 1


def test_a_router_that_lives_and_is_late_keeps_its_line_and_is_waited_for(
    pair: tuple[Line, Line],
) -> None:
    a, b = pair
    assert pulse(a.sign(), HELLO_NS, 74 * NS_PER_MS) == (None, 75 * NS_PER_MS)
    said, again_ns = pulse(a.sign(), HELLO_NS, 160 * NS_PER_MS)
    assert said is not None and again_ns == 210 * NS_PER_MS
    heard = replace(b.books)
    assert b.receive(said, 160 * NS_PER_MS) == NOTHING
    assert b.books == heard
    # It is dead after three hellos and some more (170 ms), and as it is late by 110 ms already, after so much more.
    assert not b.expire(439 * NS_PER_MS, 0) and b.expire(440 * NS_PER_MS, 0)


def test_a_router_whose_work_has_stood_still_for_seconds_says_nothing_any_more(
    pair: tuple[Line, Line],
) -> None:
    a, _ = pair
    assert pulse(a.sign(), HELLO_NS, (50 + MAX_LATE_MS) * NS_PER_MS)[0] is not None
    assert pulse(a.sign(), HELLO_NS, (51 + MAX_LATE_MS) * NS_PER_MS)[0] is None


def test_a_line_without_carrier_gives_no_sign_of_life(pair: tuple[Line, Line]) -> None:
    a, _ = pair
    a.set_carrier(False)
    assert pulse(a.sign(), HELLO_NS, 160 * NS_PER_MS) == (None, 210 * NS_PER_MS)
