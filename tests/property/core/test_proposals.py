"""Whatever anybody proposes, nothing is ever over-subscribed; and what holds is worked out as our own search does."""

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.computing.least_loss import LeastLoss
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.proposed import ProposedWay
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from digitalgrid.gridfile import Grid
from digitalgrid.plugins.routing import injected_w
from examples.plugins.greedy.digitalgrid_greedy import Greedy
from tests.support.grids import diamond, mesh, narrow_mesh
from tests.support.plugins import growing
from tests.support.simulated_network import SimulatedNetwork

GRIDS = (diamond(), mesh(), narrow_mesh(), growing())


@st.composite
def requests(draw: st.DrawFn, grid: Grid) -> PowerRequest:
    loads = st.sampled_from([load.id for load in grid.loads])
    sources = st.lists(st.sampled_from([each.id for each in grid.sources]), max_size=2, unique=True)
    return PowerRequest(
        draw(st.uuids().map(str)),
        draw(loads),
        draw(st.sampled_from([0.3e6, 1e6, 2e6, 4e6])),
        tuple(draw(sources)),
        Constraints(
            max_loss_fraction=draw(st.sampled_from([None, None, 0.06])),
            max_hops=draw(st.sampled_from([None, None, 1, 2])),
            avoid_ids=draw(st.sampled_from([(), (), ("r2",)])),
        ),
    )


@st.composite
def ways(draw: st.DrawFn, grid: Grid) -> ProposedWay:
    """A walk of any kind, or not even that."""
    at = begins_at = draw(st.sampled_from([each.id for each in grid.routers]))
    hops = []
    for _ in range(draw(st.integers(0, 4))):
        links = [each for each in grid.links if at in (each.a, each.b)]
        link = draw(st.sampled_from(links if draw(st.integers(0, 9)) else list(grid.links)))
        hops.append((link.id, at))
        at = link.b if at == link.a else link.a
    return ProposedWay(begins_at, tuple(hops))


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_proposed_nothing_is_over_subscribed(data: st.DataObject) -> None:
    grid = data.draw(st.sampled_from(GRIDS))
    network = SimulatedNetwork.running(grid)
    for _ in range(data.draw(st.integers(1, 6))):
        request, way = data.draw(requests(grid)), data.draw(ways(grid))
        judged = network.event(lambda core, now_ns: core.judge_way(request, way, now_ns))  # noqa: B023
        asked = PowerRequest(
            request.request_id,
            request.sink_id,
            request.power_w,
            request.source_ids,
            request.constraints,
            proposed=way,
        )
        try:
            (circuit,) = network.request(asked)
        except Refusal:
            assert isinstance(judged, str)
            continue
        newest = circuit.newest()
        assert newest is not None
        if isinstance(judged, Route):
            assert newest.route == judged
            assert tuple((each.link_id, each.from_router_id) for each in judged.links) == way.hops
        assert broken_invariants(network.core.questions) == []


@settings(max_examples=60)
@given(st.data())
def test_our_own_search_proposes_what_the_core_would_choose_and_greedy_nothing_better(
    data: st.DataObject,
) -> None:
    grid = data.draw(st.sampled_from(GRIDS))
    network = SimulatedNetwork.running(grid)
    for request in data.draw(st.lists(requests(grid), max_size=3)):
        try:
            network.request(request)
        except Refusal:
            continue
    asked = data.draw(requests(grid))
    question = network.event(lambda core, now_ns: core.ask_ways([asked], now_ns))
    try:
        (best,) = network.event(lambda core, now_ns: core.best_routes(asked, 1, now_ns))
    except Refusal:
        best = None
    (wanted,) = question.requests

    def judged(arcs: object) -> Route | str:
        way = question.way(wanted, list(arcs))  # type: ignore[call-overload]
        assert isinstance(way, ProposedWay)
        return network.event(lambda core, now_ns: core.judge_way(asked, way, now_ns))

    arcs = LeastLoss().propose(question.view, wanted)
    if best is None:
        assert arcs is None or isinstance(judged(arcs), str)
    else:
        assert arcs is not None
        route = judged(arcs)
        assert isinstance(route, Route)
        assert abs(route.injected_w - best.injected_w) <= 1e-9 * best.injected_w
        assert (
            abs(injected_w(question.view, wanted, arcs) - best.injected_w) <= 1e-9 * best.injected_w
        )
    theirs = Greedy().propose(question.view, wanted)
    if theirs is not None and isinstance(other := judged(theirs), Route):
        assert best is not None
        assert other.injected_w >= best.injected_w * (1 - 1e-9)
