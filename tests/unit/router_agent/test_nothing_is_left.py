"""Nothing is left in a router of circuits that have ended, but what is remembered of the newest few."""

import pytest

from digitalgrid.model import CircuitGeneration, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device import circuit_table, meters
from router_agent.device.meters import RouterBooks
from tests.support.device_network import DeviceNetwork, circuit_hops, router
from tests.support.sizes import sizes

# Enough in a life to fill what remembers 64 of those that ended, in the first.
CIRCUITS, LIVES = 80, 2
# What is bounded by itself: 1,024 transactions, 20,000 tombstones, 4,096 final meters, how late the newest ticks were.
REMEMBERED = ("._finished", "._floors", "floors", "._final", "._ticks_ns")


def live(network: DeviceNetwork, life: int) -> None:
    """Circuits are set up, run, get a second generation each, and are withdrawn."""
    configs = [node.device.config for node in network.nodes.values()]
    first = life * CIRCUITS + 1
    reserved_a: dict[tuple[str, str], float] = {}
    keys = [CircuitGeneration(first + number, 1) for number in range(CIRCUITS)]
    for number, key in enumerate(keys):
        hops = circuit_hops(key, number + 1, configs, 1e3, reserved_a)
        assert network.program(hops, 10_000 * (life + 1) + number)
    network.run(300 * NS_PER_MS)
    for name in network.nodes:
        assert network.withdraw(name, *keys).code is ResultCode.OK
    network.run(NS_PER_S)
    for node in network.nodes.values():
        node.statuses.clear()
        node.answers.clear()


def test_circuits_that_come_and_go_leave_nothing_in_any_table() -> None:
    network = DeviceNetwork([router("a", ("ab", "b")), router("b", ("ab", "a"))])
    network.run(NS_PER_S)
    live(network, 0)
    before = sizes(network.nodes)
    for life in range(1, LIVES + 1):
        live(network, life)
    grown = {
        path: (before[path], entries)
        for path, entries in sizes(network.nodes).items()
        if entries >= before[path] + CIRCUITS // 2 and not path.endswith(REMEMBERED)
    }
    assert grown == {}


def test_of_transactions_the_newest_are_remembered_and_of_what_crashes_ended_the_newest_meters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circuit_table, "FINISHED_KEPT", 5)
    network = DeviceNetwork([router("a", ("ab", "b")), router("b", ("ab", "a"))])
    network.run(NS_PER_S)
    for number in range(1, 21):
        key = CircuitGeneration(1, number)
        configs = [node.device.config for node in network.nodes.values()]
        assert network.program(circuit_hops(key, number, configs, 1e3, {}), number)
        for name in network.nodes:
            network.withdraw(name, key)
    assert len(network.nodes["a"].device.table._finished) == 5
    monkeypatch.setattr(meters, "INTERRUPTED_KEPT", 7)
    books = RouterBooks()
    for number in range(1, 21):
        books.begin_circuit(CircuitGeneration(number, 1))
        books.dissipate_buffers()
    # The others have ended, and nothing has both happened to.
    assert [key.circuit_id for key in books._interrupted] == list(range(14, 21))
    assert [key.circuit_id for key in books._ended] == list(range(1, 14))
