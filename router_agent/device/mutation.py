"""Mutations of a circuit table and their answers: all or nothing for one router, results in request order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from digitalgrid.model import (
    CircuitGeneration,
    ElectionId,
    FinalMeter,
    HopSnapshot,
    Operation,
    ResultCode,
    StandbyPool,
)
from router_agent.device.hop_check import Problem


@dataclass(frozen=True, slots=True)
class Mutation:
    """One Stage, Commit, Abort, Drain, Withdraw or Promote; ``controller`` names the session's far end."""

    operation: Operation
    controller: str
    election_id: ElectionId
    txn_id: int
    hops: tuple[HopSnapshot, ...] = ()
    lease_ns: int = 0
    circuits: tuple[CircuitGeneration, ...] = ()
    # With a Withdraw: circuits whose promise to their load stands, and goes on missing.
    standing_ids: frozenset[int] = frozenset()
    # With a Stage.
    pools: tuple[StandbyPool, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    key: CircuitGeneration
    code: ResultCode
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one mutation, and what it changed."""

    operation: Operation
    txn_id: int
    code: ResultCode
    message: str
    entries: tuple[Entry, ...]
    table_version: int
    highest_election_id: ElectionId
    new_election_id: bool = False
    new_floors: Mapping[int, int] = field(default_factory=dict)
    added: tuple[HopSnapshot, ...] = ()
    removed: tuple[CircuitGeneration, ...] = ()
    promoted: tuple[HopSnapshot, ...] = ()
    pools_changed: bool = False
    # Of a Withdraw: what was metered of what it ends, or what ended before.
    ended: tuple[FinalMeter, ...] = ()


@dataclass(slots=True)
class Answer:
    """An outcome while it is made."""

    code: ResultCode = ResultCode.OK
    message: str = ""
    entries: tuple[Entry, ...] = ()
    added: tuple[HopSnapshot, ...] = ()
    removed: tuple[CircuitGeneration, ...] = ()
    promoted: tuple[HopSnapshot, ...] = ()
    pools_changed: bool = False


def all_ok(hops: Sequence[HopSnapshot]) -> tuple[Entry, ...]:
    return tuple(Entry(hop.key, ResultCode.OK) for hop in hops)


def refusal(code: ResultCode, message: str, hops: Sequence[HopSnapshot]) -> Answer:
    return Answer(code, message, tuple(Entry(hop.key, code, message) for hop in hops))


def all_or_nothing(keys: Sequence[CircuitGeneration], problems: Sequence[Problem | None]) -> Answer:
    entries = tuple(
        Entry(key, *(problem or (ResultCode.NOT_ATTEMPTED, "")))
        for key, problem in zip(keys, problems, strict=True)
    )
    first = next(entry for entry in entries if entry.code is not ResultCode.NOT_ATTEMPTED)
    circuit_id, generation = first.key
    message = f"circuit {circuit_id} generation {generation}: {first.message}"
    return Answer(first.code, message, entries)
