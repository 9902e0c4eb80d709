"""Reservations: sums over circuits, the larger of a circuit's generations, and hops freed one by one."""

import pytest
from msgspec.structs import replace

from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import link_direction, load, source, through
from digitalgrid.model import CircuitGeneration
from tests.support.routes import route

OUT = link_direction("r1-r2", "r1")
BACK = link_direction("r1-r2", "r2")


def test_a_route_is_held_on_its_source_its_lines_and_its_load() -> None:
    reservations = Reservations()
    reservations.reserve(CircuitGeneration(1, 1), route(1000.0))
    assert reservations.total(source("pv")) == 1030.0
    assert reservations.total(load("town")) == 1000.0
    assert reservations.total(OUT) == 10.0
    assert reservations.total(BACK) == 0.0
    assert reservations.circuits_on_link("r1-r2", "r1", "r2") == [1]


def test_circuits_add_up_and_generations_of_one_do_not() -> None:
    reservations = Reservations()
    reservations.reserve(CircuitGeneration(1, 1), route(1000.0))
    reservations.reserve(CircuitGeneration(2, 1), route(500.0))
    reservations.reserve(CircuitGeneration(1, 2), route(1500.0))
    assert reservations.total(OUT) == 20.0
    assert reservations.of_circuit(OUT, 1) == 15.0
    reservations.release(CircuitGeneration(1, 2))
    assert reservations.total(OUT) == 15.0
    reservations.release(CircuitGeneration(1, 1))
    reservations.release(CircuitGeneration(2, 1))
    assert list(reservations.resources()) == []
    assert list(reservations.generations()) == []


def test_the_larger_generation_counts_whichever_is_newer() -> None:
    reservations = Reservations()
    reservations.reserve(CircuitGeneration(1, 1), route(1500.0))
    reservations.reserve(CircuitGeneration(1, 2), route(1000.0))
    assert reservations.total(OUT) == 15.0


def test_what_is_there_for_standbys_alone_is_what_nobody_else_needs() -> None:
    reservations = Reservations()
    working, standby, other = (
        CircuitGeneration(1, 1),
        CircuitGeneration(1, 2),
        CircuitGeneration(2, 1),
    )
    reservations.reserve(working, route(1000.0))
    reservations.reserve(standby, route(1500.0), standby=True)
    reservations.reserve(other, route(500.0))
    # Of one line's room for both, the standby's is what it takes beyond the other.
    assert (reservations.total(OUT), reservations.standing_by(OUT)) == (20.0, 5.0)
    assert (reservations.total(source("pv")), reservations.standing_by(source("pv"))) == (
        2060.0,
        500.0,
    )
    reservations.demanded(standby)
    assert (reservations.total(OUT), reservations.standing_by(OUT)) == (20.0, 0.0)
    assert reservations.standing_by(BACK) == 0.0


def test_another_path_is_held_beside_the_old_one() -> None:
    reservations = Reservations()
    reservations.reserve(CircuitGeneration(1, 1), route(1000.0))
    reservations.reserve(CircuitGeneration(1, 2), route(1000.0, middle="r9"))
    assert reservations.total(OUT) == reservations.total(link_direction("r1-r9", "r1")) == 10.0
    assert reservations.total(load("town")) == 1000.0
    held = reservations.held_by_circuit(1)
    assert {OUT, link_direction("r9-r3", "r9"), source("pv"), load("town")} <= held


def test_a_hop_is_freed_by_itself_and_once() -> None:
    reservations = Reservations()
    key = CircuitGeneration(1, 1)
    reservations.reserve(key, route(1000.0))
    for _ in range(2):
        reservations.release_hop(key, "r1")
    assert reservations.total(source("pv")) == reservations.total(OUT) == 0.0
    assert reservations.total(link_direction("r2-r3", "r2")) == 5.0
    assert reservations.routers_holding(key) == ("r2", "r3")
    reservations.release_hop(key, "r9")
    reservations.release_hop(CircuitGeneration(7, 7), "r1")
    reservations.release_hop(key, "r2")
    reservations.release_hop(key, "r3")
    assert reservations.routers_holding(key) == ()
    assert reservations.held_by_circuit(1) == set()


def test_changed_links_are_told_once() -> None:
    reservations = Reservations()
    reservations.reserve(CircuitGeneration(1, 1), route(1000.0))
    assert reservations.take_changed_links() == {"r1-r2", "r2-r3"}
    assert reservations.take_changed_links() == set()
    reservations.release_hop(CircuitGeneration(1, 1), "r2")
    assert reservations.take_changed_links() == {"r2-r3"}


def test_totals_do_not_drift() -> None:
    reservations = Reservations()
    for number in range(1, 200):
        reservations.reserve(CircuitGeneration(number, 1), route(0.1 * number))
    for number in range(1, 199):
        reservations.release(CircuitGeneration(number, 1))
    assert reservations.total(OUT) == pytest.approx(0.199, rel=1e-15)
    assert reservations.total(OUT) == reservations.recomputed(OUT)


def test_a_limit_is_reckoned_also_where_the_source_has_let_go_and_others_have_not() -> None:
    reservations = Reservations()
    key = CircuitGeneration(1, 2)
    filling = replace(route(1000.0), trickle_w=(103.0,) * 3)
    reservations.reserve(CircuitGeneration(1, 1), route(1000.0))
    reservations.reserve(key, filling, standby=True)
    reservations.release_hop(key, "r1")
    reservations.release_hop(CircuitGeneration(1, 1), "r1")
    reservations.limit(frozenset({"r1", "r2"}))
    assert reservations.total(through("r1")) == 0.0
    assert reservations.total(through("r2")) == 1030.0 + 103.0
    reservations.demanded(key)
    assert reservations.total(through("r2")) == 1030.0
