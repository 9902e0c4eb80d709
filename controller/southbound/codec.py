"""Core messages to and from the southbound protobuf."""

from collections.abc import Iterable, Sequence

from controller.core.messages import (
    Abort,
    CircuitStatus,
    CircuitTable,
    Commit,
    Drain,
    Promote,
    ReadTable,
    Stage,
    ToRouter,
    TransactionResult,
    Withdraw,
)
from controller.core.network.lateness import MAX_PATIENCE_NS
from controller.core.network.owners import RefusedClaim
from digitalgrid.convert import (
    claims_to_pb,
    election_id_to_pb,
    hop_from_pb,
    hop_to_pb,
    missing_from_pb,
    pool_to_pb,
    pools_from_pb,
)
from digitalgrid.model import (
    CircuitGeneration,
    ElectionId,
    FinalMeter,
    FlowState,
    HopSnapshot,
    Operation,
    ResultCode,
    SwitchCause,
)
from digitalgrid.units import MILLIWATTS_PER_W
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import CircuitMeter

# Characters kept of a router's words on a refusal, which are stored and shown.
_LONGEST_MESSAGE = 500


def to_pb(message: ToRouter, election_id: ElectionId) -> pb.ControllerMessage:
    """Every mutation carries the election id."""
    elected = election_id_to_pb(election_id)
    match message:
        case Stage(txn_id, lease_ms, hops, pools):
            stage = pb.Stage(
                election_id=elected,
                txn_id=txn_id,
                lease_ms=lease_ms,
                hops=[hop_to_pb(hop) for hop in hops],
                pools=[pool_to_pb(pool) for pool in pools],
            )
            return pb.ControllerMessage(stage=stage)
        case Commit(txn_id):
            return pb.ControllerMessage(commit=pb.Commit(election_id=elected, txn_id=txn_id))
        case Abort(txn_id):
            return pb.ControllerMessage(abort=pb.Abort(election_id=elected, txn_id=txn_id))
        case Drain(txn_id, circuits):
            drain = pb.Drain(election_id=elected, txn_id=txn_id, circuits=_keys(circuits))
            return pb.ControllerMessage(drain=drain)
        case Withdraw(txn_id, circuits, standing_ids):
            withdraw = pb.Withdraw(
                election_id=elected,
                txn_id=txn_id,
                circuits=_keys(circuits),
                standing_circuit_ids=standing_ids,
            )
            return pb.ControllerMessage(withdraw=withdraw)
        case Promote(txn_id, circuits):
            promote = pb.Promote(election_id=elected, txn_id=txn_id, circuits=_keys(circuits))
            return pb.ControllerMessage(promote=promote)
        case ReadTable(read_id):
            return pb.ControllerMessage(read_table=pb.ReadTable(read_id=read_id, in_parts=True))


def refused_to_pb(refused: Sequence[RefusedClaim]) -> pb.ControllerMessage:
    claims = pb.ClaimsRefused(claims=claims_to_pb(refused), total=len(refused))
    return pb.ControllerMessage(claims_refused=claims)


def _keys(circuits: tuple[CircuitGeneration, ...]) -> list[pb.CircuitGeneration]:
    return [
        pb.CircuitGeneration(circuit_id=each.circuit_id, generation=each.generation)
        for each in circuits
    ]


def result_from_pb(result: pb.TransactionResult) -> TransactionResult:
    """ValueError where the operation or the code is none that this protocol version knows, and for meters that run
    backwards.
    """
    try:
        operation, code = Operation(result.operation), ResultCode(result.code)
    except ValueError as error:
        raise ValueError(
            f"result of transaction {result.txn_id}: operation {result.operation} or code"
            f" {result.code} is unknown"
        ) from error
    reasons = [result.message, *(entry.message for entry in result.entries)]
    said = "; ".join(reason for reason in reasons if reason)
    return TransactionResult(
        result.txn_id,
        operation,
        code,
        said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}...",
        _late_ns(result.late_ns),
        tuple(map(_final_meter, result.ended)),
    )


def _final_meter(meter: CircuitMeter) -> FinalMeter:
    figures = (meter.injected_mj, meter.delivered_mj, meter.sent_mj, meter.line_loss_mj)
    # 0 where it is unset.
    if min(figures) < 0:
        raise ValueError(
            f"circuit {meter.circuit_id} generation {meter.generation}: a meter must be 0 or more, not"
            f" {min(figures)}"
        )
    return FinalMeter(
        CircuitGeneration(meter.circuit_id, meter.generation),
        meter.injected_mj,
        meter.delivered_mj,
        meter.sent_mj if meter.HasField("sent_mj") else None,
        meter.line_loss_mj if meter.HasField("line_loss_mj") else None,
    )


def add_hops(
    hops: dict[CircuitGeneration, HopSnapshot], messages: Iterable[pb.HopSnapshot]
) -> None:
    """Some of a table's hops, to those before. ValueError where one makes no sense, or stands there twice."""
    for message in messages:
        hop = hop_from_pb(message)
        if hop.key in hops:
            raise ValueError(
                f"table: circuit {hop.circuit_id} generation {hop.generation} stands there twice"
            )
        hops[hop.key] = hop


def table_from_pb(table: pb.CircuitTable, hops: Iterable[HopSnapshot]) -> CircuitTable:
    """With its hops, which are read before. ValueError where a pool makes no sense."""
    return CircuitTable(
        table.read_id,
        table.table_version,
        tuple(hops),
        frozenset(table.staged_txn_ids),
        pools_from_pb("table", table.pools),
    )


def status_from_pb(status: pb.CircuitStatus) -> CircuitStatus:
    """ValueError where the state is none that this protocol version knows."""
    if status.state == pb.FLOW_STATE_UNSPECIFIED or status.state not in pb.FlowState.values():
        raise ValueError(f"status of circuit {status.circuit_id}: state {status.state} is unknown")
    for field in ("delivered_mw", "interruption_ns", "arrived_at_ns"):
        if getattr(status, field) < 0:
            raise ValueError(
                f"status of circuit {status.circuit_id}: {field} must be 0 or more,"
                f" not {getattr(status, field)}"
            )
    return CircuitStatus(
        CircuitGeneration(status.circuit_id, status.generation),
        FlowState(status.state),
        status.delivered_mw / MILLIWATTS_PER_W,
        status.interruption_ns,
        status.arrived_at_ns,
        missing_from_pb(status.missing) if status.HasField("missing") else None,
        late_ns=_late_ns(status.late_ns),
        switch_cause=_cause(status.switch_cause),
    )


def _late_ns(said_ns: int) -> int:
    """What a router says of its own timers; whatever that is, it gains no more by it than a late one does."""
    return min(max(0, said_ns), MAX_PATIENCE_NS)


def _cause(value: int) -> SwitchCause:
    """Newer routers may know other causes."""
    return SwitchCause(value) if value in list(SwitchCause) else SwitchCause.UNSPECIFIED
