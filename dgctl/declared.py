"""Declared circuits: a file that says which there shall be, and the plan that leads there.

::

    prefix: evening/
    circuits:
      - {request_id: evening/town, sink_id: load3, power_w: 5e6}
      - {request_id: evening/mill, sink_id: load9, power_w: 2e6, protect: router, hold_priority: 3}

A request id is used once: what is declared again after its circuits have ended is asked for as ``evening/town#2``, and
so on, which is the same to whoever reads the file.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isclose
from typing import Any

from dgctl.batch import BatchEntry
from dgctl.circuit_tables import ENDED
from digitalgrid.bounds import InvalidValue, check
from digitalgrid.client import power_request
from digitalgrid.config_file import read_text
from digitalgrid.units import format_power, format_unix_ns
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.yaml_schema import loads

_AGAIN = re.compile(r"(?P<id>.+)#(?P<number>[0-9]{1,9})")
_GONE = (*ENDED, pb.CIRCUIT_STATE_WITHDRAWING)
# Powers are told in full; what is as good as equal is no change.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """``prefix``: what all its request ids begin with; who prunes releases other circuits of that prefix."""

    circuits: tuple[BatchEntry, ...]
    prefix: str = ""

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        seen: set[str] = set()
        for index, each in enumerate(self.circuits):
            path = ("circuits", index, "request_id")
            if not each.request_id:
                yield InvalidValue(*path, message="is missing: declared circuits are known by it")
            elif _AGAIN.fullmatch(each.request_id):
                message = f"is {each.request_id!r}; '#' and a number are added by `dgctl apply`"
                yield InvalidValue(*path, message=message)
            elif each.request_id in seen:
                yield InvalidValue(*path, message=f"is {each.request_id!r}, as before; use it once")
            elif not each.request_id.startswith(self.prefix):
                message = (
                    f"is {each.request_id!r}, which does not begin with the prefix {self.prefix!r}"
                )
                yield InvalidValue(*path, message=message)
            if each.hold_ms is not None:
                message = "is for `dgctl batch`: what is declared is to carry"
                yield InvalidValue("circuits", index, "hold_ms", message=message)
            if each.until_unix_ns is not None:
                message = "is for `dgctl batch`: what is declared is to stand"
                yield InvalidValue("circuits", index, "until_unix_ns", message=message)
            if not each.power_w > 0:
                message = (
                    f"must be more than 0, not {each.power_w:g}; leave out what is to have none"
                )
                yield InvalidValue("circuits", index, "power_w", message=message)
            seen.add(each.request_id)


def load_declared(path: str) -> DeclaredFile:
    """Of a file, or of standard input (``-``). Raises ConfigError, which names the line."""
    return loads(DeclaredFile, read_text(path), "<stdin>" if path == "-" else path)


class Verb(StrEnum):
    CREATE = "create"
    # Another power, over what stands: not interrupted.
    CHANGE = "change"
    # A new circuit, and then the old one is released.
    REPLACE = "replace"
    RELEASE = "release"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about one declared circuit, or about one that is not declared any more."""

    verb: Verb
    request_id: str
    sink_id: str
    power_w: float
    circuits: tuple[pb.Circuit, ...] = ()
    # What is otherwise than declared, in words.
    changes: tuple[str, ...] = ()
    # Of what is asked for anew; None where that was done already, by whoever did not come to its end: ``made``.
    request: pb.PowerRequest | None = None
    made: tuple[pb.Circuit, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": str(self.verb),
            "requestId": self.request_id,
            "sinkId": self.sink_id,
            "powerW": self.power_w,
            "circuitIds": [str(each.circuit_id) for each in self.circuits],
            "changes": list(self.changes),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """In the order in which it is done: what makes room comes first. ``undeclared``: has the prefix, and may stay."""

    steps: tuple[Step, ...]
    undeclared: tuple[Step, ...] = field(default=())

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.verb is not Verb.KEEP]


def plan_of(file: DeclaredFile, known: Iterable[pb.Circuit], *, prune: bool) -> Plan:
    """What leads from the circuits that are known, ended ones too, to those that are declared."""
    standing: dict[str, dict[int, list[pb.Circuit]]] = defaultdict(dict)
    highest: dict[str, int] = {}
    for circuit in known:
        declared_id, number = _declared_id(circuit.request_id)
        highest[declared_id] = max(highest.get(declared_id, 0), number)
        if circuit.state not in _GONE:
            standing[declared_id].setdefault(number, []).append(circuit)
    steps = [_step(entry, standing.get(entry.request_id, {}), highest) for entry in file.circuits]
    declared = {entry.request_id for entry in file.circuits}
    undeclared = [
        _release(id_, _all(by_number))
        for id_, by_number in sorted(standing.items())
        if file.prefix and id_.startswith(file.prefix) and id_ not in declared
    ]
    if prune:
        return Plan(tuple(sorted([*undeclared, *steps], key=_order)))
    return Plan(tuple(sorted(steps, key=_order)), tuple(undeclared))


def _declared_id(request_id: str) -> tuple[str, int]:
    again = _AGAIN.fullmatch(request_id)
    return (again["id"], int(again["number"])) if again else (request_id, 1)


def _order(step: Step) -> int:
    """What gives room back before what takes it; all else as the file has it."""
    if step.verb is Verb.RELEASE:
        return 0
    gives = step.verb is Verb.CHANGE and step.power_w < _power_w(step.circuits)
    return 1 if gives else 2


def _all(by_number: Mapping[int, Sequence[pb.Circuit]]) -> tuple[pb.Circuit, ...]:
    return tuple(circuit for number in sorted(by_number) for circuit in by_number[number])


def _power_w(circuits: Iterable[pb.Circuit]) -> float:
    return sum(circuit.power_w for circuit in circuits)


def _release(request_id: str, circuits: Sequence[pb.Circuit]) -> Step:
    return Step(
        *(Verb.RELEASE, request_id, circuits[0].sink_id, _power_w(circuits), tuple(circuits)),
        ("not declared",),
    )


def _step(
    entry: BatchEntry, standing: Mapping[int, Sequence[pb.Circuit]], highest: Mapping[str, int]
) -> Step:
    circuits = _all(standing)
    of_entry = (entry.request_id, entry.sink_id, entry.power_w)
    number = highest.get(entry.request_id, 0) + 1
    asked = entry.as_request(entry.request_id if number == 1 else f"{entry.request_id}#{number}")
    if not circuits:
        return Step(Verb.CREATE, *of_entry, request=asked)
    newest = tuple(standing[max(standing)])
    changes = _otherwise(entry, newest)
    if len(standing) > 1 and not changes:
        # Whoever replaced it was interrupted, before the old one was released.
        old = circuits[: -len(newest)]
        return Step(Verb.REPLACE, *of_entry, old, ("replaced already",), made=newest)
    if not changes:
        return Step(Verb.KEEP, *of_entry, circuits)
    if len(circuits) == 1 and not any(_other_than_declared(entry, circuits)):
        return Step(Verb.CHANGE, *of_entry, circuits, changes)
    return Step(Verb.REPLACE, *of_entry, circuits, changes, asked)


def _otherwise(entry: BatchEntry, circuits: Sequence[pb.Circuit]) -> tuple[str, ...]:
    """What is otherwise than declared, in words."""
    now_w = _power_w(circuits)
    is_same = isclose(now_w, entry.power_w, rel_tol=_SAME)
    power = () if is_same else (f"power: {format_power(now_w)} -> {format_power(entry.power_w)}",)
    return (*power, *_other_than_declared(entry, circuits))


def _other_than_declared(entry: BatchEntry, circuits: Sequence[pb.Circuit]) -> Iterator[str]:
    """All but the power; a priority that is not declared is the load's, whatever that is."""
    wanted = power_request(
        entry.sink_id,
        entry.power_w,
        source_ids=entry.source_ids,
        max_loss_fraction=entry.max_loss_fraction,
        max_hops=entry.max_hops,
        avoid_ids=entry.avoid_ids,
        packets=entry.packets,
        protect=entry.protect,
    )
    first = circuits[0]
    for name, now, then in (
        ("sink", first.sink_id, entry.sink_id),
        ("sources", sorted(first.source_ids), sorted(entry.source_ids)),
        ("constraints", _said(first.constraints), _said(wanted.constraints)),
        ("protect", _protect(first.protect), _protect(wanted.protect)),
        ("dedicated", first.dedicated, entry.dedicated),
        # What is declared carries, and stands until it is not declared any more.
        ("hold", "held" if first.hold.state == pb.HOLD_STATE_HELD else "", ""),
        ("until", _end(first), ""),
    ):
        if now != then:
            yield f"{name}: {_word(now)} -> {_word(then)}"
    for name, level, declared in (
        ("setup priority", first.setup_priority, entry.setup_priority),
        ("hold priority", first.hold_priority, entry.hold_priority),
    ):
        if declared is not None and level != declared:
            yield f"{name}: {level} -> {declared}"
    floor_w = sum(circuit.floor_w for circuit in circuits)
    if not isclose(floor_w, entry.floor_w, rel_tol=_SAME, abs_tol=_SAME):
        yield f"floor: {format_power(floor_w)} -> {format_power(entry.floor_w)}"


def _said(constraints: pb.Constraints) -> list[str]:
    said = [f"avoid {each}" for each in sorted(constraints.avoid_ids)]
    if constraints.HasField("max_loss_fraction"):
        said.append(f"loss at most {constraints.max_loss_fraction:g}")
    if constraints.HasField("max_hops"):
        said.append(f"at most {constraints.max_hops} links")
    return [*said, *["packets"] * constraints.packets]


def _protect(value: int) -> str:
    name = pb.Protect.Name(value)  # type: ignore[arg-type]
    return "" if value == pb.PROTECT_UNSPECIFIED else name.removeprefix("PROTECT_").lower()


def _end(circuit: pb.Circuit) -> str:
    return format_unix_ns(circuit.until_unix_ns) if circuit.HasField("until_unix_ns") else ""


def _word(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value) or "any"
    return str(value) if value not in ("", False) else "none"
