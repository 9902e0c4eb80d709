"""Standbys that begin where their circuits do, and are made anew elsewhere once another source is back."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from controller.core.admission.standby_search import StandbySearch
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.messages import CircuitStatus, TransactionResult
from controller.core.promises import standby_making, standby_renewing
from digitalgrid.gridfile import loads_grid
from digitalgrid.model import Operation
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support import three_ways
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

# Three ways to town from each of two plants, of which the second is a little farther away.
_TWO_PLANTS = """
name: two-plants
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 300, resistance_ohm: 0.2}
routers: [{id: a}, {id: b}, {id: l}, {id: m}, {id: n}, {id: t}, {id: u}]
links:
  - {id: a-l, a: a, b: l}
  - {id: a-m, a: a, b: m, resistance_ohm: 0.3}
  - {id: a-n, a: a, b: n, resistance_ohm: 0.5}
  - {id: b-l, a: b, b: l, resistance_ohm: 0.5}
  - {id: b-m, a: b, b: m, resistance_ohm: 0.5}
  - {id: b-n, a: b, b: n, resistance_ohm: 0.5}
  - {id: l-t, a: l, b: t}
  - {id: m-t, a: m, b: t}
  - {id: n-t, a: n, b: t}
  - {id: t-u, a: t, b: u}
sources:
  - {id: first, router: a, max_power_w: 6e6}
  - {id: second, router: b, max_power_w: 6e6}
loads: [{id: town, router: t, power_w: 6e6}]
"""


def on_two_plants(count: int = 3) -> SimulatedNetwork:
    """Circuits that one of them serves, and whose standbys begin at the other."""
    network = SimulatedNetwork.running(loads_grid(_TWO_PLANTS, "two-plants"))
    for number in range(count):
        network.request(PowerRequest(f"c{number}", "town", 1e4, protect=Against.ROUTER))
    settle(network, 200 * NS_PER_MS)
    return network


def lose_second(network: SimulatedNetwork) -> None:
    """The second is gone, and the first has to do for both."""
    network.kill_router("b")
    settle(network, 2 * NS_PER_S)
    assert standbys_from(network) == {"first"}


def bring_back_second(network: SimulatedNetwork) -> None:
    network.restart_router("b")
    network.connect("b")


def circuits_of(network: SimulatedNetwork) -> list[Circuit]:
    return list(network.core.questions.circuits.values())


def standbys_from(network: SimulatedNetwork) -> set[str]:
    circuits = circuits_of(network)
    assert {newest(each).route.source_id for each in circuits} == {"first"}
    assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    return {there(each.standby()).route.source_id for each in circuits}


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The circuits for which a standby was searched for, one after the other."""
    found: list[int] = []
    beside: Callable[..., object] = StandbySearch.beside

    def counted(*args: object, circuit_id: int, **how: object) -> object:
        found.append(circuit_id)
        return beside(*args, circuit_id=circuit_id, **how)

    monkeypatch.setattr(StandbySearch, "beside", counted)
    return found


def test_once_a_source_is_back_standbys_are_made_anew_from_there_while_the_others_stay() -> None:
    network = on_two_plants()
    lose_second(network)
    circuits = circuits_of(network)
    near = {there(each.standby()).key for each in circuits}
    bring_back_second(network)
    end_ns = network.now_ns + 3 * NS_PER_S
    while network.now_ns < end_ns:
        settle(network, 100 * NS_PER_MS)
        assert {each.guard.word for each in circuits} == {Protection.PROTECTED}
    assert standbys_from(network) == {"second"}
    left = {each.key for circuit in circuits for each in circuit.standbys()}
    assert len(left) == len(circuits) and not left & near


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_new_leader_looks_elsewhere_for_what_another_had_made_when_there_was_nothing(
    first: str,
) -> None:
    network = on_two_plants()
    lose_second(network)
    network.kill_controller(len(network.store.pending))
    network.grid.routers["b"].start()
    network.now_ns += NS_PER_S
    network.start_controller()
    for router_id in sorted(network.grid.routers, key=lambda each: each != first):
        network.connect(router_id)
    settle(network, 4 * NS_PER_S)
    assert standbys_from(network) == {"second"}


def test_a_source_that_returns_while_standbys_are_set_up_is_seen_once_they_are() -> None:
    network = on_two_plants()
    late: list[TransactionResult] = []

    def is_late(router_id: str, message: object) -> bool:
        if router_id != "t" or not isinstance(message, TransactionResult):
            return False
        if message.operation is not Operation.COMMIT:
            return False
        late.append(message)
        return True

    network.loses = is_late
    network.kill_router("b")
    settle(network, 150 * NS_PER_MS)
    bring_back_second(network)
    settle(network, 1500 * NS_PER_MS)
    assert late and not any(each.charged for c in circuits_of(network) for each in c.standbys())
    network.loses = lambda router_id, message: False
    for message in late:
        network.tell("t", message)
    settle(network, 4 * NS_PER_S)
    assert standbys_from(network) == {"second"}


def test_who_comes_to_begin_where_its_circuit_does_is_looked_at_soon_where_anything_is_new() -> (
    None
):
    network = on_two_plants(count=1)
    lose_second(network)
    (circuit,) = circuits_of(network)
    renewer = network.core._parts.protector.maker._renewer
    renewer.note_search(circuit)
    for anything_new in (False, True):
        renewer._near.clear()
        renewer.views += anything_new
        assert renewer.look_at(circuit) is anything_new
        assert not renewer.look_at(circuit), "it is known"


def test_a_standby_that_protects_is_not_given_up_for_one_elsewhere_that_never_fills() -> None:
    network = on_two_plants(count=1)
    lose_second(network)
    (circuit,) = circuits_of(network)
    near = there(circuit.standby())
    network.loses = lambda router_id, message: (
        isinstance(message, CircuitStatus) and message.key.generation > near.key.generation
    )
    bring_back_second(network)
    settle(network, 2 * NS_PER_S)
    assert len(circuit.standbys()) == 2
    settle(network, 12 * NS_PER_S)
    assert circuit.standbys() == [near] and near.charged
    assert circuit.guard.word is Protection.PROTECTED
    before = circuit.last_generation
    settle(network, 4 * NS_PER_S)
    assert circuit.last_generation == before, "nothing has changed that would help"


def test_what_never_fills_elsewhere_is_made_less_and_less_often_and_stays_once_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standby_renewing, "_ELSEWHERE_AGAIN_NS", 10 * NS_PER_S)
    network = on_two_plants(count=1)
    lose_second(network)
    (circuit,) = circuits_of(network)
    near = there(circuit.standby())
    network.loses = lambda router_id, message: (
        isinstance(message, CircuitStatus) and message.key.generation > near.key.generation
    )
    bring_back_second(network)

    def go_on(second: int) -> None:
        """The network changes all the time, where it does not matter."""
        (network.mend if second % 2 else network.cut)("t-u")
        settle(network, NS_PER_S)
        network.advertise(*network.grid.routers)

    made_s, last = [], circuit.last_generation
    for second in range(80):
        go_on(second)
        if circuit.last_generation > last:
            made_s.append(second)
            last = circuit.last_generation
    assert circuit.standbys() == [near] and near.charged
    waits_s = [later - earlier for earlier, later in pairwise(made_s)]
    assert len(waits_s) == 2 and 20 < waits_s[0] < 26 < 30 < waits_s[1] < 36
    network.loses = lambda router_id, message: False
    for second in range(40):
        go_on(second)
    assert standbys_from(network) == {"second"}, "what has changed meanwhile is not forgotten"
    renewer = network.core._parts.protector.maker._renewer
    assert renewer.next_deadline_ns() is None and not renewer._elsewhere_again._after_ns


def test_nobody_waits_for_two_turns_however_often_the_network_changes_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = on_two_plants()
    lose_second(network)
    monkeypatch.setattr(standby_making, "_PAUSE_NS", 60 * NS_PER_S)
    monkeypatch.setattr(StandbySearch, "beside", lambda *args, **how: None)
    bring_back_second(network)
    for number in range(6):
        network.deliver_all()
        network.advance(1100 * NS_PER_MS)
        (network.mend if number % 2 else network.cut)("t-u")
    renewer = network.core._parts.protector.maker._renewer
    assert renewer.any_to_renew
    renewer.renew_some(len(circuits_of(network)), network.now_ns)
    assert not renewer.any_to_renew


def test_renewals_are_among_the_few_searches_of_one_event(searches: list[int]) -> None:
    network = on_two_plants(count=8)
    lose_second(network)
    bring_back_second(network)
    network.deliver_all()
    protector = network.core._parts.protector
    protector.maker._renewer.try_again()
    for circuit in circuits_of(network)[3:]:
        protector.give_way(circuit, "others need it", network.now_ns)
        protector.tend(circuit, network.now_ns)
    searches.clear()
    network.event(lambda core, now_ns: core.on_timer(now_ns))
    assert len(searches) == standby_making._MAX_SEARCHES
    lacking = [each.circuit_id for each in circuits_of(network)[3:]]
    assert len(set(searches) - set(lacking)) == 1, "one of those that have a standby"


def test_where_no_other_router_has_a_source_nobody_looks_for_one(searches: list[int]) -> None:
    network = three_ways.three_ways()
    circuit = three_ways.protected(network, protect=Against.ROUTER)
    searches.clear()
    network.cut("r5-r6")
    settle(network, 3 * NS_PER_S)
    assert circuit.guard.word is Protection.PROTECTED
    assert searches == []
