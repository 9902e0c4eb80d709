"""What every kind of store promises to the controller, and to tools."""

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    GenerationRecord,
    RegisterRecord,
    StateChange,
    StoredState,
)
from controller.core.network.admin import AdminState, DrainRecord
from controller.core.network.owners import RouterRecord
from controller.store.archive import read_archive, write_archive
from controller.store.protocol import (
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    Store,
    StoreContents,
    StoreError,
)
from tests.conformance.backends import Backend
from tests.support.durability import Durability
from tests.support.records import (
    audit_entry,
    circuit_record,
    drain_record,
    register_record,
    router_record,
)
from tests.support.routes import route

COUNTERS = Counters(10_000, 20_000, 30_000)


def change(
    *circuits: CircuitRecord, forgotten: tuple[int, ...] = (), audit: tuple[AuditEntry, ...] = ()
) -> StateChange:
    return StateChange(circuits, COUNTERS, forgotten, audit)


def loaded(backend: Backend) -> StoredState:
    """Of one more term."""
    store = backend.open()
    state = store.load()
    store.close()
    return state


def circuits_of(state: StoredState) -> list[CircuitRecord]:
    return sorted(state.circuits, key=lambda each: each.circuit_id)


def write(backend: Backend, *changes: StateChange) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    for ticket, each in enumerate(changes, 1):
        store.submit(ticket, each)
    durability.wait(len(changes))
    store.close()


def everything(contents: StoreContents) -> tuple[Counters, list[CircuitRecord], list[AuditEntry]]:
    return contents.counters, list(contents.circuits), list(contents.audit)


def test_a_new_store_is_empty(backend: Backend) -> None:
    state = loaded(backend)
    assert (state.circuits, state.counters) == ((), Counters())


def test_what_was_durable_is_loaded_in_the_next_term(backend: Backend) -> None:
    write(backend, change(circuit_record(3)), change(circuit_record(1), circuit_record(2)))
    state = loaded(backend)
    assert circuits_of(state) == [circuit_record(each) for each in (1, 2, 3)]
    assert state.counters == COUNTERS


def test_the_last_record_of_a_circuit_wins(backend: Backend) -> None:
    write(backend, *(change(circuit_record(1, power_w)) for power_w in (1.0, 2.0, 3.0)))
    assert circuits_of(loaded(backend)) == [circuit_record(1, 3.0)]


def test_what_is_forgotten_is_gone(backend: Backend) -> None:
    write(
        backend, change(circuit_record(1), circuit_record(2)), change(forgotten=(1, 77)), change()
    )
    assert circuits_of(loaded(backend)) == [circuit_record(2)]


def test_counters_are_those_of_the_last_change(backend: Backend) -> None:
    write(backend, change(), StateChange((), Counters(5, 6, 7)))
    assert loaded(backend).counters == Counters(5, 6, 7)


def test_audit_entries_are_kept_in_order(backend: Backend) -> None:
    entries = tuple(audit_entry(seq) for seq in range(1, 41))
    write(backend, *(change(audit=entries[start : start + 4]) for start in range(0, 40, 4)))
    assert tuple(backend.access().read().audit) == entries


def test_the_newest_entries_of_those_that_are_asked_for_are_read_beside_the_leader(
    backend: Backend,
) -> None:
    entries = [
        msgspec.structs.replace(audit_entry(seq), subject=f"s{seq % 3}", at_unix_ns=1_000 + seq)
        for seq in range(1, 31)
    ]
    store = backend.open()
    store.load()
    assert store.audit(AuditQuestion(5)) == []
    durability = Durability(store)
    store.submit(1, change(audit=tuple(entries)))
    durability.wait(1)
    for question in (
        AuditQuestion(5),
        AuditQuestion(100),
        AuditQuestion(4, frozenset({"s1"})),
        AuditQuestion(100, frozenset({"s1", "s2", "nobody"}), 1_010),
    ):
        wanted = [each for each in entries if question.wants(each)]
        assert store.audit(question) == wanted[-question.newest :]
    store.close()


def routers_of(records: Iterable[RouterRecord]) -> list[RouterRecord]:
    return sorted(records, key=lambda each: each.router_id)


def drains_of(records: Iterable[DrainRecord]) -> list[DrainRecord]:
    return sorted(records, key=lambda each: each.id)


def owned(*routers: RouterRecord, forgotten: tuple[str, ...] = ()) -> StateChange:
    return StateChange((), COUNTERS, routers=routers, forgotten_router_ids=forgotten)


def test_what_routers_own_is_loaded_in_the_next_term_and_the_last_word_wins(
    backend: Backend,
) -> None:
    gone, kept = router_record("r1", "home"), router_record("r2")
    moved = router_record("r3", "home")
    write(backend, owned(gone, kept, router_record("r3")), owned(moved, forgotten=("r1", "x")))
    state = loaded(backend)
    assert routers_of(state.routers) == [kept, moved]
    assert routers_of(backend.access().read().routers) == [kept, moved]
    assert backend.access().verify() == []


def test_what_two_routers_own_is_found(backend: Backend) -> None:
    write(backend, owned(router_record("r1", "home"), router_record("r2", "home")))
    (found,) = backend.access().verify()
    assert "load 'home' is owned by r1 and r2" in found


def test_drains_are_loaded_in_the_next_term_and_the_last_word_wins(backend: Backend) -> None:
    begun, ended = drain_record("r3-r5"), drain_record("r3-r5", AdminState.DRAINED)
    write(
        backend,
        StateChange((), COUNTERS, drains=(begun, drain_record("r2"), drain_record("r1"))),
        StateChange((), COUNTERS, drains=(ended,), undrained_ids=("r2", "x")),
    )
    assert drains_of(loaded(backend).drains) == [drain_record("r1"), ended]
    assert drains_of(backend.access().read().drains) == [drain_record("r1"), ended]
    assert backend.access().verify() == []


def registers_change(*registers: RegisterRecord) -> StateChange:
    return StateChange((), COUNTERS, registers=registers)


def test_final_registers_are_kept_for_ever_with_the_circuit_that_they_are_of(
    backend: Backend,
) -> None:
    ended = [register_record(circuit_id, 1) for circuit_id in (2, 1, 300)]
    write(
        backend,
        StateChange((circuit_record(1),), COUNTERS, registers=tuple(ended[:2])),
        StateChange((), COUNTERS, (1,), registers=(ended[2],)),
    )
    write(backend, change())
    in_order = sorted(ended, key=lambda each: each.key)
    assert list(backend.access().read().registers) == in_order
    assert backend.access().verify() == []
    assert loaded(backend).circuits == ()


def test_of_final_registers_the_first_word_stands(backend: Backend) -> None:
    first = [register_record(circuit_id, 1) for circuit_id in range(1, 4)]
    second = [msgspec.structs.replace(each, delivered_mj=0) for each in first]
    # In one transaction, perhaps, in later ones, and in one that is too large for one of etcd's.
    write(backend, registers_change(first[0]), registers_change(second[0], first[1]))
    write(backend, registers_change(second[1]), registers_change(first[2], second[2]))
    others = tuple(register_record(circuit_id, 1) for circuit_id in range(4, 304))
    write(backend, registers_change(*second, *others))
    assert list(backend.access().read().registers) == [*first, *others]
    assert backend.access().verify() == []


def test_final_registers_are_found_by_circuit_by_request_and_by_time_page_by_page(
    backend: Backend,
) -> None:
    known = [
        register_record(circuit_id, generation, f"request {circuit_id % 3}")
        for circuit_id in (1, 2, 3, 4, 16, 17, 255, 256)
        for generation in (1, 2, 3, 16)
    ]
    store = backend.open()
    store.load()
    assert store.registers(RegisterQuestion(5)) == RegisterPage(())
    durability = Durability(store)
    store.submit(1, registers_change(*reversed(known)))
    durability.wait(1)
    since, until = known[5].ended_unix_ns, known[25].ended_unix_ns
    for asked in (
        RegisterQuestion(7),
        RegisterQuestion(3, circuit_id=16),
        RegisterQuestion(4, circuit_id=16),
        RegisterQuestion(4, circuit_id=99),
        RegisterQuestion(2, request_id="request 1"),
        RegisterQuestion(2, request_id="nobody's"),
        RegisterQuestion(3, since_unix_ns=since, until_unix_ns=until),
        RegisterQuestion(9, request_id="request 2", since_unix_ns=since),
        RegisterQuestion(9, circuit_id=4, request_id="request 2"),
    ):
        assert _pages(store, asked) == [each for each in known if asked.wants(each)]
    store.close()


def _pages(store: Store, asked: RegisterQuestion) -> list[RegisterRecord]:
    found: list[RegisterRecord] = []
    page = store.registers(asked)
    while page.searched_to is not None:
        assert len(page.records) <= asked.most
        found += page.records
        page = store.registers(replace(asked, after=page.searched_to))
    return [*found, *page.records]


def test_final_registers_of_a_generation_that_stands_are_found_to_contradict_it(
    backend: Backend,
) -> None:
    stands = msgspec.structs.replace(
        circuit_record(1), generations=(GenerationRecord(1, 5, route(1.0), True),)
    )
    write(backend, StateChange((stands,), COUNTERS, registers=(register_record(1, 1),)))
    (found,) = backend.access().verify()
    assert "registers of circuit 1 generation 1: are final, and the generation is still" in found


def test_tickets_are_reported_in_order_and_once_they_are_durable(backend: Backend) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    for ticket in range(1, 501):
        store.submit(ticket, change(circuit_record(ticket)))
    durability.wait(200)
    reported = list(durability.tickets)
    backend.kill(store)
    present = {each.circuit_id for each in loaded(backend).circuits}
    assert reported == sorted(set(reported))
    assert present == set(range(1, len(present) + 1)), "later changes presuppose earlier ones"
    assert len(present) >= reported[-1] >= 200


def test_what_was_reported_survives_a_kill(backend: Backend) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    store.submit(1, change(circuit_record(1), audit=(audit_entry(1),)))
    durability.wait(1)
    backend.kill(store)
    assert circuits_of(loaded(backend)) == [circuit_record(1)]
    assert list(backend.access().read().audit) == [audit_entry(1)]


def test_each_term_has_a_higher_election_id_and_epoch(backend: Backend) -> None:
    elections, epochs = [], []
    for term in range(4):
        store = backend.open()
        epochs.append(store.load().epoch)
        elections.append(store.election_id)
        if term % 2:
            backend.kill(store)
        else:
            store.close()
    assert elections == sorted(set(elections))
    assert epochs == sorted(set(epochs))


def test_who_leads_may_act_until_it_closes(backend: Backend) -> None:
    store = backend.open()
    store.load()
    assert store.may_act()
    store.close()
    assert not store.may_act()


@pytest.mark.parametrize("circuits", [300, 4096])
def test_a_large_change_is_one_transaction(backend: Backend, circuits: int) -> None:
    """Whenever it is looked at, all of it is there or nothing."""
    store = backend.open()
    store.load()
    durability = Durability(store)
    records = tuple(circuit_record(number) for number in range(1, circuits + 1))
    entries = tuple(audit_entry(number) for number in range(2, 302))
    store.submit(1, change(audit=(audit_entry(1),)))
    durability.wait(1)
    store.submit(2, change(*records, audit=entries))
    seen = set()
    while 2 not in durability.tickets:
        _, present, audit = everything(backend.access().read())
        seen.add((len(present), len(audit)))
        assert not durability.failures
    store.close()
    _, present, audit = everything(backend.access().read())
    assert seen <= {(0, 1), (circuits, 301)}
    assert sorted(present, key=lambda each: each.circuit_id) == list(records)
    assert audit == [audit_entry(1), *entries]


def test_close_writes_what_was_submitted(backend: Backend) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    for ticket in range(1, 301):
        store.submit(ticket, change(circuit_record(ticket)))
    store.close()
    assert durability.tickets[-1] == 300
    assert len(loaded(backend).circuits) == 300


def test_after_a_failure_nothing_is_written(backend: Backend) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    store.submit(1, change(circuit_record(1)))
    durability.wait(1)
    backend.break_writing(store)
    store.submit(2, change(circuit_record(2)))
    durability.wait_for_failure()
    backend.mend_writing()
    store.submit(3, change(circuit_record(3)))
    store.close()
    assert durability.tickets == [1]
    assert len(durability.failures) == 1
    assert circuits_of(loaded(backend)) == [circuit_record(1)]


def test_tools_read_beside_the_leader(backend: Backend) -> None:
    store = backend.open()
    store.load()
    durability = Durability(store)
    store.submit(1, change(circuit_record(1), audit=(audit_entry(1),)))
    durability.wait(1)
    contents = backend.access().read()
    assert contents.generation == store.election_id.high
    assert everything(contents) == (COUNTERS, [circuit_record(1)], [audit_entry(1)])
    assert backend.access().verify() == []
    store.close()


def test_an_export_fills_any_other_store(backend: Backend, other_backend: Backend) -> None:
    audit = tuple(audit_entry(seq) for seq in range(1, 201))
    records = tuple(circuit_record(number) for number in range(1, 501))
    routers = [router_record("r1", "home"), router_record("r2")]
    drains = (drain_record("r2"), drain_record("r3-r5", AdminState.DRAINED))
    write(backend, change(*records, audit=audit), owned(*routers))
    ended = tuple(register_record(number, 1 + number % 2) for number in range(1, 301))
    write(backend, StateChange((), COUNTERS, drains=drains, registers=ended))
    exported = io.BytesIO()
    original = backend.access().read()
    write_archive(original, exported)
    exported.seek(0)

    other_backend.access().fill(read_archive(exported, Path("export")))

    copy = other_backend.access().read()
    assert drains_of(copy.drains) == list(drains)
    assert routers_of(copy.routers) == routers
    assert copy.generation > original.generation
    assert (copy.counters, list(copy.circuits)) == (COUNTERS, list(records))
    assert list(copy.registers) == list(ended)
    assert list(copy.audit) == list(audit)
    assert other_backend.access().verify() == []
    store = other_backend.open()
    state = store.load()
    assert store.election_id.high >= copy.generation
    assert (circuits_of(state), state.counters) == (list(records), COUNTERS)
    store.close()


def test_a_generation_ahead_of_the_clock_only_grows(backend: Backend) -> None:
    contents = StoreContents(1, 2**40, 7, COUNTERS, iter(()), iter(()))
    backend.access().fill(contents)
    store = backend.open()
    store.load()
    assert store.election_id.high > 2**40
    store.close()


def test_a_store_that_is_not_empty_is_not_filled(backend: Backend) -> None:
    write(backend, change(circuit_record(1)))
    contents = StoreContents(1, 1, 1, Counters(), iter((circuit_record(2),)), iter(()))
    with pytest.raises(StoreError):
        backend.access().fill(contents)
    assert circuits_of(loaded(backend)) == [circuit_record(1)]


def test_a_store_is_not_filled_while_another_leads(backend: Backend) -> None:
    store = backend.open()
    store.load()
    contents = StoreContents(1, 1, 1, Counters(), iter((circuit_record(2),)), iter(()))
    with pytest.raises(StoreError):
        backend.access().fill(contents)
    store.close()
    assert loaded(backend).circuits == ()


IDS = st.integers(1, 8)
# Records to put, by power, and ids to forget; None ends the term.
STEPS = st.lists(
    st.none()
    | st.tuples(st.dictionaries(IDS, st.floats(1, 9), max_size=4), st.sets(IDS, max_size=2)),
    max_size=12,
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_any_sequence_of_changes_is_kept_as_a_dict_would(
    new_backend: Callable[[str], Backend],
    kind: str,
    steps: list[tuple[dict[int, float], set[int]] | None],
) -> None:
    backend = new_backend(kind)
    model: dict[int, CircuitRecord] = {}
    audit: list[AuditEntry] = []
    counters = Counters()
    store, durability = _term(backend)
    for ticket, step in enumerate(steps, 1):
        if step is None:
            store.close()
            store, durability = _term(backend)
            continue
        put, forgotten = step
        records = {number: circuit_record(number, power_w) for number, power_w in put.items()}
        counters = Counters(9, 1, ticket + 1)
        audit.append(audit_entry(ticket))
        gone = tuple(sorted(forgotten - put.keys()))
        store.submit(ticket, StateChange(tuple(records.values()), counters, gone, (audit[-1],)))
        model.update(records)
        for number in gone:
            model.pop(number, None)
    store.close()
    assert durability.failures == []
    state = loaded(backend)
    assert {each.circuit_id: each for each in state.circuits} == model
    assert state.counters == counters
    assert list(backend.access().read().audit) == audit
    assert backend.access().verify() == []


def _term(backend: Backend) -> tuple[Store, Durability]:
    store = backend.open()
    store.load()
    return store, Durability(store)
