"""A batch is decided as its requests would be one after another."""

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.core.circuits.circuit import Circuit, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from digitalgrid.gridfile import Grid
from tests.support.grids import diamond, mesh, narrow_mesh
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest

Decision = list[Circuit] | Refusal


@st.composite
def batches(draw: st.DrawFn) -> tuple[Grid, list[PowerRequest]]:
    grid = draw(st.sampled_from([diamond(), mesh(), narrow_mesh()]))
    ids = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])
    loads = st.sampled_from([load.id for load in grid.loads])
    sources = st.lists(st.sampled_from([each.id for each in grid.sources]), max_size=2, unique=True)
    avoid = st.sampled_from([(), (), (), ("r2",), ("r3-r4",)])
    requests = [
        PowerRequest(
            draw(ids),
            draw(loads | st.just("nobody")),
            draw(st.sampled_from([0.0, 0.3e6, 1e6, 2e6, 4e6])),
            tuple(draw(sources)),
            Constraints(
                max_loss_fraction=draw(st.sampled_from([None, None, 0.06])),
                max_hops=draw(st.sampled_from([None, None, 1, 2])),
                avoid_ids=draw(avoid),
            ),
            allow_split=draw(st.sampled_from([False, False, False, True])),
        )
        for _ in range(draw(st.integers(1, 10)))
    ]
    return grid, requests


def one_by_one(network: SimulatedNetwork, requests: list[PowerRequest]) -> list[Decision]:
    decisions: list[Decision] = []
    for request in requests:
        try:
            decisions.append(network.request(request))
        except Refusal as refusal:
            decisions.append(refusal)
    return decisions


def told(decisions: list[Decision]) -> list[object]:
    """What clients hear; of refusals only that they are some, since later ones explain themselves otherwise."""
    return [
        decision.code
        if isinstance(decision, Refusal)
        else [
            (each.circuit_id, each.request_id, newest(each).admission_seq, newest(each).route)
            for each in decision
        ]
        for decision in decisions
    ]


@settings(max_examples=50)
@given(batches())
def test_a_batch_is_decided_as_one_after_another(case: tuple[Grid, list[PowerRequest]]) -> None:
    grid, requests = case
    alone, together = SimulatedNetwork.running(grid), SimulatedNetwork.running(grid)
    expected = one_by_one(alone, requests)
    decided = together.event(lambda core, now_ns: core.request_batch(requests, now_ns))
    assert told(decided) == told(expected)
    assert broken_invariants(together.core.questions) == []
    alone.deliver_all()
    together.deliver_all()
    states = [each.state for each in alone.core.questions.circuits.values()]
    assert [each.state for each in together.core.questions.circuits.values()] == states


def test_the_order_in_which_sources_are_named_does_not_choose_among_them() -> None:
    # At one router and of one price: the id decides, in a batch as alone.
    request = PowerRequest("a", "town", 0.3e6, ("wind", "roof"))
    alone, together = SimulatedNetwork.running(mesh()), SimulatedNetwork.running(mesh())
    expected = one_by_one(alone, [request])
    decided = together.event(lambda core, now_ns: core.request_batch([request], now_ns))
    assert told(decided) == told(expected)
