"""Every table that a peer can add to has a bound; docs/architecture.md lists them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest.mock import patch

import pytest

from controller.core.circuits import resources
from controller.core.messages import CircuitStatus
from controller.core.network import network as network_module
from controller.core.network.lateness import MAX_PATIENCE_NS, Lateness
from controller.core.network.link import LinkState, LinkView
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.network import Network
from controller.core.network.view import GridView, RouterView
from controller.core.settings import CoreSettings
from controller.openflow import fabric as fabric_module
from controller.openflow import hosts
from controller.openflow.fabric import Fabric, FrameReceived, PortUp, SwitchUp
from controller.openflow.frames import PortId
from controller.openflow.ports import PortState
from controller.southbound import sessions as sessions_module
from controller.southbound.meters import MeterReads
from controller.southbound.sessions import RouterSession
from controller.watching import marks, meter_look
from controller.watching.marks import Marks, ViewWatch
from controller.watching.meter_look import MeterBooks
from digitalgrid.limits import MAX_ADVERTISED
from digitalgrid.model import (
    NO_ELECTION_ID,
    CircuitGeneration,
    FlowState,
    LinkAdvertisement,
    Operation,
    RouterLsa,
)
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import RouterMeters, SourceMeter
from tests.support.grids import diamond
from tests.support.openflow_model import who_has
from tests.support.simulated_network import SimulatedNetwork

ROOT = Path(__file__).parents[3]


def _sessions_without_a_word() -> Iterable[int]:
    network = Network(90 * NS_PER_S)
    for number in range(10_000):
        network.connect(f"x{number}")
        network.disconnect(f"x{number}")
    yield len(network.lsdb._sequence_reset)
    yield len(network._sessions)


def _advertisements_of_one_router() -> Iterable[int]:
    lsdb = LinkStateDatabase(90 * NS_PER_S)
    for seq in range(1, 200):
        links = tuple(
            LinkAdvertisement(f"l{seq}-{number}", f"n{seq}-{number}", 0.1, 20e3, 300.0)
            for number in range(32)
        )
        lsdb.install(RouterLsa("x", 1, seq, 0.97, links), seq)
    owners = lsdb.owners
    yield len(lsdb._entries)
    yield len(lsdb._ends)
    yield len(lsdb._naming)
    yield len(owners._holders)
    yield len(owners._records)


def _claims_to_what_others_have() -> Iterable[int]:
    lsdb = LinkStateDatabase(90 * NS_PER_S)
    lsdb.install(RouterLsa("r", 1, 1, 0.97, (LinkAdvertisement("l", "s", 0.1, 20e3, 300.0),)), 0)
    for seq in range(1, 1000):
        lsdb.install(
            RouterLsa("x", 1, seq, seq / 1000, (LinkAdvertisement("l", "r", 0.1, 20e3, 300.0),)),
            seq,
        )
        lsdb.remove("x")
    yield len(lsdb.owners._waiting)
    yield len(lsdb.owners._refused)


def _statuses_of_one_session() -> Iterable[int]:
    network = Network(90 * NS_PER_S)
    network.connect("x")
    for number in range(network_module.MAX_MEASURED + 1000):
        status = CircuitStatus(CircuitGeneration(number, 1), FlowState.ACTUATED)
        # All that it is said of ends there.
        network.measure("x", status, lambda _: "x")
    yield len(network._measured) - network_module.MAX_MEASURED


def _statuses_of_what_the_leader_does_not_know() -> Iterable[int]:
    simulated = SimulatedNetwork.running(diamond())
    simulated.deliver_all()
    with patch.object(network_module, "MAX_MEASURED", 100):
        for number in range(1000):
            simulated.tell("r1", CircuitStatus(CircuitGeneration(number, 1), FlowState.ACTUATED))
    yield len(simulated.core._network._measured) - 100


def _ids_that_were_once_asked_for() -> Iterable[int]:
    for number in range(resources._MAX_CACHED + 5000):
        resources.source(f"x{number}")
    yield resources.source.cache_info().currsize - resources._MAX_CACHED


def _messages_for_a_router_that_does_not_read() -> Iterable[int]:
    session = RouterSession("x", b"x", 1, 1, NO_ELECTION_ID)
    for _ in range(sessions_module.MAX_QUEUED + 1000):
        session.send(pb.ControllerMessage())
    yield session.outbox.qsize() - sessions_module.MAX_QUEUED


def _kinds_of_log_lines() -> Iterable[int]:
    log = LimitedLog(logging.getLogger("quiet"))
    log._logger.disabled = True
    for number in range(5000):
        log.warning(0, f"{number}", "x")
        log.warning(0, f"{number}", "x")
    yield len(log._next_ns) - 1000
    yield len(log._left_out) - 5000


def _edge() -> Fabric:
    fabric = Fabric(b"unittest")
    fabric.handle(SwitchUp(1, (1, 2)), 0)
    fabric.expire(fabric.timers.edge_after_ns)
    assert set(fabric.snapshot().ports.values()) == {PortState.EDGE}
    return fabric


def _addresses_of_one_host() -> Iterable[int]:
    fabric = _edge()
    for number in range(3000):
        frame = bytearray(who_has(1, 2))
        # The sender's address in the ARP message.
        frame[28:32] = number.to_bytes(4, "big")
        fabric.handle(FrameReceived(PortId(1, 1), bytes(frame)), 10**9)
    yield len(fabric._hosts._by_ip) - 1
    yield len(fabric._hosts.all()) - 1


def _hosts_of_one_port() -> Iterable[int]:
    fabric = _edge()
    for number in range(3000):
        source = bytes([2, 1, 0, 0, *number.to_bytes(2, "big")])
        frame = b"\xff" * 6 + source + b"\x08\x00" + bytes(46)
        fabric.handle(FrameReceived(PortId(1, 1), frame), 10**9)
    yield len(fabric._hosts.all()) - hosts.MAX_HOSTS_PER_PORT
    yield len(fabric._hosts._count_at) - 1


def _floods_within_a_second() -> Iterable[int]:
    fabric = _edge()
    for number in range(5000):
        frame = b"\xff" * 6 + bytes([2, 0, 0, 0, 0, 1]) + b"\x08\x00" + number.to_bytes(46, "big")
        fabric.handle(FrameReceived(PortId(1, 1), frame), 10**9)
    yield len(fabric._recent_floods) - fabric_module.MAX_RECENT_FLOODS


def _ports_of_one_switch() -> Iterable[int]:
    fabric = _edge()
    for number in range(5000):
        fabric.handle(PortUp(PortId(1, number)), 10**9)
    yield len(fabric._ports[1]) - fabric_module.MAX_PORTS_PER_SWITCH


def _lines_and_routers_that_went_for_good() -> Iterable[int]:
    watch = ViewWatch(Marks(), Counter())
    for number in range(marks.MOST_AWAY + 50):
        there = GridView(
            number,
            {f"x{number}": RouterView(f"x{number}", 0.97, 1, heard=True)},
            {f"l{number}": LinkView(f"l{number}", "a", "b", 0.1, 20e3, 300.0, 0.0, LinkState.UP)},
        )
        watch.look(there, 0)
    yield len(watch._down) - marks.MOST_AWAY
    yield len(watch._gone) - marks.MOST_AWAY


def _books_of_routers_that_are_forgotten() -> Iterable[int]:
    books = MeterBooks()
    for number in range(meter_look.MOST_FORGOTTEN + 500):
        sources = [SourceMeter(source_id="s", injected_mj=7)]
        books.note(RouterMeters(router_id=f"x{number}", sources=sources))
        if number % 100 == 0:
            books.conclude((), GridView(0))
    reading = books.conclude((), GridView(0))
    # What they had metered counts on.
    assert reading.totals.injected_mj == 7 * (meter_look.MOST_FORGOTTEN + 500)
    yield len(books._books) - meter_look.MOST_FORGOTTEN


def _orders_to_a_router_that_answers_nothing() -> Iterable[int]:
    lateness = Lateness(lambda _: False)
    for number in range(100_000):
        lateness.note_asked("x", (number, Operation.STAGE), number * NS_PER_MS)
    yield lateness.unanswered("x") - MAX_PATIENCE_NS // NS_PER_MS


def _reads_of_meters() -> Iterable[int]:

    async def ask() -> int:
        reads = MeterReads("x", 1)
        for _ in range(1000):
            read_id, _answer = reads.ask(lambda _: None)
            reads.abandon(read_id)
        return len(reads._waiting)

    yield asyncio.run(ask())


# What fills a table, and how much it may hold beyond its bound (which is taken off where it is large).
TABLES: dict[Callable[[], Iterable[int]], int] = {
    _sessions_without_a_word: 0,
    _advertisements_of_one_router: 33,
    _claims_to_what_others_have: 1,
    _statuses_of_one_session: 0,
    _statuses_of_what_the_leader_does_not_know: 0,
    _ids_that_were_once_asked_for: 0,
    _messages_for_a_router_that_does_not_read: 0,
    _kinds_of_log_lines: 0,
    _addresses_of_one_host: 0,
    _hosts_of_one_port: 0,
    _floods_within_a_second: 0,
    _ports_of_one_switch: 0,
    _lines_and_routers_that_went_for_good: 0,
    _books_of_routers_that_are_forgotten: 0,
    _orders_to_a_router_that_answers_nothing: 1,
    _reads_of_meters: 0,
}


@pytest.mark.parametrize("fill", TABLES, ids=lambda fill: fill.__name__.strip("_"))
def test_no_peer_fills_a_table_beyond_its_bound(fill: Callable[[], Iterable[int]]) -> None:
    assert max(fill()) <= TABLES[fill]


def test_the_documented_bounds_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for figure in (
        MAX_ADVERTISED,
        network_module.MAX_MEASURED,
        sessions_module.MAX_QUEUED,
        hosts.MAX_HOSTS_PER_PORT,
        hosts.MAX_HOSTS,
        fabric_module.MAX_PORTS_PER_SWITCH,
        fabric_module.MAX_RECENT_FLOODS,
        resources._MAX_CACHED,
        marks.MOST_AWAY,
        marks.MOST_KEPT,
        meter_look.MOST_FORGOTTEN,
    ):
        assert f"{figure:,}" in text
    assert CoreSettings().forget_routers_after_ns == 0


def test_what_a_router_says_of_what_is_over_leaves_room_for_what_its_sinks_measure() -> None:
    network = Network(90 * NS_PER_S)
    network.connect("x")
    network.connect("y")
    stands = CircuitGeneration(1001, 1)
    with patch.object(network_module, "MAX_MEASURED", 100):
        for number in range(1002):
            status = CircuitStatus(CircuitGeneration(number, 1), FlowState.ACTUATED)
            network.measure("x", status, lambda key: "x" if key == stands else "y")
        (heard,) = network.measured_of(stands, "x")
    assert heard.state is FlowState.ACTUATED


def test_nobody_waits_while_a_router_that_has_said_too_much_makes_room() -> None:
    network = Network(90 * NS_PER_S)
    network.connect("x")
    most, at_once = 100, 10
    with (
        patch.object(network_module, "MAX_MEASURED", most),
        patch.object(network_module, "_DROPPED_AT_ONCE", at_once),
    ):
        for number in range(3 * most):
            status = CircuitStatus(CircuitGeneration(number, 1), FlowState.SWITCHED)
            network.measure("x", status, lambda _: None)
            kept = len(network._measured)
            assert min(number, most - at_once) < kept <= most
    network.disconnect("x")
    assert not network._measured
