"""What controller and routers say to each other, as plain values. The southbound edge maps them to protobuf."""

import msgspec

from digitalgrid.model import (
    CircuitGeneration,
    FinalMeter,
    FlowState,
    HopSnapshot,
    MissingEnergy,
    Operation,
    ResultCode,
    StandbyPool,
    SwitchCause,
)


class Stage(msgspec.Struct, frozen=True, gc=False):
    """Prepare hops and pools under a lease; nothing flows, and no pool changes, before the Commit."""

    txn_id: int
    lease_ms: int
    hops: tuple[HopSnapshot, ...]
    pools: tuple[StandbyPool, ...] = ()


class Commit(msgspec.Struct, frozen=True, gc=False):
    txn_id: int


class Abort(msgspec.Struct, frozen=True, gc=False):
    txn_id: int


class Drain(msgspec.Struct, frozen=True, gc=False):
    """To the sink's router: demand 0, take what is still under way."""

    txn_id: int
    circuits: tuple[CircuitGeneration, ...]


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """Remove, and never accept again. What the loads of ``standing_ids`` were promised stands, and goes on missing."""

    txn_id: int
    circuits: tuple[CircuitGeneration, ...]
    standing_ids: tuple[int, ...] = ()


class Promote(msgspec.Struct, frozen=True, gc=False):
    """The role of these generations is working from now on, as their sink has already decided."""

    txn_id: int
    circuits: tuple[CircuitGeneration, ...]


class ReadTable(msgspec.Struct, frozen=True, gc=False):
    read_id: int


ToRouter = Stage | Commit | Abort | Drain | Withdraw | Promote | ReadTable


class TransactionResult(msgspec.Struct, frozen=True, gc=False):
    """A router's answer to one mutation: all of it was done, or nothing."""

    txn_id: int
    operation: Operation
    code: ResultCode
    message: str = ""
    # How late the router's own timers are.
    late_ns: int = 0
    # Of a Withdraw: what the router has metered of what it ended.
    ended: tuple[FinalMeter, ...] = ()


class CircuitTable(msgspec.Struct, frozen=True, gc=False):
    """What a router really runs."""

    read_id: int
    table_version: int
    hops: tuple[HopSnapshot, ...]
    staged_txn_ids: frozenset[int] = frozenset()
    pools: tuple[StandbyPool, ...] = ()


class CircuitStatus(msgspec.Struct, frozen=True, gc=False):
    """What the sink's router measures of one generation."""

    key: CircuitGeneration
    state: FlowState
    delivered_w: float = 0.0
    interruption_ns: int = 0
    arrived_at_ns: int = 0
    # Of its circuit, over all generations; None where the router does not count it.
    missing: MissingEnergy | None = None
    late_ns: int = 0
    switch_cause: SwitchCause = SwitchCause.UNSPECIFIED
