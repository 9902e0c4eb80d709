"""Dispatcher of one session: what its router says becomes events of the core, on behalf of that router and no other."""

import asyncio
import logging
import time

import grpc

from controller.core.circuits.differences import Differences
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.owners import RefusedClaim
from controller.runtime.runtime import Runtime
from controller.southbound import codec
from controller.southbound.lsa_limit import LsaLimit
from controller.southbound.parts import Parts
from controller.southbound.sessions import RouterSession, SessionOver
from controller.southbound.violation import Violation
from digitalgrid.capabilities import Capability
from digitalgrid.convert_lsa import lsa_from_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import CircuitGeneration, HopSnapshot
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.v1 import power_link_pb2
from digitalgrid.v1 import southbound_pb2 as pb

# Of a table that nobody waits for: enough to see that a router has gone wrong.
_HOPS_LOOKED_AT = 16
# Of a table in one turn of the loop: a millisecond of its time.
HOPS_A_TURN = 256

_log = logging.getLogger(__name__)


class SessionInbox:
    """The only way from a session to the core: no message is handled without the router whose session it came in.

    Violation for what makes no sense or is not this router's to say; nothing of such a message is taken.
    """

    def __init__(
        self,
        session: RouterSession,
        runtime: Runtime,
        limited_log: LimitedLog,
        lsa_per_s: float,
    ) -> None:
        self._session = session
        self._router_id = session.router_id
        self._runtime = runtime
        self._limited_log = limited_log
        self._tables: Parts[pb.CircuitTable] = Parts("table")
        self._meters: Parts[pb.MetersReply] = Parts("meters")
        self._lsas = LsaLimit(lsa_per_s, self._take_lsa, self._end)

    def close(self) -> None:
        self._lsas.close()

    async def take(self, message: pb.RouterMessage) -> float:
        """For how many seconds nothing more of the session is to be read: longer than none for a flood.

        A table is taken in turns of the loop; whatever else the session says waits until it is.
        """
        kind = message.WhichOneof("message") or "nothing"
        try:
            if kind == "lsa":
                return self._lsas.take(message.lsa)
            if kind == "table":
                await self._take_table(message.table)
            else:
                self._take(kind, message)
            return 0.0
        except Violation:
            raise
        except ValueError as error:
            raise Violation(kind, str(error)) from error

    def _take(self, kind: str, message: pb.RouterMessage) -> None:
        match kind:
            case "sync_done":
                self._lsas.flush()
                self._runtime.tell(lambda core, now_ns: core.on_sync_done(self._router_id, now_ns))
            case "result":
                self._take_result(codec.result_from_pb(message.result))
            case "status":
                self._take_status(codec.status_from_pb(message.status))
            case "meters":
                self._take_meters(message.meters)
            case other:
                raise Violation(other, f"message {other!r} is not expected in a session")

    def _end(self, error: ValueError) -> None:
        self._session.end(SessionOver(grpc.StatusCode.INVALID_ARGUMENT, str(error)))

    def _take_lsa(self, message: power_link_pb2.RouterLsa) -> None:
        lsa = lsa_from_pb(message)
        if lsa.router_id != self._router_id:
            raise Violation(
                "lsa",
                f"link-state advertisement of {lsa.router_id!r} in the session of {self._router_id!r}",
            )
        if lsa.boot_id != self._session.boot_id:
            raise Violation(
                "lsa",
                f"link-state advertisement of boot {lsa.boot_id}; the session's hello said"
                f" {self._session.boot_id}",
            )
        refused = self._runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))
        if refused is not None:
            self._tell_refused(refused)

    def _tell_refused(self, refused: tuple[RefusedClaim, ...]) -> None:
        """To whoever reads the log, and to the router itself; `dgctl topology` shows it too."""
        if Capability.CLAIMS in self._session.capabilities:
            self._session.send(codec.refused_to_pb(refused))
        if not refused:
            _log.info("router %s claims nothing of others' any more", self._router_id)
            return
        COUNTERS.add("southbound_claims_refused", count=len(refused))
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        self._limited_log.warning(
            time.monotonic_ns(),
            f"claims {self._router_id}",
            "router %s advertises what is not its own: %s%s; that does not count."
            " `dgc forget-router` frees what a router has that is gone for good",
            self._router_id,
            refused[0],
            more,
        )

    def _take_result(self, result: TransactionResult) -> None:
        if self._runtime.tracing is not None and self._runtime.leads:
            circuits = self._runtime.questions.circuits
            self._runtime.tracing.orders.answered(self._router_id, result, circuits)
        self._runtime.tell(lambda core, now_ns: core.on_result(self._router_id, result, now_ns))

    def _take_status(self, status: CircuitStatus) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_status(self._router_id, status, now_ns))

    def _take_meters(self, reply: pb.MetersReply) -> None:
        """Only what is waited for is put together; of anything else the one message is looked at."""
        reads = self._session.meter_reads
        whole: pb.MetersReply | None = reply
        if reads.awaits(reply.read_id):
            meters = reply.meters
            records = len(meters.links) + len(meters.sources) + len(meters.loads)
            records += len(meters.circuits) + len(meters.promises)
            whole = self._meters.add(reply, records)
        if whole is not None:
            self._note_former(*reads.take(whole, self._runtime.view))

    def _note_former(self, former: int, left_out: int) -> None:
        """Books only grow, so this is no fault of the router; a meter of what it never had would look the same."""
        if not former and not left_out:
            return
        COUNTERS.add("southbound_meters_former", count=former)
        COUNTERS.add("southbound_meters_left_out", count=left_out)
        self._limited_log.warning(
            time.monotonic_ns(),
            f"former meters {self._router_id}",
            "router %s: %d of its meters are of what other routers have by now, and are shown as"
            " former; %d were too many to be shown",
            self._router_id,
            former,
            left_out,
        )

    async def _take_table(self, message: pb.CircuitTable) -> None:
        """Of one that nobody waits for the beginning is looked at, and no more: it may be large."""
        read_id = message.read_id
        if not self._runtime.tell(lambda core, _: core.awaits_table(self._router_id, read_id)):
            codec.add_hops({}, message.hops[:_HOPS_LOOKED_AT])
            return
        whole = self._tables.add(message, len(message.hops) + len(message.pools))
        if whole is None:
            return
        found = await self._compared(await self._decoded(whole))
        if found is not None and not found.none:
            for kind, number in found.counts().items():
                COUNTERS.add("reconcile_differences", kind, number)
            _log.info(
                "router %s repaired: %s",
                *(self._router_id, found.summary()),
                extra={"router_id": self._router_id},
            )

    async def _decoded(self, whole: pb.CircuitTable) -> CircuitTable:
        hops: dict[CircuitGeneration, HopSnapshot] = {}
        for start in range(0, len(whole.hops), HOPS_A_TURN):
            if start:
                await asyncio.sleep(0)
            codec.add_hops(hops, whole.hops[start : start + HOPS_A_TURN])
        return codec.table_from_pb(whole, hops.values())

    async def _compared(self, table: CircuitTable) -> Differences | None:
        while True:
            found = self._runtime.tell(
                lambda core, now_ns: core.on_table_slice(self._router_id, table, now_ns)
            )
            if found is None or found.whole:
                return found
            await asyncio.sleep(0)
