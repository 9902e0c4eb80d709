"""Final registers at etcd: where those that are asked for are, and how many are looked at for one answer. Pure.

etcd has no second index, so registers of a request or of a time are looked for among all of them, some for each answer.
"""

from collections.abc import Iterable

from controller.core.circuits.records import RegisterRecord
from controller.store.etcd.layout import Layout, after
from controller.store.protocol import REGISTERS_SEARCHED, RegisterPage, RegisterQuestion
from digitalgrid.model import CircuitGeneration

# Above every generation of a circuit.
_LAST = 2**64 - 1


def registers_range(layout: Layout, question: RegisterQuestion) -> tuple[bytes, bytes]:
    """From which key to which."""
    circuit_id, generation = question.after
    first = layout.register(CircuitGeneration(circuit_id, generation + 1))
    if not question.circuit_id:
        return first, after(layout.registers)
    end = layout.register(CircuitGeneration(question.circuit_id, _LAST))
    return max(first, layout.register(CircuitGeneration(question.circuit_id, 0))), end


def page_of(question: RegisterQuestion, records: Iterable[RegisterRecord]) -> RegisterPage:
    """What is wanted of the first ``records``, which come in order; no more of them is taken than is looked at."""
    found: list[RegisterRecord] = []
    searched_to: CircuitGeneration | None = None
    for number, record in enumerate(records):
        if number == REGISTERS_SEARCHED or len(found) == question.most:
            return RegisterPage(tuple(found), searched_to)
        searched_to = record.key
        if question.wants(record):
            found.append(record)
    return RegisterPage(tuple(found))
