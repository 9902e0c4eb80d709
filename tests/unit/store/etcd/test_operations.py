import msgspec

from controller.core.circuits.records import CircuitRecord, Counters, StateChange
from controller.store.etcd.layout import ABSENT, Delete, Layout, Put, put_at, to_pb
from controller.store.etcd.operations import AUDIT_ENTRIES_KEPT, fits, transactions
from controller.store.etcd.parts import Limits
from controller.store.records_codec import decode, encode
from tests.support.records import audit_entry, circuit_record, register_record

LAYOUT = Layout("/grid")
LIMITS = Limits(ops=5, size_bytes=10**6)


def change(*circuit_ids: int, power_w: float = 1.0) -> StateChange:
    records = tuple(circuit_record(each, power_w) for each in circuit_ids)
    return StateChange(records, Counters(next_circuit_id=max(circuit_ids) + 1))


def test_changes_share_transactions_of_which_each_takes_as_many_as_fit() -> None:
    changes = [change(1, 2), change(3, 4), change(5, 6), change(7)]

    found = list(transactions(LAYOUT, changes, LIMITS))

    assert [[op.key for op in ops] for ops, _ in found] == [
        [LAYOUT.circuit(each) for each in (1, 2, 3, 4)],
        [LAYOUT.circuit(each) for each in (5, 6, 7)],
    ]
    assert [counters.next_circuit_id for _, counters in found] == [5, 8]


def test_a_change_is_never_torn_apart() -> None:
    changes = [change(1), change(*range(2, 12)), change(12)]

    found = [ops for ops, _ in transactions(LAYOUT, changes, LIMITS)]

    assert [len(ops) for ops in found] == [1, 10, 1]
    assert [fits(ops, LIMITS) for ops in found] == [True, False, True]


def test_of_several_records_of_a_circuit_the_last_is_written_once() -> None:
    ((ops, _),) = transactions(LAYOUT, [change(1, power_w=1.0), change(1, power_w=2.0)], LIMITS)

    (only,) = ops
    assert isinstance(only, Put)
    assert decode(only.value, CircuitRecord).power_w == 2.0


def test_a_circuit_that_is_forgotten_later_is_only_deleted() -> None:
    forgotten = StateChange((), Counters(), forgotten_ids=(1,))

    ((ops, _),) = transactions(LAYOUT, [change(1), forgotten], LIMITS)

    assert ops == [Delete(LAYOUT.circuit(1))]


def test_entries_beyond_those_kept_are_deleted_in_the_same_transaction() -> None:
    seq = AUDIT_ENTRIES_KEPT + 3
    changes = [StateChange((), Counters(), audit=(audit_entry(each),)) for each in (seq - 1, seq)]

    ((ops, _),) = transactions(LAYOUT, changes, LIMITS)

    # Entry 4 is the oldest of those kept.
    assert Delete(LAYOUT.audit_entry(0), LAYOUT.audit_entry(4)) in ops
    assert len(ops) == 3


def test_of_more_entries_at_once_than_are_kept_only_those_are_written() -> None:
    entries = tuple(audit_entry(each) for each in range(1, AUDIT_ENTRIES_KEPT + 11))

    ((ops, _),) = transactions(LAYOUT, [StateChange((), Counters(), audit=entries)], LIMITS)

    puts = [op.key for op in ops if isinstance(op, Put)]
    assert puts[0] == LAYOUT.audit_entry(11)
    assert len(puts) == AUDIT_ENTRIES_KEPT


def test_of_final_registers_the_first_word_is_written_and_only_where_there_is_none() -> None:
    first = register_record(1, 1)
    second = msgspec.structs.replace(first, delivered_mj=0)
    changes = [StateChange((), Counters(), registers=each) for each in ((first, second), (second,))]

    ((ops, _),) = transactions(LAYOUT, changes, LIMITS)

    key = LAYOUT.register(first.key)
    assert ops == [Put(key, encode(first))]
    (op,) = to_pb(LAYOUT, ops)
    assert op.request_txn.compare == [put_at(key, ABSENT)]
    assert [each.request_put.key for each in op.request_txn.success] == [key]
    assert not op.request_txn.failure
