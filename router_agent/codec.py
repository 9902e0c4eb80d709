"""Codec: the device's values to and from the messages of southbound.proto."""

from collections.abc import Iterator
from dataclasses import replace

from digitalgrid.convert import (
    election_id_from_pb,
    election_id_to_pb,
    hop_from_pb_unchecked,
    hop_to_pb,
    missing_to_pb,
    pool_to_pb,
    pools_from_pb_unchecked,
)
from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration, Operation
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.device.circuit_table import CircuitTable
from router_agent.device.device import RouterDevice
from router_agent.device.meters import CircuitBooks, LinkBooks
from router_agent.device.mutation import Entry, Mutation, Outcome
from router_agent.device.shared_standbys import PoolUse
from router_agent.device.sink import FlowStatus

# Of 4 MiB, which gRPC takes: a hop is up to 260 bytes, a circuit's meter up to 82, with its promise 162 more.
_HOPS_A_MESSAGE = 10_000
_CIRCUITS_A_MESSAGE = 15_000


def mutation_from_pb(message: pb.ControllerMessage, controller: str) -> Mutation | None:
    """None when the message is not a mutation. The circuit table checks hops and pools, and answers for them."""
    match message.WhichOneof("message"):
        case "stage":
            stage = message.stage
            return Mutation(
                Operation.STAGE,
                controller,
                election_id_from_pb(stage.election_id),
                stage.txn_id,
                hops=tuple(hop_from_pb_unchecked(hop) for hop in stage.hops),
                pools=pools_from_pb_unchecked(stage.pools),
                lease_ns=stage.lease_ms * NS_PER_MS,
            )
        case "commit":
            return _of_transaction(Operation.COMMIT, message.commit, controller)
        case "abort":
            return _of_transaction(Operation.ABORT, message.abort, controller)
        case "drain":
            return _of_circuits(Operation.DRAIN, message.drain, controller)
        case "withdraw":
            withdrawn = _of_circuits(Operation.WITHDRAW, message.withdraw, controller)
            return replace(withdrawn, standing_ids=frozenset(message.withdraw.standing_circuit_ids))
        case "promote":
            return _of_circuits(Operation.PROMOTE, message.promote, controller)
    return None


def outcome_to_pb(outcome: Outcome, late_ns: int = 0) -> pb.TransactionResult:
    return pb.TransactionResult(
        txn_id=outcome.txn_id,
        operation=pb.Operation.ValueType(outcome.operation),
        code=pb.ResultCode.ValueType(outcome.code),
        message=outcome.message,
        entries=[_entry_to_pb(entry) for entry in outcome.entries],
        table_version=outcome.table_version,
        highest_election_id=election_id_to_pb(outcome.highest_election_id),
        late_ns=late_ns,
        ended=[
            power_link_pb.CircuitMeter(
                circuit_id=each.key.circuit_id,
                generation=each.key.generation,
                injected_mj=each.injected_mj,
                delivered_mj=each.delivered_mj,
                sent_mj=each.sent_mj,
                line_loss_mj=each.line_loss_mj,
            )
            for each in outcome.ended
        ],
    )


def status_to_pb(status: FlowStatus, late_ns: int = 0) -> pb.CircuitStatus:
    return pb.CircuitStatus(
        circuit_id=status.key.circuit_id,
        generation=status.key.generation,
        state=pb.FlowState.ValueType(status.state),
        delivered_mw=status.delivered_mw,
        granted_mw=status.granted_mw,
        demand_mw=status.demand_mw,
        interruption_ns=status.interruption_ns,
        arrived_at_ns=status.arrived_at_ns,
        switch_cause=pb.SwitchCause.ValueType(status.switch_cause),
        missing=missing_to_pb(status.missing) if status.missing is not None else None,
        late_ns=late_ns,
    )


def table_to_pb(table: CircuitTable, asked: pb.ReadTable) -> Iterator[pb.CircuitTable]:
    """The table in one message, or in as many as it needs where the controller takes parts."""
    hops = table.hops
    for start, stop, more in _parts(len(hops), _HOPS_A_MESSAGE if asked.in_parts else 0):
        yield pb.CircuitTable(
            read_id=asked.read_id,
            table_version=table.version,
            hops=[hop_to_pb(hop) for hop in hops[start:stop]],
            staged_txn_ids=() if start else table.staged_txn_ids,
            more=more,
            pools=() if start else map(pool_to_pb, table.pools.told),
        )


def meters_reply(
    meters: power_link_pb.RouterMeters, asked: pb.ReadMeters
) -> Iterator[pb.MetersReply]:
    """The meters in one message, or in as many as they need where the controller takes parts."""
    limit = _CIRCUITS_A_MESSAGE if asked.in_parts else 0
    most = max(len(meters.circuits), len(meters.promises))
    if not limit or most <= limit:
        yield pb.MetersReply(read_id=asked.read_id, meters=meters)
        return
    circuits, promises = list(meters.circuits), list(meters.promises)
    for start, stop, more in _parts(most, limit):
        part = power_link_pb.RouterMeters(router_id=meters.router_id, boot_id=meters.boot_id)
        if not start:
            del meters.circuits[:]
            del meters.promises[:]
            part = meters
        part.circuits.extend(circuits[start:stop])
        part.promises.extend(promises[start:stop])
        yield pb.MetersReply(read_id=asked.read_id, meters=part, more=more)


def _parts(count: int, limit: int) -> Iterator[tuple[int, int, bool]]:
    """From where to where each part goes, and whether another follows; one, of nothing, where there is nothing."""
    step = limit or max(count, 1)
    for start in range(0, max(count, 1), step):
        yield start, start + step, start + step < count


def meters_to_pb(device: RouterDevice, now_ns: int) -> power_link_pb.RouterMeters:
    """The books as of now; rates are differences of two readings over their ``time_ns``."""
    books = device.read_books(now_ns)
    saturated = books.saturated
    if saturated:
        books = books.capped()
    pools = device.pool_uses
    return power_link_pb.RouterMeters(
        router_id=device.config.router_id,
        boot_id=device.boot_id,
        time_ns=now_ns,
        converter_loss_mj=books.converter_loss_mj,
        dissipated_mj=books.dissipated_mj,
        buffered_mj=books.buffered_mj,
        max_formula_deviation_mj=books.max_formula_deviation_mj,
        demand_mw=min(device.demand_mw, MAX_INT64),
        ticks_late_p99_ns=device.ticks_late_p99_ns,
        links=[
            _link_meter(link_id, link, pools.get(link_id, PoolUse()))
            for link_id, link in books.links.items()
        ],
        sources=[
            power_link_pb.SourceMeter(source_id=source_id, injected_mj=energy_mj)
            for source_id, energy_mj in books.injected_mj.items()
        ],
        loads=[
            power_link_pb.LoadMeter(load_id=load_id, delivered_mj=energy_mj)
            for load_id, energy_mj in books.delivered_mj.items()
        ],
        circuits=[_circuit_meter(key, circuit) for key, circuit in books.circuits.items()],
        oversubscribed_instants=books.oversubscribed_instants,
        saturated=saturated,
        through_power_clamped_instants=books.through_power_clamped_instants,
        promises=[
            power_link_pb.PromiseMeter(
                circuit_id=circuit_id,
                missing=missing_to_pb(promise.energy()),
                power_mw=promise.power_mw,
            )
            for circuit_id, promise in books.promises.items()
        ],
    )


def _circuit_meter(key: CircuitGeneration, circuit: CircuitBooks) -> power_link_pb.CircuitMeter:
    sent_mj, line_loss_mj = circuit.on_line_mj()
    return power_link_pb.CircuitMeter(
        circuit_id=key.circuit_id,
        generation=key.generation,
        injected_mj=circuit.injected_mj,
        delivered_mj=circuit.delivered_mj,
        missed_ticks=circuit.missed_ticks,
        sent_mj=sent_mj,
        line_loss_mj=line_loss_mj,
    )


def _link_meter(link_id: str, link: LinkBooks, use: PoolUse) -> power_link_pb.LinkMeter:
    return power_link_pb.LinkMeter(
        link_id=link_id,
        sent_mj=link.sent_mj,
        line_loss_mj=link.line_loss_mj,
        received_mj=link.received_mj,
        lost_to_faults_mj=link.lost_to_faults_mj,
        lost_in_transit_mj=link.lost_in_transit_mj,
        frames_sent=link.frames_sent,
        frames_received=link.frames_received,
        frames_dropped=link.frames_dropped,
        oversubscribed_instants=link.oversubscribed_instants,
        frames_refused=link.frames_refused,
        frames_clamped=link.frames_clamped,
        pool_mw=_milliwatts(use.pool_w),
        pool_used_mw=_milliwatts(use.used_w),
        pool_wanted_mw=_milliwatts(use.wanted_w),
    )


def _milliwatts(power_w: float) -> int:
    return min(round(power_w * MILLIWATTS_PER_W), MAX_INT64)


def _of_transaction(operation: Operation, body: pb.Commit | pb.Abort, controller: str) -> Mutation:
    return Mutation(operation, controller, election_id_from_pb(body.election_id), body.txn_id)


def _of_circuits(
    operation: Operation, body: pb.Drain | pb.Withdraw | pb.Promote, controller: str
) -> Mutation:
    keys = tuple(CircuitGeneration(each.circuit_id, each.generation) for each in body.circuits)
    election_id = election_id_from_pb(body.election_id)
    return Mutation(operation, controller, election_id, body.txn_id, circuits=keys)


def _entry_to_pb(entry: Entry) -> pb.EntryResult:
    return pb.EntryResult(
        circuit_id=entry.key.circuit_id,
        generation=entry.key.generation,
        code=pb.ResultCode.ValueType(entry.code),
        message=entry.message,
    )
