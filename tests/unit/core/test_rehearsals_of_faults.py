"""What-if: what is foretold is what then happens, and foretelling changes nothing."""

import pickle
from typing import Any

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.admin import DrainOrder
from controller.core.rehearsing.rehearsal import rehearse
from controller.core.rehearsing.scenario import (
    Consequence,
    Consequences,
    Outcome,
    Scenario,
    situation_of,
)
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond, ladder, mesh, narrow, spare_way
from tests.support.simulated_network import SimulatedNetwork


def asked(network: SimulatedNetwork, sink: str, power_w: float, *sources: str, **more: Any) -> int:
    name = f"request-{len(network.core.questions.circuits)}"
    (circuit,) = network.request(PowerRequest(name, sink, power_w, sources, **more))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit.circuit_id


def run(network: SimulatedNetwork, duration_ns: int = 12 * NS_PER_S) -> None:
    end_ns = network.now_ns + duration_ns
    while network.now_ns < end_ns:
        network.deliver_all()
        network.advance(50 * NS_PER_MS)
    network.deliver_all()


def foretold(
    network: SimulatedNetwork, *cut_ids: str, drain: tuple[str, ...] = (), curtail: bool = False
) -> Consequences:
    scenario = Scenario(cut_ids, drain, curtail)
    situation = situation_of(network.core.questions, scenario)
    # As it is on its way to the worker process, and back.
    found = rehearse(pickle.loads(pickle.dumps(situation)), scenario)
    again: Consequences = pickle.loads(pickle.dumps(found))
    assert again == rehearse(situation, scenario)
    return again


def by_id(found: Consequences) -> dict[int, Consequence]:
    return {each.circuit_id: each for each in found.concerned}


def outcomes(found: Consequences) -> dict[int, Outcome]:
    return {each.circuit_id: each.outcome for each in found.concerned}


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def test_who_would_move_and_where_to_and_who_would_lose(network: SimulatedNetwork) -> None:
    town, works = asked(network, "town", 2e6, "solar"), asked(network, "works", 1e6, "solar")
    pump = asked(network, "pump", 0.5e6, "solar")
    held, sent = network.grid.held(), len(network.sent)
    found = by_id(foretold(network, "r2"))
    assert set(found) == {town, works}
    moved = found[town]
    assert moved.outcome is Outcome.MOVES and moved.old and moved.new
    assert moved.old.router_ids == ("r1", "r2", "r4")
    assert moved.new.router_ids == ("r1", "r3", "r4")
    assert moved.new.loss_fraction > moved.old.loss_fraction > 0.0
    assert (found[works].outcome, found[works].new) == (Outcome.LOSES, None)
    assert found[works].text == "its load 'works' is at r2"
    # Nothing has happened.
    assert (network.grid.held(), len(network.sent)) == (held, sent)
    network.kill_router("r2")
    run(network)
    circuits = network.core.questions.circuits
    assert circuits[town].carrying().route == moved.new  # type: ignore[union-attr]
    assert circuits[works].state is CircuitState.WAITING
    assert circuits[pump].last_generation == 1


def test_several_that_are_cut_are_cut_at_once(network: SimulatedNetwork) -> None:
    town = asked(network, "town", 2e6, "solar")
    assert outcomes(foretold(network, "r1-r2")) == {town: Outcome.MOVES}
    found = foretold(network, "r1-r2", "r3-r4")
    assert outcomes(found) == {town: Outcome.LOSES}
    assert "no other way leads to its load 'town'" in found.concerned[0].text
    assert foretold(network, "r3-r4") == Consequences((), 1)


def test_what_has_a_way_and_no_room_on_it_waits_for_what_binds(network: SimulatedNetwork) -> None:
    first, second = (asked(network, "town", 4e6, "solar") for _ in range(2))
    found = foretold(network, "r2-r4")
    waiting = [each for each in found.concerned if each.outcome is Outcome.WAITS]
    assert len(waiting) == 1
    assert "held up by" in waiting[0].text or "no single path" in waiting[0].text
    network.cut("r2-r4")
    run(network)
    states = {key: network.core.questions.circuits[key].state for key in (first, second)}
    assert [key for key, state in states.items() if state is CircuitState.WAITING] == [
        waiting[0].circuit_id
    ]


def test_a_source_can_be_lost(network: SimulatedNetwork) -> None:
    anybodys, solars = asked(network, "works", 1e6), asked(network, "town", 1e6, "solar")
    found = by_id(foretold(network, "solar"))
    assert found[solars].outcome is Outcome.LOSES
    assert found[solars].text == "none of the sources that it may have is left"
    moved = found[anybodys]
    assert moved.outcome is Outcome.MOVES and moved.new and moved.new.source_id == "gas"


def test_a_drain_is_foretold_with_who_would_stay_and_a_refused_one_too(
    network: SimulatedNetwork,
) -> None:
    town, works = asked(network, "town", 2e6, "solar"), asked(network, "works", 1e6, "solar")
    found = by_id(foretold(network, drain=("r2",)))
    assert found[town].outcome is Outcome.MOVES
    assert (found[works].outcome, found[works].text) == (
        Outcome.STAYS,
        "its load 'works' is at r2",
    )
    assert not network.core.questions.drains
    order = DrainOrder("r2", give_up_after_ns=0)
    network.event(lambda core, now_ns: core.drain(order, now_ns))
    run(network)
    circuits = network.core.questions.circuits
    assert circuits[town].carrying().route == found[town].new  # type: ignore[union-attr]
    assert [each.circuit_id for each in network.core.questions.drain_blocks("r2")] == [works]


def test_a_protected_circuit_switches_and_what_nobody_has_is_refused() -> None:
    network = SimulatedNetwork.running(diamond())
    town = asked(network, "town", 1e6, "solar", protect=Against.LINK)
    run(network)
    circuit: Circuit = network.core.questions.circuits[town]
    assert circuit.guard.word is Protection.PROTECTED
    found = by_id(foretold(network, "r2-r4"))
    assert found[town].outcome is Outcome.SWITCHES
    new = found[town].new
    assert new is not None and new.router_ids == ("r1", "r3", "r4")
    with pytest.raises(Refusal) as refused:
        foretold(network, "r9")
    assert (refused.value.reason, refused.value.field) == (Reason.UNKNOWN_ELEMENT, "cut_ids")
    with pytest.raises(Refusal):
        foretold(network, drain=("solar",))


def test_of_standbys_that_share_their_room_the_most_urgent_switches_where_several_fail() -> None:
    network = SimulatedNetwork.running(spare_way())
    ids = []
    for plant, priority in (("plant-a", 0), ("plant-b", 5)):
        request = PowerRequest(
            plant, "town", 0.9e6, (plant,), protect=Against.LINK, hold_priority=priority
        )
        (circuit,) = network.request(request)
        run(network, NS_PER_S)
        assert circuit.guard.word is Protection.PROTECTED
        ids.append(circuit.circuit_id)
    less, more = ids
    assert outcomes(foretold(network, "a-t")) == {less: Outcome.SWITCHES}
    assert outcomes(foretold(network, "a-t", "b-t")) == {
        more: Outcome.SWITCHES,
        less: Outcome.WAITS,
    }


def test_who_would_go_down_to_its_floor_for_a_drain_is_told_so() -> None:
    network = SimulatedNetwork.running(narrow())
    circuit_id = asked(network, "town", 4e6, floor_w=2e6)
    stays = foretold(network, drain=("r1-r3",))
    assert outcomes(stays) == {circuit_id: Outcome.STAYS}
    (moves,) = foretold(network, drain=("r1-r3",), curtail=True).concerned
    assert moves.outcome is Outcome.MOVES
    assert moves.text == "curtailed by the drain of r1-r3: 2 MW of 4 MW"


@pytest.mark.parametrize("link_id", [each.id for each in mesh().links])
def test_each_cut_of_a_busy_mesh_ends_as_it_was_foretold(link_id: str) -> None:
    network = SimulatedNetwork.running(mesh())
    for sink, power_w in (
        *[("town", 0.5e6)] * 5,
        *[("works", 0.4e6)] * 4,
        *[("clinic", 0.3e6)] * 4,
        *[("farm", 0.4e6)] * 3,
    ):
        asked(network, sink, power_w)
    found = by_id(foretold(network, link_id))
    network.cut(link_id)
    run(network)
    for circuit_id, circuit in network.core.questions.circuits.items():
        foreseen = found.get(circuit_id)
        if foreseen is None:
            assert (circuit.state, circuit.last_generation) == (CircuitState.ACTIVE, 1)
        else:
            assert (circuit.state is CircuitState.ACTIVE) == (foreseen.new is not None)
            carrying = circuit.carrying()
            assert (carrying.route.links if carrying else None) == (
                foreseen.new.links if foreseen.new else None
            )


def test_each_link_of_a_mesh_is_drained_in_turn_as_foretold_and_nobody_lacks_power() -> None:
    network = SimulatedNetwork.running(ladder())
    for number in range(36):
        asked(network, ("one", "two", "three")[number % 3], 0.15e6)
    for link in network.grid.grid.links:
        found = foretold(network, drain=(link.id,))
        order = DrainOrder(link.id)
        network.event(lambda core, now_ns, order=order: core.drain(order, now_ns))  # type: ignore[misc]
        run(network, 4 * NS_PER_S)
        circuits = network.core.questions.circuits
        assert {each.state for each in circuits.values()} == {CircuitState.ACTIVE}
        assert {each.interruptions for each in circuits.values()} == {0}
        assert network.core.questions.drains[link.id].state == "drained"
        for each in found.concerned:
            carrying = circuits[each.circuit_id].carrying()
            assert each.new and carrying and carrying.route.links == each.new.links
        network.event(lambda core, now_ns, id_=link.id: core.undrain(id_, now_ns))  # type: ignore[misc]
        network.check()
