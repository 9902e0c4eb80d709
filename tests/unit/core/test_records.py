"""What is written is what is found after a restart, as far as it can be known."""

from pathlib import Path

import msgspec

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.records import (
    CircuitRecord,
    GenerationRecord,
    from_record,
    to_record,
)
from controller.core.circuits.request import PowerRequest
from controller.core.messages import Stage, TransactionResult, Withdraw
from controller.store.sqlite import SqliteStore
from digitalgrid.model import CircuitGeneration, Operation, ResultCode
from tests.support.grids import diamond
from tests.support.routes import route
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


def circuit() -> Circuit:
    subject = Circuit(
        *(7, "request", "town", ("pv", "gas"), Constraints(0.1, 4, ("r9",)), 1000.0),
        priority=3,
        setup_priority=2,
        floor_w=400.0,
        last_generation=3,
        state=CircuitState.REROUTING,
        created_unix_ns=1_700_000_000_000_000_001,
        changed_unix_ns=1_700_000_000_000_000_002,
    )
    for number, phase in (*((1, Phase.WITHDRAWING), (2, Phase.CARRYING), (3, Phase.STAGING)),):
        key = CircuitGeneration(7, number)
        subject.generations[number] = Generation(key, 10 + number, route(1000.0), phase)
    subject.generations[1].freed |= {"r2"}
    return subject


def test_a_circuit_makes_the_round_trip() -> None:
    record = to_record(circuit(), "fingerprint")
    restored = from_record(record)
    assert to_record(restored, "fingerprint") == record
    assert restored.constraints == Constraints(0.1, 4, ("r9",))
    assert (restored.power_w, restored.priority, restored.last_generation) == (1000.0, 3, 3)
    assert (restored.setup_priority, restored.floor_w) == (2, 400.0)
    assert restored.generations[1].freed == {"r2"}
    assert restored.created_unix_ns + 1 == restored.changed_unix_ns == 1_700_000_000_000_000_002


def test_nothing_is_taken_for_delivered_after_a_restart() -> None:
    restored = from_record(to_record(circuit(), ""))
    phases = {number: each.phase for number, each in restored.generations.items()}
    assert phases == {1: Phase.WITHDRAWING, 2: Phase.COMMITTING, 3: Phase.COMMITTING}
    assert all(each.durable for each in restored.generations.values())
    assert restored.state is CircuitState.COMMITTING


def test_the_state_follows_from_what_was_promised() -> None:
    subject = circuit()
    subject.generations.clear()
    assert from_record(to_record(subject, "")).state is CircuitState.WAITING
    subject.admin_up = False
    assert from_record(to_record(subject, "")).state is CircuitState.WITHDRAWING
    for state in (CircuitState.WITHDRAWN, CircuitState.FAILED):
        subject.state = state
        assert from_record(to_record(subject, "")).state is state


def test_a_standby_is_one_after_a_restart_and_never_taken_for_what_carries() -> None:
    subject = circuit()
    subject.generations[3].role = Role.STANDBY
    restored = from_record(to_record(subject, ""))
    assert [each.role for each in restored.generations.values()] == [
        *(Role.WORKING, Role.WORKING, Role.STANDBY)
    ]
    assert newest(restored).key.generation == 2


def test_a_circuit_with_nothing_but_a_standby_waits_after_a_restart() -> None:
    subject = circuit()
    subject.generations = {3: subject.generations[3]}
    subject.generations[3].role = Role.STANDBY
    assert from_record(to_record(subject, "")).state is CircuitState.WAITING


def test_generations_stored_before_there_were_standbys_are_working_ones() -> None:
    (_, older, _) = to_record(circuit(), "").generations
    encoded = msgspec.to_builtins(older)[:5]
    assert not msgspec.convert(encoded, GenerationRecord).standby


def test_what_was_stored_before_there_were_floors_has_none_and_displaces_by_its_priority() -> None:
    record = to_record(circuit(), "")
    encoded = msgspec.to_builtins(record)[:13]
    encoded[11] = [each[:6] for each in encoded[11]]
    older = from_record(msgspec.convert(encoded, CircuitRecord))
    assert (older.priority, older.setup_priority, older.floor_w) == (3, 3, 0.0)
    # As its routers were told then: they would take other values for another hop.
    assert {(each.priority, each.floor_w) for each in older.generations.values()} == {(0, 0.0)}


def test_a_restart_keeps_promises_reservations_and_numbers() -> None:
    network = SimulatedNetwork.running(diamond())
    request = PowerRequest("request", "town", 2e6, ("solar",))
    (before,) = network.request(request)
    network.deliver_all()
    totals = network.core.questions.reserved()
    network.kill_controller(written=0)
    network.start_controller()
    assert totals == network.core.questions.reserved()
    assert network.request(request)[0].circuit_id == before.circuit_id
    network.heal()
    network.check_rest()
    (generation,) = network.core.questions.circuits[1].generations.values()
    assert generation.key.generation == 1, "nothing had to move"
    (other,) = network.request(PowerRequest("other", "pump", 1e5))
    assert other.circuit_id == 2


def test_records_survive_the_sqlite_store(tmp_path: Path) -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("request", "town", 2e6, ("solar",)))
    network.deliver_all()
    network.release(1)
    (_, change) = network.store.pending[-1]
    store = SqliteStore(tmp_path / "store.sqlite")
    store.load()
    store.start(lambda ticket: None, lambda error: None)
    store.submit(1, change)
    store.close()
    store = SqliteStore(tmp_path / "store.sqlite")
    state = store.load()
    store.close()
    assert (state.circuits, state.counters) == (change.circuits, change.counters)


def test_what_a_silent_routers_neighbours_have_freed_stays_free_over_a_restart() -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("first", "town", 3e6, ("gas",)))
    network.deliver_all()
    network.loses = lambda router_id, message: router_id == "r4" and isinstance(message, Withdraw)
    network.release(1)
    network.deliver_all()
    assert network.core.questions.routers_holding(CircuitGeneration(1, 1)) == ("r4",)
    # The source, freed at r3, is given to another.
    network.request(PowerRequest("second", "works", 3e6, ("gas",)))
    network.deliver_all()
    network.kill_controller(written=0)
    network.start_controller()
    network.check()
    assert network.core.questions.routers_holding(CircuitGeneration(1, 1)) == ("r4",)
    network.loses = lambda router_id, message: False
    network.heal()
    network.check_rest()


def test_a_promise_is_not_given_up_because_a_router_has_no_room_after_a_restart() -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("request", "town", 2e6, ("solar",)))
    network.deliver_all()
    network.event(lambda core, now_ns: core.change(1, 3e6, now_ns))
    network.kill_controller(written=9)
    network.start_controller()
    circuit = network.core.questions.circuits[1]
    assert sorted(circuit.generations) == [1, 2]
    network.connect("r1")
    while not network.sessions["r1"].to_router:
        network.deliver_to_controller("r1")
    network.deliver_to_router("r1")
    network.deliver_to_controller("r1")
    (stage, _) = network.sessions["r1"].to_router
    assert isinstance(stage, Stage)
    refusal = TransactionResult(stage.txn_id, Operation.STAGE, ResultCode.INVALID_HOP, "no room")
    network.tell("r1", refusal)
    assert circuit.admin_up and not circuit.state.ended
    network.heal()
    network.check_rest()
    assert circuit.state is CircuitState.ACTIVE


def test_a_line_that_was_derated_while_the_daemon_was_away_is_relieved() -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("request", "town", 4e6, ("solar",)))
    network.deliver_all()
    network.kill_controller(written=0)
    network.derate("r1-r2", 100.0)
    network.heal()
    network.check_rest()
    circuit = network.core.questions.circuits[1]
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
