"""Records of circuits and entries of the audit log, as stores keep them."""

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    LinkRegister,
    RegisterRecord,
)
from controller.core.network.admin import AdminState, DrainRecord
from controller.core.network.owners import RouterRecord


def circuit_record(circuit_id: int, power_w: float = 1.0) -> CircuitRecord:
    return CircuitRecord(
        circuit_id=circuit_id,
        request_id=f"request-{circuit_id}",
        request_fingerprint="fingerprint",
        sink_id="home-1",
        source_ids=("pv-1", "battery-1"),
        constraints=Constraints(),
        power_w=power_w,
        priority=1,
        admin_up=True,
        last_generation=1,
        ended_as="",
        generations=(),
    )


def router_record(router_id: str, *load_ids: str) -> RouterRecord:
    return RouterRecord(
        router_id, b"device", ((f"{router_id}-x", "x"),), ("pv-" + router_id,), load_ids
    )


def drain_record(id_: str, state: AdminState = AdminState.DRAINING) -> DrainRecord:
    since_unix_ns = 1_700_000_000_000_000_000
    return DrainRecord(id_, state, since_unix_ns, since_unix_ns + 1, emergency_use=True)


def audit_entry(seq: int) -> AuditEntry:
    return AuditEntry(
        seq, 1_700_000_000_000_000_000 + seq, "test", "admit", str(seq), "1 W", "done"
    )


def register_record(circuit_id: int, generation: int, request_id: str = "") -> RegisterRecord:
    """Of every third generation the source's end was never heard."""
    ended_unix_ns = 1_700_000_000_000_000_000 + 1_000 * circuit_id + generation
    return RegisterRecord(
        circuit_id=circuit_id,
        generation=generation,
        request_id=request_id or f"request-{circuit_id}",
        source_id="pv-1",
        sink_id="home-1",
        source_router_id="r1",
        sink_router_id="r3",
        injected_mj=None if generation % 3 == 0 else 1_000 * circuit_id + generation,
        delivered_mj=900 * circuit_id + generation,
        began_unix_ns=ended_unix_ns - 500,
        ended_unix_ns=ended_unix_ns,
        standby=generation % 2 == 0,
        links=(LinkRegister("r1-r3", "r1", 7, 1), LinkRegister("r3-r1", "r3", None, None)),
    )
