"""Spans of what routers are told: who asked for it, which orders it took, and when each router acknowledged.

A generation of a circuit is programmed as a part of the call that wanted it. What the controller does by itself
(another way after a fault, a standby) is a trace of its own, linked to that of its circuit's request if that is known.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.messages import Commit, Drain, Stage, ToRouter, TransactionResult, Withdraw
from controller.tracing.remembered import Remembered
from digitalgrid.model import CircuitGeneration, Operation, ResultCode
from digitalgrid.tracing.context import TraceContext
from digitalgrid.tracing.spans import Span, SpanKind, Spans, context_of, fail

# Of each table; what nobody answers is forgotten when so much is newer.
_MOST = 10_000
# Traced generations that one order names; a group has no more.
_MOST_AN_ORDER = 64
# Until a circuit has power for the first time it is its request that is worked on.
_SETTING_UP = frozenset(
    {
        CircuitState.REQUESTED,
        CircuitState.RESERVED,
        CircuitState.STAGING,
        CircuitState.COMMITTING,
    }
)
_ENDING = frozenset({CircuitState.WITHDRAWING, CircuitState.WITHDRAWN})
# Nothing more comes of what was being programmed.
_GIVEN_UP = frozenset({CircuitState.FAILED, CircuitState.WITHDRAWN, CircuitState.WAITING})


@dataclass(slots=True, eq=False)
class _Program:
    """One generation, from the first router that is told of it until the last has acknowledged."""

    key: CircuitGeneration
    span: Span
    within: TraceContext
    # Routers that have not done the last step yet.
    waiting_for: set[str] = field(default_factory=set)
    refused: bool = False

    @property
    def context(self) -> TraceContext:
        return context_of(self.span)


class _Wish(NamedTuple):
    """A call about a circuit that stands, and the generation that it made; None while it is decided."""

    context: TraceContext
    generation: int | None


class _Ordered(NamedTuple):
    program: _Program
    span: Span


def _end_all(programs: Mapping[int, _Program | None]) -> None:
    for program in programs.values():
        if program is not None:
            fail(program.span, "nobody acknowledged it")
            program.span.end()


class Orders:
    """``chosen`` says of what the controller does by itself whether it is traced."""

    def __init__(self, spans: Spans, chosen: Callable[[], bool]) -> None:
        self._spans = spans
        self._chosen = chosen
        # Traced calls: requests by their ids, others by their circuits' generations.
        self._requests: Remembered[str, TraceContext] = Remembered(_MOST)
        self._wishes: Remembered[int, _Wish] = Remembered(_MOST)
        # By circuit, the trace of its request.
        self._origins: Remembered[int, TraceContext] = Remembered(_MOST)
        # By circuit and generation; None: that it is not traced was decided.
        self._programs: Remembered[int, dict[int, _Program | None]] = Remembered(_MOST, _end_all)
        # By router and transaction, what was staged; with the operation too, what is not answered.
        self._staged: Remembered[tuple[str, int], list[_Program]] = Remembered(_MOST)
        self._open: Remembered[tuple[str, int, Operation], list[_Ordered]] = Remembered(_MOST)
        # By circuit: within what, and since when, power must follow.
        self._actuating: Remembered[int, tuple[TraceContext, int]] = Remembered(_MOST)

    # Calls

    def follow_request(self, request_id: str, context: TraceContext) -> None:
        """What is done for this request until its circuits have power is part of the call."""
        self._requests[request_id] = context

    def follow_circuit(self, circuit_id: int, context: TraceContext) -> None:
        """A call about a circuit that stands is being decided."""
        self._wishes[circuit_id] = _Wish(context, None)

    def decided(self, circuit: Circuit | None, circuit_id: int, newest_before: int) -> None:
        """What the call has made is the newest generation, if that is a new one."""
        wish = self._wishes.pop(circuit_id)
        if wish is None or circuit is None:
            return
        newest = newest_of(circuit)
        if newest > newest_before or circuit.state in _ENDING:
            self._wishes[circuit_id] = wish._replace(generation=newest)

    def trace_of(self, circuit_id: int) -> str:
        """As W3C writes its id, the trace of the circuit's request; empty where none is known."""
        origin = self._origins.get(circuit_id)
        return f"{origin.trace_id:032x}" if origin is not None else ""

    # Routers

    def sent(
        self, router_id: str, message: ToRouter, circuits: Mapping[int, Circuit]
    ) -> Iterator[str]:
        """An order leaves; as ``traceparent``, the spans that the router may go on below."""
        match message:
            case Stage(txn_id, _, hops):
                programs = []
                for hop in hops:
                    program = self._program(hop.key, hop.standby, circuits.get(hop.circuit_id))
                    if program is not None:
                        program.waiting_for.add(router_id)
                        programs.append(program)
                if programs:
                    self._staged[router_id, txn_id] = programs
                yield from self._order(router_id, txn_id, Operation.STAGE, programs)
            case Commit(txn_id):
                programs = self._staged.pop((router_id, txn_id)) or []
                yield from self._order(router_id, txn_id, Operation.COMMIT, programs)
            case Drain(txn_id, keys):
                programs = list(self._withdrawn(keys, circuits))
                yield from self._order(router_id, txn_id, Operation.DRAIN, programs)
            case Withdraw(txn_id, keys):
                programs = list(self._withdrawn(keys, circuits))
                for program in programs:
                    program.waiting_for.add(router_id)
                yield from self._order(router_id, txn_id, Operation.WITHDRAW, programs)

    def _order(
        self, router_id: str, txn_id: int, operation: Operation, programs: Sequence[_Program]
    ) -> Iterator[str]:
        if not programs:
            return
        ordered = self._open.get((router_id, txn_id, operation)) or []
        for program in programs[:_MOST_AN_ORDER]:
            span = self._spans.start(
                operation.name.lower(),
                program.context,
                SpanKind.CLIENT,
                {"router": router_id, "transaction": txn_id, **_about(program.key)},
            )
            ordered.append(_Ordered(program, span))
            yield str(context_of(span))
        self._open[router_id, txn_id, operation] = ordered

    def answered(
        self, router_id: str, result: TransactionResult, circuits: Mapping[int, Circuit]
    ) -> None:
        """The core has not heard of it yet."""
        operation = result.operation
        for program, span in self._open.pop((router_id, result.txn_id, operation)) or ():
            span.set_attribute("result", result.code.name)
            if result.code is not ResultCode.OK:
                program.refused = True
                fail(span, result.message)
            span.end()
            if operation in (Operation.COMMIT, Operation.WITHDRAW) and not program.refused:
                program.waiting_for.discard(router_id)
                if not program.waiting_for:
                    self._acknowledged(program, operation, circuits)

    def _acknowledged(
        self, program: _Program, operation: Operation, circuits: Mapping[int, Circuit]
    ) -> None:
        program.span.end()
        circuit_id, generation = program.key
        programs = self._programs.get(circuit_id)
        if programs is not None:
            programs.pop(generation, None)
            if not programs:
                self._programs.pop(circuit_id)
        circuit = circuits.get(circuit_id)
        # Power may be there before the last router says that it has committed.
        if operation is Operation.COMMIT and circuit and circuit.state is not CircuitState.ACTIVE:
            self._actuating[circuit_id] = (program.within, time.time_ns())

    def lost(self, router_id: str) -> None:
        """Its session has ended: what it was told it will not answer."""
        for key in self._open.known():
            if key[0] == router_id:
                for _, span in self._open.pop(key) or ():
                    fail(span, "the router's session ended")
                    span.end()
        for staged in self._staged.known():
            if staged[0] == router_id:
                self._staged.pop(staged)

    # Circuits

    def changed(self, circuit_id: int, circuit: Circuit | None) -> None:
        """Its state may be another one."""
        state = circuit.state if circuit is not None else CircuitState.WITHDRAWN
        if state is CircuitState.ACTIVE and circuit_id in self._actuating:
            actuating = self._actuating.pop(circuit_id)
            if actuating is not None:
                within, since_ns = actuating
                self._spans.start("actuate", within, start_ns=since_ns).end()
        if state in _GIVEN_UP and circuit_id not in self._wishes:
            self._actuating.pop(circuit_id)
            _end_all(self._programs.pop(circuit_id) or {})

    def _program(
        self, key: CircuitGeneration, standby: bool, circuit: Circuit | None
    ) -> _Program | None:
        programs = self._programs.get(key.circuit_id)
        if programs is None:
            programs = self._programs[key.circuit_id] = {}
        if key.generation not in programs:
            programs[key.generation] = self._begin(key, standby, circuit) if circuit else None
        return programs[key.generation]

    def _begin(self, key: CircuitGeneration, standby: bool, circuit: Circuit) -> _Program | None:
        wish = self._wishes.get(key.circuit_id)
        if wish is not None and wish.generation in (None, key.generation):
            return self._start("program", key, wish.context)
        if circuit.state in _SETTING_UP:
            # Whether it is traced was decided as it was asked for.
            request = self._requests.get(circuit.request_id)
            if request is None:
                return None
            self._origins[key.circuit_id] = request
            return self._start("program", key, request)
        if not self._chosen():
            return None
        return self._start("protect" if standby else "move", key, None, circuit.state)

    def _start(
        self,
        name: str,
        key: CircuitGeneration,
        within: TraceContext | None,
        state: str = "",
    ) -> _Program:
        origin = self._origins.get(key.circuit_id) if within is None else None
        attributes = _about(key) | ({"state": str(state)} if state else {})
        links = [origin] if origin is not None else []
        span = self._spans.start(name, within, attributes=attributes, links=links)
        return _Program(key, span, within or context_of(span))

    def _withdrawn(
        self, keys: Sequence[CircuitGeneration], circuits: Mapping[int, Circuit]
    ) -> Iterator[_Program]:
        """Of circuits that a traced call releases."""
        for key in keys:
            wish, circuit = self._wishes.get(key.circuit_id), circuits.get(key.circuit_id)
            if wish is None or (circuit is not None and circuit.state not in _ENDING):
                continue
            programs = self._programs.get(key.circuit_id)
            if programs is None:
                programs = self._programs[key.circuit_id] = {}
            program = programs.get(key.generation)
            if program is None:
                program = programs[key.generation] = self._start("withdraw", key, wish.context)
            yield program


def newest_of(circuit: Circuit | None) -> int:
    return max(circuit.generations, default=0) if circuit is not None else 0


def _about(key: CircuitGeneration) -> dict[str, str | int | float | bool]:
    return {"circuit_id": key.circuit_id, "generation": key.generation}
