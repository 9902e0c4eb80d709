"""Contradictions between records that are each as they were written."""

import msgspec
import pytest

from controller.core.circuits.records import CircuitRecord, Counters, GenerationRecord
from controller.store.consistency import Consistency
from tests.support.records import audit_entry, circuit_record
from tests.support.routes import route


def record(circuit_id: int, *admission_seqs: int, last_generation: int = 9) -> CircuitRecord:
    generations = tuple(
        GenerationRecord(number, seq, route(1000.0), retiring=False)
        for number, seq in enumerate(admission_seqs, 1)
    )
    return msgspec.structs.replace(
        circuit_record(circuit_id), generations=generations, last_generation=last_generation
    )


def contradictions(*records: CircuitRecord) -> list[str]:
    consistency = Consistency(Counters(10, 20, 30))
    return [each for record in records for each in consistency.circuit(record)]


def test_nothing_is_said_of_what_is_right() -> None:
    assert contradictions(record(1, 1, 2), record(9, 19)) == []


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([record(10)], "circuit 10 is not below next_circuit_id 10"),
        ([record(1, 20)], "circuit 1, generation 1, has admission_seq 20, not below"),
        ([record(1, 7), record(2, 7)], "circuit 2, generation 1, has admission_seq 7, which circ"),
        ([record(1, 7, 7)], "circuit 1, generation 2, has admission_seq 7, which circuit 1 has"),
        ([record(1, 1, 2, last_generation=1)], "generation 2, is above last_generation 1"),
    ],
)
def test_each_contradiction_is_one_sentence(records: list[CircuitRecord], sentence: str) -> None:
    (said,) = contradictions(*records)
    assert sentence in said


@pytest.mark.parametrize(
    ("seqs", "said"),
    [
        ([1, 5, 29], []),
        ([5, 4], ["audit entry 4 comes after 5"]),
        ([5, 5], ["audit entry 5 comes after 5"]),
        ([30], ["audit entry 30 is not below next_audit_seq 30"]),
    ],
)
def test_audit_entries_ascend_below_the_counter(seqs: list[int], said: list[str]) -> None:
    consistency = Consistency(Counters(10, 20, 30))
    assert [each for seq in seqs for each in consistency.audit_entry(audit_entry(seq))] == said
