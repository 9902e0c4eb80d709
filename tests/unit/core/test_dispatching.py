"""A dispatch is one decision: of one order, in one transaction, and known again."""

from dataclasses import replace

import pytest

from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from controller.core.optimising.question import Demand, DispatchOrder, LoadOutcome, answer
from digitalgrid.gridfile import loads_grid
from digitalgrid.reasons import RefusalCode
from tests.support.grids import mesh
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest

ORDER = DispatchOrder("d", (Demand("town", 4e6), Demand("works", 2e6), Demand("clinic", None)))


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(mesh())


def dispatched(network: SimulatedNetwork, order: DispatchOrder = ORDER) -> list[LoadOutcome]:
    question = network.core.ask_dispatch(order, network.now_ns)
    found = answer(question)
    outcomes = network.event(lambda core, now_ns: core.dispatch(order, question, found, now_ns))
    assert broken_invariants(network.core.questions) == []
    return outcomes


def served_w(outcomes: list[LoadOutcome]) -> dict[str, float]:
    return {each.load_id: sum(circuit.power_w for circuit in each.circuits) for each in outcomes}


def test_what_was_planned_is_what_is_reserved(network: SimulatedNetwork) -> None:
    question = network.core.ask_dispatch(ORDER, network.now_ns)
    plan = answer(question)
    outcomes = dispatched(network)
    assert served_w(outcomes) == pytest.approx({"town": 4e6, "works": 2e6, "clinic": 2e6})
    routes = [newest(each).route for outcome in outcomes for each in outcome.circuits]
    assert sum(route.injected_w for route in routes) == pytest.approx(
        plan.figures.generated_w, rel=1e-7
    )


def test_all_circuits_of_a_dispatch_are_one_transaction(network: SimulatedNetwork) -> None:
    before = len(network.store.pending)
    dispatched(network)
    changes = [change for _, change in list(network.store.pending)[before:]]
    assert len(changes) == 1
    assert len(changes[0].circuits) >= 3


def test_a_split_request_is_one_transaction_too(network: SimulatedNetwork) -> None:
    before = len(network.store.pending)
    circuits = network.request(PowerRequest("s", "town", 6e6, allow_split=True))
    assert len(circuits) > 1
    (change,) = [change for _, change in list(network.store.pending)[before:]]
    assert len(change.circuits) == len(circuits)


def test_the_same_order_is_known_again_and_another_one_is_refused(
    network: SimulatedNetwork,
) -> None:
    outcomes = dispatched(network)
    again = network.core.recall_dispatch(ORDER)
    assert served_w(again) == served_w(outcomes)
    assert network.core.recall_dispatch(replace(ORDER, request_id="e")) == []
    with pytest.raises(Refusal) as refusal:
        network.core.recall_dispatch(replace(ORDER, one_by_one=True))
    assert refusal.value.reason == "REQUEST_ID_REUSED"


def test_a_request_of_the_same_name_is_not_mistaken_for_a_dispatch(
    network: SimulatedNetwork,
) -> None:
    network.request(PowerRequest("d/town", "town", 1e6))
    with pytest.raises(Refusal) as refusal:
        network.core.recall_dispatch(ORDER)
    assert refusal.value.code is RefusalCode.ALREADY_EXISTS
    with pytest.raises(Refusal) as refusal:
        dispatched(network)
    assert refusal.value.reason == "REQUEST_ID_REUSED"
    # A longer id with a slash is another one.
    network.request(PowerRequest("x/y/town", "town", 1e6))
    assert network.core.recall_dispatch(replace(ORDER, request_id="x")) == []


def test_a_network_that_changed_while_it_was_solved_is_admitted_to_as_it_is(
    network: SimulatedNetwork,
) -> None:
    question = network.core.ask_dispatch(ORDER, network.now_ns)
    found = answer(question)
    network.cut("r3-r4")
    network.deliver_all()
    one_by_one = replace(ORDER, one_by_one=True)
    outcomes = network.event(lambda core, now: core.dispatch(one_by_one, question, found, now))
    network.deliver_all()
    assert broken_invariants(network.core.questions) == []
    used = {
        link.link_id
        for outcome in outcomes
        for circuit in outcome.circuits
        for link in newest(circuit).route.links
    }
    assert "r3-r4" not in used


def test_an_island_is_told_from_a_bottleneck() -> None:
    grid = loads_grid(
        """
name: island
defaults: {voltage_v: 20000, efficiency: 0.97, ampacity_a: 100}
routers: [{id: r1}, {id: r2}, {id: lone}]
links: [{id: thin, a: r1, b: r2, resistance_ohm: 0.4}]
sources: [{id: plant, router: r1, max_power_w: 9e6}]
loads: [{id: big, router: r2, power_w: 5e6}, {id: iso, router: lone, power_w: 1e6}]
""",
        "island",
    )
    network = SimulatedNetwork.running(grid)
    order = DispatchOrder("d", one_by_one=True)
    outcomes = dispatched(network, order)
    assert served_w(outcomes) == pytest.approx({"big": 1.94e6, "iso": 0.0})
    (why,) = [str(each.refusal) for each in outcomes if each.refusal]
    assert "nothing is left for load 'iso'; no way leads there" in why
    with pytest.raises(Refusal, match="lack of any line there"):
        network.request(PowerRequest("r", "iso", 1e3))
