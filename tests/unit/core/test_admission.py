"""Admission: what fits is reserved, what does not is explained, and nothing is reserved for it."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from controller.core.optimising.question import Demand, DispatchOrder, answer
from controller.routing.dispatch import Prices
from digitalgrid.physics import added_line_loss_w
from digitalgrid.reasons import RefusalCode
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def request(power_w: float, sink: str = "town", request_id: str = "", **more: Any) -> PowerRequest:
    return PowerRequest(request_id or f"{sink} {power_w}", sink, power_w, **more)


def refused(network: SimulatedNetwork, asked: PowerRequest) -> Refusal:
    before = network.core.questions.reserved()
    with pytest.raises(Refusal) as refusal:
        network.request(asked)
    after = network.core.questions.reserved()
    assert before == after
    return refusal.value


def test_a_newcomer_pays_for_the_loss_that_it_causes(network: SimulatedNetwork) -> None:
    (first,) = network.request(request(1e6, source_ids=("gas",)))
    (second,) = network.request(request(1.5e6, source_ids=("gas",)))
    (a,), (b,) = newest(first).route.links, newest(second).route.links
    assert a.link_id == b.link_id == "r3-r4"
    loss_w = added_line_loss_w(0.8, a.current_a, b.current_a)
    assert b.sent_w - b.received_w == pytest.approx(loss_w)
    total_a = network.core.questions.reserved_on_link_a("r3-r4", "r3")
    together_w = added_line_loss_w(0.8, 0.0, total_a)
    assert (a.sent_w - a.received_w) + (b.sent_w - b.received_w) == pytest.approx(together_w)


def test_both_directions_share_one_ampacity(network: SimulatedNetwork) -> None:
    # 5 MW from r1 to works fill most of r1-r2, so little is left for the way back.
    network.request(request(5e6, "works", source_ids=("solar",)))
    network.cut("r1-r3")
    network.deliver_all()
    refusal = refused(network, request(1e6, "pump", source_ids=("gas",), setup_priority=0))
    assert refusal.code is RefusalCode.RESOURCE_EXHAUSTED
    assert refusal.metadata["bottleneck_links"] == "r1-r2"


def test_a_source_and_a_load_at_one_router_make_a_circuit_without_hops(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = network.request(request(1e6, "pump", constraints=Constraints(max_hops=0)))
    route = newest(circuit).route
    assert (route.router_ids, route.links) == (("r1",), ())
    assert route.injected_w == 1e6 / 0.97


def test_a_split_leaves_nothing_out_and_no_crumbs(network: SimulatedNetwork) -> None:
    circuits = network.request(request(9e6, allow_split=True))
    assert sum(each.power_w for each in circuits) == pytest.approx(9e6)
    assert all(each.power_w >= 1.0 for each in circuits)
    assert network.core.questions.reserved_at_load_w("town") == pytest.approx(9e6)
    assert broken_invariants(network.core.questions) == []


def test_what_one_circuit_can_serve_is_not_split(network: SimulatedNetwork) -> None:
    assert len(network.request(request(2e6, allow_split=True))) == 1


def test_a_split_that_falls_short_reserves_nothing(network: SimulatedNetwork) -> None:
    refusal = refused(network, request(11.5e6, allow_split=True))
    assert refusal.reason == "INSUFFICIENT_CAPACITY"
    missing_w = float(refusal.metadata["missing_w"])
    assert network.request(request(11.5e6 - missing_w - 1.0, allow_split=True))


def test_the_explanation_tells_what_would_fit(network: SimulatedNetwork) -> None:
    refusal = refused(network, request(8e6))
    assert refusal.reason == "NO_SINGLE_PATH"
    largest_w = float(refusal.metadata["largest_single_w"])
    assert network.request(request(largest_w))
    assert "allow a split" in str(refusal)


def test_exactly_what_is_left_fits(network: SimulatedNetwork) -> None:
    network.request(request(0.4e6, "pump"))
    (rest,) = network.request(request(0.6e6, "pump"))
    assert rest.power_w == 0.6e6
    assert refused(network, request(1.0, "pump")).reason == "LOAD_LIMIT_EXCEEDED"


def test_constraints_are_kept(network: SimulatedNetwork) -> None:
    limit = Constraints(max_loss_fraction=0.08)
    (circuit,) = network.request(request(1e6, constraints=limit))
    assert newest(circuit).route.loss_fraction <= 0.08
    tight = Constraints(max_loss_fraction=0.05)
    refusal = refused(network, request(1e6, request_id="tight", constraints=tight))
    assert refusal.field == "constraints.max_loss_fraction"
    around = Constraints(avoid_ids=("r3",))
    (circuit,) = network.request(request(1e6, request_id="around", constraints=around))
    assert "r3" not in newest(circuit).route.router_ids


def test_the_cheapest_source_that_can_is_taken_at_a_router(network: SimulatedNetwork) -> None:
    core = network.core
    (_, gas) = core.questions.view.sources["gas"]
    core.questions.view.sources["cheap"] = ("r3", type(gas)("cheap", 1e6, 1.0))
    (circuit,) = network.request(request(0.5e6, constraints=Constraints(max_hops=1)))
    assert newest(circuit).route.source_id == "cheap"
    (circuit,) = network.request(request(2e6, constraints=Constraints(max_hops=1)))
    assert newest(circuit).route.source_id == "gas"


def test_a_source_is_not_sold_twice(network: SimulatedNetwork) -> None:
    network.request(request(3e6, "works", source_ids=("gas",)))
    refusal = refused(network, request(1e6, source_ids=("gas",)))
    assert refusal.reason in ("INSUFFICIENT_CAPACITY", "NO_SINGLE_PATH")
    assert network.core.questions.reserved_at_source_w("gas") <= 4e6


def test_nothing_new_goes_over_a_router_that_is_away(network: SimulatedNetwork) -> None:
    network.disconnect("r2")
    (circuit,) = network.request(request(1e6, source_ids=("solar",)))
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    refusal = refused(network, request(1e6, "works"))
    assert refusal.reason == "ROUTER_NOT_CONNECTED"


def test_an_advertisement_that_aged_out_admits_nothing_and_stops_nothing(
    network: SimulatedNetwork,
) -> None:
    (running,) = network.request(request(1e6, source_ids=("solar",)))
    network.deliver_all()
    network.now_ns += 89_000_000_000
    network.advertise("r1", "r3", "r4")
    network.deliver_all()
    network.advance(2_000_000_000)
    (circuit,) = network.request(request(1.1e6, source_ids=("solar",)))
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    assert running.state is CircuitState.ACTIVE
    assert newest(running).route.router_ids == ("r1", "r2", "r4")


def test_a_change_beyond_the_loads_limit_is_refused_also_while_waiting(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = network.request(request(2e6))
    network.deliver_all()
    for link_id in ("r2-r4", "r3-r4"):
        network.cut(link_id)
    network.deliver_all()
    assert circuit.state is CircuitState.WAITING
    with pytest.raises(Refusal, match="takes at most"):
        network.event(lambda core, now_ns: core.change(circuit.circuit_id, 13e6, now_ns))
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 3e6, now_ns))
    network.heal()
    assert (circuit.state, circuit.power_w) == (CircuitState.ACTIVE, 3e6)


@pytest.mark.parametrize("power_w", [6e6, 9e6, 11.4e6])
def test_a_split_injects_as_little_as_the_best_dispatch(
    network: SimulatedNetwork, power_w: float
) -> None:
    order = DispatchOrder("best", (Demand("town", power_w),))
    best = answer(
        network.core.ask_dispatch(
            replace(order, prices=Prices(generation_share=0.0)), network.now_ns
        )
    )
    circuits = network.request(request(power_w, allow_split=True))
    injected_w = sum(newest(circuit).route.injected_w for circuit in circuits)
    assert sum(circuit.power_w for circuit in circuits) == pytest.approx(power_w, rel=1e-12)
    assert best.figures.served_w == pytest.approx(power_w)
    # More circuits must be worth their wear.
    loss_w = injected_w - power_w
    assert injected_w <= best.figures.generated_w + 0.0101 * loss_w
    if len(circuits) > 1:
        assert injected_w <= best.figures.generated_w * 1.001


def test_one_circuit_is_enough_where_more_would_save_little(network: SimulatedNetwork) -> None:
    (circuit,) = network.request(request(0.5e6, allow_split=True))
    assert circuit.power_w == 0.5e6
