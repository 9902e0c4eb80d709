"""What was admitted under other figures: derated lines, sources and loads, and moves that fail half-way."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from controller.core.messages import Commit
from digitalgrid.reasons import RefusalCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support import settling
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


def settle(network: SimulatedNetwork, duration_ns: int = 20 * NS_PER_S) -> None:
    settling.settle(network, duration_ns)


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def request(network: SimulatedNetwork, power_w: float, source_id: str = "solar") -> Circuit:
    (circuit,) = network.request(PowerRequest(f"{power_w}", "town", power_w, (source_id,)))
    return circuit


def change_link(network: SimulatedNetwork, link_id: str, **figures: Any) -> None:
    link = replace(network.grid.links[link_id], **figures)
    network.grid.links[link_id] = link
    links = tuple(link if each.id == link_id else each for each in network.grid.grid.links)
    network.grid.grid = replace(network.grid.grid, links=links)
    network.advertise(link.a, link.b)


def change_cells(network: SimulatedNetwork, kind: str, id_: str, **figures: Any) -> None:
    """``kind``: sources or loads."""
    cells = getattr(network.grid.grid, kind)
    changed = tuple(replace(each, **figures) if each.id == id_ else each for each in cells)
    network.grid.grid = replace(network.grid.grid, **{kind: changed})  # type: ignore[arg-type]
    network.advertise(*{each.router for each in changed if each.id == id_})


def assert_nothing_is_over_subscribed(network: SimulatedNetwork) -> None:
    assert broken_invariants(network.core.questions) == []
    assert network.grid.over_subscriptions() == []


def first_link(circuit: Circuit) -> str:
    return newest(circuit).route.links[0].link_id


def restart_controller(network: SimulatedNetwork) -> None:
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)


def test_a_line_derated_under_power_is_relieved(network: SimulatedNetwork) -> None:
    circuit = request(network, 5e6)
    network.deliver_all()
    change_link(network, first_link(circuit), ampacity_a=100.0)
    settle(network)
    assert_nothing_is_over_subscribed(network)


def test_a_line_derated_while_the_circuit_is_staged_is_not_used(network: SimulatedNetwork) -> None:
    circuit = request(network, 5e6)
    change_link(network, first_link(circuit), ampacity_a=100.0)
    for router_id, session in network.sessions.items():
        while session.to_controller:
            network.deliver_to_controller(router_id)
    settle(network)
    assert_nothing_is_over_subscribed(network)


@pytest.mark.parametrize("figures", [{"ampacity_a": 100.0}, {"resistance_ohm": 8.0}])
def test_what_changes_while_the_controller_is_away_is_admitted_again(
    network: SimulatedNetwork, figures: dict[str, float]
) -> None:
    circuit = request(network, 5e6)
    network.deliver_all()
    network.kill_controller(10)
    change_link(network, first_link(circuit), **figures)
    restart_controller(network)
    settle(network)
    assert network.core.questions.circuits[circuit.circuit_id].last_generation > 1
    assert_nothing_is_over_subscribed(network)


def test_a_derated_load_is_relieved(network: SimulatedNetwork) -> None:
    request(network, 5e6)
    network.deliver_all()
    change_cells(network, "loads", "town", power_w=3e6)
    settle(network)
    assert_nothing_is_over_subscribed(network)


@pytest.mark.parametrize("lost_at", ["r1", "r2", "r4"])
def test_a_change_that_fails_leaves_the_old_power_alone(
    network: SimulatedNetwork, lost_at: str
) -> None:
    circuit = request(network, 3e6)
    network.deliver_all()
    old = newest(circuit)
    assert old.route.router_ids == ("r1", "r2", "r4")
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 4e6, now_ns))
    network.loses = lambda router_id, message: router_id == lost_at and isinstance(message, Commit)
    sink = network.grid.routers["r4"]
    for _ in range(60):
        network.deliver_all()
        held = {hop.key for hop in sink.table.hops}
        assert any(network.grid.path_is_complete(key, sink) for key in held)
        network.advance(100 * NS_PER_MS)


def test_a_hop_that_a_router_lost_is_put_back_as_soon_as_power_is_missed(
    network: SimulatedNetwork,
) -> None:
    circuit = request(network, 5e6)
    network.deliver_all()
    key = newest(circuit).key
    network.grid.routers["r2"].table._lose(key)
    network.report()
    start_ns = network.now_ns
    while not network.grid.path_is_complete(key, network.grid.routers["r4"]):
        network.advance(50 * NS_PER_MS)
        network.deliver_all()
        assert network.now_ns - start_ns < 2 * NS_PER_S


def test_a_router_whose_session_was_replaced_gets_nothing_before_it_is_in_step(
    network: SimulatedNetwork,
) -> None:
    network.event(lambda core, now_ns: core.on_connected("r2", now_ns))
    assert not network.core.questions.is_connected("r2")
    assert "r2" not in newest(request(network, 3e6)).route.router_ids


def test_figures_beyond_measure_do_not_break_a_refusal(network: SimulatedNetwork) -> None:
    change_cells(network, "sources", "solar", max_power_w=1e12)
    change_link(network, "r1-r2", ampacity_a=5e7)
    network.deliver_all()
    with pytest.raises(Refusal) as caught:
        request(network, 11.9e6)
    assert caught.value.code is RefusalCode.RESOURCE_EXHAUSTED


def test_lines_that_are_down_are_named_where_they_hold_power_up(network: SimulatedNetwork) -> None:
    for link_id in ("r1-r2", "r1-r3"):
        network.cut(link_id)
    network.deliver_all()
    with pytest.raises(Refusal) as caught:
        request(network, 1e6)
    assert caught.value.metadata["links_down"] == "r1-r2,r1-r3"
    assert "r1-r2, r1-r3 being down" in str(caught.value)
