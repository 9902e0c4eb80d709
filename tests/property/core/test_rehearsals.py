"""What is only looked at is decided as if it were meant: a dry run's outcome is that of the real run."""

from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.core.circuits.circuit import Circuit, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.resources import Resource
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from controller.core.optimising.moves import Move, ReoptimiseLimits
from controller.core.optimising.question import Demand, DispatchOrder, LoadOutcome, answer
from controller.routing.assignments.reoptimise import reoptimise
from digitalgrid.gridfile import Grid
from tests.support.grids import diamond, mesh, narrow_mesh
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest
from topologies.generated import mesh_grid

POWERS_W = st.sampled_from([0.0, 0.2e6, 1e6, 2e6, 4e6, 9e6])


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Lines that are wide enough, or not."""
    drawn = st.builds(mesh_grid, st.integers(5, 9), st.integers(0, 99))
    grid = draw(st.sampled_from([diamond(), mesh(), narrow_mesh()]) | drawn)
    narrow = draw(st.sampled_from([1.0, 0.5, 0.2]))
    links = tuple(replace(link, ampacity_a=link.ampacity_a * narrow) for link in grid.links)
    return replace(grid, links=links)


@st.composite
def requests(draw: st.DrawFn, grid: Grid) -> list[PowerRequest]:
    loads = st.sampled_from([load.id for load in grid.loads])
    return [
        PowerRequest(
            draw(st.sampled_from("abcd")),
            draw(loads | st.just("nobody")),
            draw(POWERS_W),
            constraints=Constraints(
                max_loss_fraction=draw(st.sampled_from([None, None, 0.05])),
                max_hops=draw(st.sampled_from([None, None, 2])),
            ),
            allow_split=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]


@st.composite
def orders(draw: st.DrawFn, grid: Grid) -> DispatchOrder:
    loads = st.sampled_from([load.id for load in grid.loads] + ["nobody"] * draw(st.integers(0, 1)))
    demands = st.builds(Demand, loads, st.none() | POWERS_W)
    return DispatchOrder(
        "d",
        tuple(draw(st.lists(demands, max_size=5))),
        one_by_one=draw(st.booleans()),
    )


def held(network: SimulatedNetwork) -> dict[Resource, float]:
    return network.core.questions.reserved()


def told(refusal: Refusal) -> tuple[object, ...]:
    return refusal.reason, str(refusal), refusal.field, refusal.metadata


def routes_of(circuits: Sequence[Circuit]) -> list[Route]:
    return [newest(each).route for each in circuits]


@settings(max_examples=60)
@given(st.data())
def test_what_is_computed_is_what_is_admitted(data: st.DataObject) -> None:
    grid = data.draw(grids())
    network = SimulatedNetwork.running(grid)
    for request in data.draw(requests(grid)):
        before = held(network)
        computed: list[Route] | tuple[object, ...]
        admitted: list[Route] | tuple[object, ...]
        try:
            computed = network.event(lambda core, now, r=request: core.compute(r, now))  # type: ignore[misc]
        except Refusal as refusal:
            computed = told(refusal)
        assert held(network) == before
        try:
            admitted = routes_of(network.request(request))
        except Refusal as refusal:
            admitted = told(refusal)
        assert computed == admitted


def dispatched(
    network: SimulatedNetwork, order: DispatchOrder, *, dry_run: bool
) -> list[tuple[object, ...]] | tuple[object, ...]:
    """What a client is told: of each load the routes, or why it gets none; or why the order is refused."""
    try:
        question = network.event(lambda core, now: core.ask_dispatch(order, now))
        found = answer(question)
        outcomes = network.event(
            lambda core, now: core.dispatch(order, question, found, now, dry_run=dry_run)
        )
    except Refusal as refusal:
        return told(refusal)
    return [_outcome(each) for each in outcomes]


def _outcome(outcome: LoadOutcome) -> tuple[object, ...]:
    if outcome.refusal is not None:
        return outcome.load_id, *told(outcome.refusal)
    if outcome.circuits:
        assert routes_of(outcome.circuits) == list(outcome.routes)
    return outcome.load_id, outcome.routes


@settings(max_examples=60)
@given(st.data())
def test_the_dry_run_of_a_dispatch_is_told_what_the_dispatch_is_told(data: st.DataObject) -> None:
    grid = data.draw(grids())
    order = data.draw(orders(grid))
    network = SimulatedNetwork.running(grid)
    for request in data.draw(requests(grid)):
        try:
            network.request(request)
        except Refusal:
            continue
    before = held(network)
    rehearsed = dispatched(network, order, dry_run=True)
    assert held(network) == before
    performed = dispatched(network, order, dry_run=False)
    assert rehearsed == performed
    assert broken_invariants(network.core.questions) == []
    if isinstance(performed, list) and any(circuits_of(network, order)):
        again = network.event(lambda core, now: core.recall_dispatch(order))
        assert sorted(each.load_id for each in again) == sorted(str(each[0]) for each in performed)
        refused = {each.load_id: told(each.refusal) for each in again if each.refusal}
        assert refused == {str(each[0]): each[1:] for each in performed if len(each) > 2}


def circuits_of(network: SimulatedNetwork, order: DispatchOrder) -> list[Circuit]:
    prefix = order.request_id_of("")
    circuits = network.core.questions.circuits.values()
    return [each for each in circuits if each.request_id.startswith(prefix)]


@settings(max_examples=40)
@given(st.data())
def test_the_dry_run_of_a_reoptimisation_shows_the_moves_that_are_made(data: st.DataObject) -> None:
    grid = data.draw(grids())
    network = SimulatedNetwork.running(grid)
    links = [link.id for link in grid.links]
    cut = data.draw(st.lists(st.sampled_from(links), max_size=2, unique=True))
    for link_id in cut:
        network.cut(link_id)
    network.deliver_all()
    for number, load in enumerate(grid.loads):
        try:
            network.request(PowerRequest(f"r{number}", load.id, load.power_w / 4))
        except Refusal:
            continue
    network.deliver_all()
    for link_id in cut:
        network.mend(link_id)
    network.deliver_all()
    question = network.event(lambda core, now_ns: core.ask_reoptimise(now_ns))
    if question is None:
        return
    plan = reoptimise(question.graph, question.circuits)
    limits = ReoptimiseLimits(most_moves=data.draw(st.integers(1, 4)), least_gain_fraction=0.0)

    def moves(*, dry_run: bool) -> list[Move]:
        found = network.event(
            lambda core, now: core.reoptimise(limits, question, plan, now, dry_run=dry_run)
        )
        return [replace(each, moving=not each.reason) for each in found]

    before = held(network)
    rehearsed = moves(dry_run=True)
    assert held(network) == before
    assert rehearsed == moves(dry_run=False)
    assert broken_invariants(network.core.questions) == []
