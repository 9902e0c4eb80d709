"""Drains: a link or router is taken out of service, and what was there goes elsewhere without a loss of power."""

import pytest

from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.records import Counters, StateChange
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import Commit, Stage, Withdraw
from controller.core.network.admin import GIVE_UP_AFTER_NS, AdminState, Block, Hindrance
from controller.core.promises.pacing import MAX_AT_ONCE
from controller.core.replica import Replica
from controller.core.settings import CoreSettings
from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.active import active, path
from tests.support.draining import blocks, decided, drain, run, state, undrain
from tests.support.grids import diamond, narrow
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def test_what_crosses_a_drained_link_leaves_it_and_nothing_else_moves(
    network: SimulatedNetwork,
) -> None:
    crossing, other = active(network), active(network, 1e6, "works")
    assert path(crossing) == ("r1", "r2", "r4")
    assert drain(network, "r2-r4")
    assert state(network, "r2-r4") is AdminState.DRAINING
    run(network)
    assert state(network, "r2-r4") is AdminState.DRAINED
    assert (crossing.state, path(crossing)) == (CircuitState.ACTIVE, ("r1", "r3", "r4"))
    assert (crossing.interruptions, other.last_generation) == (0, 1)
    assert decided(network, "drain") == [("r2-r4", "drained")]


def test_the_old_path_carries_until_the_new_one_delivers(network: SimulatedNetwork) -> None:
    crossing = active(network)
    sink = network.grid.routers["r4"]
    drain(network, "r2-r4")
    while state(network, "r2-r4") is AdminState.DRAINING:
        network.make_durable(1)
        for router_id, session in network.sessions.items():
            if session.to_router:
                network.deliver_to_router(router_id)
            if session.to_controller:
                network.deliver_to_controller(router_id)
        network.advance(NS_PER_MS)
        generations = [CircuitGeneration(crossing.circuit_id, number) for number in (1, 2)]
        assert any(network.grid.path_is_complete(each, sink) for each in generations)
    assert state(network, "r2-r4") is AdminState.DRAINED


def test_a_drained_router_is_on_no_path_and_gets_nothing_new(network: SimulatedNetwork) -> None:
    crossing = active(network)
    drain(network, "r2")
    run(network)
    assert state(network, "r2") is AdminState.DRAINED
    assert path(crossing) == path(active(network, 1e6)) == ("r1", "r3", "r4")
    assert not any(router_id == "r2" for router_id, _ in network.grid.held())
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("x", "works", 1e6))
    assert refused.value.reason is Reason.OUT_OF_SERVICE
    assert "'r2' of load 'works' is drained" in str(refused.value)


def test_new_work_is_kept_out_however_much_better_the_path_were(
    network: SimulatedNetwork,
) -> None:
    drain(network, "r1-r2")
    assert path(active(network, 1e6, "works")) == ("r1", "r3", "r4", "r2")
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("x", "town", 1e6, ("solar",), Constraints(avoid_ids=("r3",))))
    assert refused.value.reason is Reason.CONSTRAINTS_UNSATISFIABLE
    network.cut("r1-r3")
    network.deliver_all()
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("y", "town", 1e6, ("solar",)))
    assert "r1-r3 being down and r1-r2 being drained" in str(refused.value)


def test_draining_what_is_drained_changes_nothing_and_undraining_moves_nothing_back(
    network: SimulatedNetwork,
) -> None:
    crossing = active(network)
    drain(network, "r2-r4", emergency_use=True)
    run(network)
    word = network.core.questions.drains["r2-r4"]
    assert not drain(network, "r2-r4")
    assert network.core.questions.drains["r2-r4"] == word
    undrain(network, "r2-r4")
    run(network)
    assert (state(network, "r2-r4"), crossing.last_generation) == (AdminState.IN_SERVICE, 2)
    assert path(active(network, 1e6)) == ("r1", "r2", "r4")
    with pytest.raises(Refusal) as refused:
        undrain(network, "r2-r4")
    assert refused.value.reason is Reason.NOT_DRAINED


@pytest.mark.parametrize(
    ("id_", "text"),
    [
        ("r4", "circuit 1: its load 'town' is at r4"),
        ("r1", "circuit 1: it may be served from solar only"),
        ("r2-r4", "circuit 1: no other way leads to its load 'town' from 'solar' or another source; down: r1-r3"),
    ],
)  # fmt: skip
def test_a_drain_of_the_only_way_is_refused_and_names_the_circuits(
    network: SimulatedNetwork, id_: str, text: str
) -> None:
    circuit = active(network)
    network.cut("r1-r3")
    network.deliver_all()
    with pytest.raises(Refusal) as refused:
        drain(network, id_)
    assert refused.value.reason is Reason.DRAIN_WITHOUT_END
    assert text in str(refused.value)
    assert refused.value.metadata == {"id": id_, "circuit_ids": str(circuit.circuit_id)}
    assert state(network, id_) is AdminState.IN_SERVICE
    # Whoever wants it closed meanwhile says so.
    assert drain(network, id_, give_up_after_ns=0)
    run(network, 2 * GIVE_UP_AFTER_NS // 100)
    assert state(network, id_) is AdminState.DRAINING
    assert blocks(network, id_).keys() == {circuit.circuit_id}
    network.release(circuit.circuit_id)
    run(network)
    assert state(network, id_) is AdminState.DRAINED


def test_what_nobody_knows_is_not_drained(network: SimulatedNetwork) -> None:
    for id_ in ("r9", ""):
        with pytest.raises(Refusal) as refused:
            drain(network, id_)
        assert refused.value.reason is Reason.UNKNOWN_ELEMENT
    with pytest.raises(Refusal):
        undrain(network, "r9")


def test_the_most_urgent_leave_last_and_who_has_no_room_stays_and_is_told_why() -> None:
    network = SimulatedNetwork.running(narrow())
    clinic, town = active(network, sink="clinic"), active(network)
    assert path(clinic) == path(town) == ("r1", "r3")
    drain(network, "r1-r3", give_up_after_ns=20 * NS_PER_S)
    run(network)
    # Only one of them fits beside: the less urgent was asked first.
    assert (path(town), path(clinic)) == (("r1", "r2", "r3"), ("r1", "r3"))
    assert (clinic.state, clinic.last_generation) == (CircuitState.ACTIVE, 1)
    (block,) = network.core.questions.drain_blocks("r1-r3")
    assert (block.circuit_id, block.why) == (clinic.circuit_id, Hindrance.NO_ROOM)
    assert "held up by the capacity of r1-r2" in block.text or "r2-r3" in block.text
    assert state(network, "r1-r3") is AdminState.DRAINING
    network.advance(20 * NS_PER_S)
    # It is not closed for ever, with nobody knowing.
    assert state(network, "r1-r3") is AdminState.IN_SERVICE
    assert ("r1-r3", "given up, and back in service") in decided(network, "drain")


def test_who_cannot_leave_otherwise_goes_down_to_its_floor_where_that_is_allowed() -> None:
    network = SimulatedNetwork.running(narrow())
    (town,) = network.request(PowerRequest("a", "town", 4e6, floor_w=2e6))
    run(network)
    drain(network, "r1-r3")
    run(network)
    (block,) = network.core.questions.drain_blocks("r1-r3")
    assert block.why is Hindrance.NO_ROOM
    assert block.text.endswith("; with its floor of 2 MW it could, by --curtail")
    undrain(network, "r1-r3")
    drain(network, "r1-r3", curtail=True)
    run(network)
    assert state(network, "r1-r3") is AdminState.DRAINED
    assert (town.state, path(town)) == (CircuitState.DEGRADED, ("r1", "r2", "r3"))
    assert (newest(town).route.power_w, town.power_w) == (2e6, 4e6)
    assert str(town.curtailed) == "curtailed by the drain of r1-r3: 2 MW of 4 MW"
    undrain(network, "r1-r3")
    run(network)
    assert (town.state, town.curtailed, town.interruptions) == (CircuitState.ACTIVE, None, 0)
    assert newest(town).route.power_w == 4e6


def test_who_has_less_than_was_asked_for_leaves_with_that() -> None:
    """Without leave to curtail: nobody has less than before."""
    network = SimulatedNetwork.running(narrow())
    (town,) = network.request(PowerRequest("a", "town", 4e6, floor_w=2e6))
    run(network)
    drain(network, "r1-r3", curtail=True)
    run(network)
    assert newest(town).route.power_w == 2e6
    # Another keeps it there, when the line is back.
    network.derate("r1-r3", 120.0)
    undrain(network, "r1-r3")
    run(network)
    drain(network, "r1-r2")
    run(network)
    assert state(network, "r1-r2") is AdminState.DRAINED
    assert (path(town), newest(town).route.power_w) == (("r1", "r3"), 2e6)
    assert there(town.curtailed).by == "the drain of r1-r3"


def test_whose_floor_has_no_room_either_stays_and_is_told_so() -> None:
    network = SimulatedNetwork.running(narrow())
    (town,) = network.request(PowerRequest("a", "town", 4e6, floor_w=3e6))
    run(network)
    drain(network, "r1-r3", curtail=True)
    run(network)
    (block,) = network.core.questions.drain_blocks("r1-r3")
    assert block.text.startswith("not even with 3 MW of its power: ")
    assert (town.state, town.curtailed) == (CircuitState.ACTIVE, None)


def test_a_drain_goes_on_by_itself_once_there_is_room() -> None:
    network = SimulatedNetwork.running(narrow())
    clinic, town = active(network, sink="clinic"), active(network)
    drain(network, "r1-r3")
    run(network)
    network.release(town.circuit_id)
    run(network)
    assert state(network, "r1-r3") is AdminState.DRAINED
    assert (path(clinic), clinic.interruptions) == (("r1", "r2", "r3"), 0)


def test_no_more_than_a_few_move_at_a_time(network: SimulatedNetwork) -> None:
    made = [active(network, 5e4) for _ in range(3 * MAX_AT_ONCE)]
    crossing = [each for each in made if path(each) == ("r1", "r2", "r4")]
    assert len(crossing) >= 2 * MAX_AT_ONCE
    drain(network, "r2-r4")
    moving = [each for each in crossing if each.state is CircuitState.REROUTING]
    # The older promise is the more urgent.
    assert moving == crossing[-MAX_AT_ONCE:]
    most = 0
    for _ in range(200):
        network.deliver_all()
        network.advance(20 * NS_PER_MS)
        most = max(most, sum(len(each.generations) > 1 for each in crossing))
        if state(network, "r2-r4") is AdminState.DRAINED:
            break
    assert state(network, "r2-r4") is AdminState.DRAINED
    assert most <= MAX_AT_ONCE
    assert {path(each) for each in crossing} == {("r1", "r3", "r4")}
    network.check()


def test_a_router_that_was_away_may_hold_something_so_nothing_is_drained_without_it(
    network: SimulatedNetwork,
) -> None:
    """What a drain that is missed while a router is away costs elsewhere."""
    crossing = active(network)
    network.disconnect("r2")
    drain(network, "r2-r4")
    run(network, 12 * NS_PER_S)
    assert path(crossing) == ("r1", "r3", "r4")
    assert state(network, "r2-r4") is AdminState.DRAINING
    (block,) = network.core.questions.drain_blocks("r2-r4")
    assert block == Block(
        crossing.circuit_id,
        Hindrance.ROUTER_AWAY,
        "it has left, but r2, which may hold on, is away",
    )
    assert any(router_id == "r2" for router_id, _ in network.grid.held())
    network.connect("r2")
    run(network)
    assert state(network, "r2-r4") is AdminState.DRAINED
    assert not any(router_id == "r2" for router_id, _ in network.grid.held())


def test_nothing_is_known_of_a_router_that_was_never_read(network: SimulatedNetwork) -> None:
    network.disconnect("r2")
    drain(network, "r2")
    run(network, 12 * NS_PER_S)
    assert network.core.questions.drain_blocks("r2") == (
        Block(0, Hindrance.ROUTER_AWAY, "router r2 is away: what it holds is not known"),
    )
    network.connect("r2")
    run(network)
    assert state(network, "r2") is AdminState.DRAINED


def orphan(network: SimulatedNetwork, router_id: str) -> HopSnapshot:
    """A hop that nobody has booked, on the router alone."""
    hop = HopSnapshot(*(77, 1, 1, 1e6, 1.1e6, 1e6, 1e6), ingress_link_id="r2-r4", load_id="town")
    for message in (Stage(1, 2000, (hop,)), Commit(1)):
        network.grid.routers[router_id].apply(message, ElectionId(0, network.store.epoch), 0)
    network.forgotten.add(router_id)
    network.once_forgotten.add(router_id)
    return hop


def test_what_a_router_holds_without_being_booked_is_no_less_there(
    network: SimulatedNetwork,
) -> None:
    hop = orphan(network, "r4")
    network.loses = lambda _, message: isinstance(message, Withdraw)
    drain(network, "r2-r4")
    run(network)
    assert ("r4", hop.key) in network.grid.held()
    assert state(network, "r2-r4") is AdminState.DRAINING
    network.loses = lambda _, message: False
    run(network, 12 * NS_PER_S)
    assert ("r4", hop.key) not in network.grid.held()
    assert state(network, "r2-r4") is AdminState.DRAINED


def test_a_router_that_brings_a_hop_along_ends_that_it_is_drained(
    network: SimulatedNetwork,
) -> None:
    drain(network, "r2-r4")
    run(network)
    network.disconnect("r4")
    orphan(network, "r4")
    network.loses = lambda _, message: isinstance(message, Withdraw)
    network.connect("r4")
    network.deliver_all()
    assert state(network, "r2-r4") is AdminState.DRAINING
    network.loses = lambda _, message: False
    run(network, 12 * NS_PER_S)
    assert state(network, "r2-r4") is AdminState.DRAINED
    texts = [text for id_, text in decided(network, "drain") if id_ == "r2-r4"]
    assert texts == ["drained", "draining again", "drained"]


@pytest.mark.parametrize("written", range(12))
def test_a_new_leader_resumes_a_drain_at_any_point(written: int) -> None:
    network = SimulatedNetwork.running(diamond())
    crossing = active(network).circuit_id
    drain(network, "r2-r4")
    ticket = network.last_ticket
    for _ in range(written):
        if network.store.pending:
            network.make_durable(1)
        for router_id in list(network.sessions):
            if network.sessions[router_id].to_router:
                network.deliver_to_router(router_id)
            if network.sessions[router_id].to_controller:
                network.deliver_to_controller(router_id)
    promised = network.store.durable_ticket >= ticket
    network.kill_controller(0)
    network.start_controller()
    if promised:
        assert state(network, "r2-r4") in (AdminState.DRAINING, AdminState.DRAINED)
    for router_id in network.grid.routers:
        network.connect(router_id)
    run(network, 8 * NS_PER_S)
    drained = state(network, "r2-r4") is AdminState.DRAINED
    assert drained == (state(network, "r2-r4") is not AdminState.IN_SERVICE)
    circuit = network.core.questions.circuits[crossing]
    assert (circuit.state, path(circuit) == ("r1", "r3", "r4")) == (CircuitState.ACTIVE, drained)
    network.check_rest()


def test_the_time_until_it_is_given_up_goes_on_over_a_restart() -> None:
    network = SimulatedNetwork.running(narrow())
    active(network, sink="clinic"), active(network)
    drain(network, "r1-r3", give_up_after_ns=20 * NS_PER_S)
    run(network, 15 * NS_PER_S)
    network.kill_controller(99)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    run(network, 4 * NS_PER_S)
    assert state(network, "r1-r3") is AdminState.DRAINING
    run(network, 2 * NS_PER_S)
    assert state(network, "r1-r3") is AdminState.IN_SERVICE


def test_a_fault_elsewhere_uses_what_is_drained_only_where_an_operator_allows_it(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    drain(network, "r2-r4")
    run(network)
    network.cut("r1-r3")
    run(network)
    assert circuit.state is CircuitState.WAITING
    network.mend("r1-r3")
    run(network)
    undrain(network, "r2-r4")
    drain(network, "r2-r4", emergency_use=True, give_up_after_ns=5 * NS_PER_S)
    run(network)
    assert state(network, "r2-r4") is AdminState.DRAINED
    network.cut("r1-r3")
    run(network)
    # The last resort: draining again, and never given up any more.
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, ("r1", "r2", "r4"))
    run(network, 10 * NS_PER_S)
    assert state(network, "r2-r4") is AdminState.DRAINING
    assert blocks(network, "r2-r4") == {circuit.circuit_id: Hindrance.ONLY_WAY}
    with pytest.raises(Refusal):
        network.request(PowerRequest("new", "town", 1e6, ("solar",)))
    network.mend("r1-r3")
    run(network)
    assert state(network, "r2-r4") is AdminState.DRAINED
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, ("r1", "r3", "r4"))


def test_a_move_whose_new_path_is_cut_leaves_the_circuit_where_it_has_power(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network)
    drain(network, "r2-r4")
    network.cut("r1-r3")
    run(network)
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, ("r1", "r2", "r4"))
    assert circuit.interruptions == 0
    assert blocks(network, "r2-r4") == {circuit.circuit_id: Hindrance.ONLY_WAY}
    network.mend("r1-r3")
    run(network)
    assert state(network, "r2-r4") is AdminState.DRAINED


def test_a_forgotten_router_takes_its_word_along(network: SimulatedNetwork) -> None:
    drain(network, "r2")
    run(network)
    network.kill_router("r2")
    network.deliver_all()
    network.event(lambda core, now_ns: core.forget_router("r2", now_ns))
    assert state(network, "r2") is AdminState.IN_SERVICE
    assert ("r2", "forgotten") in decided(network, "undrain")


def test_nothing_is_drained_while_routers_are_still_coming_back() -> None:
    network = SimulatedNetwork(diamond(), CoreSettings(starting_ns=NS_PER_S))
    with pytest.raises(Refusal) as refused:
        drain(network, "r2")
    assert refused.value.reason is Reason.ROUTERS_RETURNING


def test_a_standby_knows_what_is_taken_out_of_service_from_the_leader() -> None:
    """A member of a cluster that stands by, and is to lead."""
    network = SimulatedNetwork.running(diamond())
    replica = Replica.new(CoreSettings(), 0)
    replica.on_state(network.store.load())
    for router_id, router in network.grid.routers.items():
        replica.on_connected(router_id, 1)
        replica.on_lsa(router.lsa(), 2)
        replica.on_sync_done(router_id, 3)
    drain(network, "r2-r4")
    changes = [change for _, change in network.store.pending]
    for change in changes:
        replica.on_change(change)
    view = replica.questions.view
    assert view.links["r2-r4"].admin is AdminState.DRAINING
    assert not view.admits(view.links["r2-r4"])
    replica.on_change(StateChange((), Counters(), undrained_ids=("r2-r4",)))
    view = replica.questions.view
    assert view.admits(view.links["r2-r4"])
