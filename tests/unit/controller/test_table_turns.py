"""A router's table, however long, is taken in turns of the loop that nobody notices."""

import asyncio
import logging
from functools import partial

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import CircuitRecord, Counters, GenerationRecord, StoredState
from controller.core.circuits.route import Route, RouteLink
from controller.core.messages import ReadTable, ToRouter
from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.southbound.inbox import SessionInbox
from controller.southbound.sessions import RouterSession
from digitalgrid.convert import hop_to_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import (
    NO_ELECTION_ID,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.v1 import southbound_pb2 as pb
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import in_loop
from tests.support.there import newest
from tests.support.turns import in_short_turns

LINK = RouteLink("r1-r2", "r1", "r2", 10.4, 10.3, 0.05, 0.005, 20_000.0)
ROUTE = Route("pv", "town", ("r1", "r2"), (LINK,), (11.0, 10.3), 10.0, (0.97, 0.97))
CIRCUITS = 5_000


def _record(number: int) -> CircuitRecord:
    return CircuitRecord(
        circuit_id=number,
        request_id=f"request-{number}",
        request_fingerprint="f",
        sink_id="town",
        source_ids=("pv",),
        constraints=Constraints(),
        power_w=10.0,
        priority=0,
        admin_up=True,
        last_generation=1,
        ended_as="",
        generations=(GenerationRecord(1, number, ROUTE, False),),
    )


def _link(neighbor_id: str) -> LinkAdvertisement:
    return LinkAdvertisement("r1-r2", neighbor_id, 0.05, 20e3, 300.0)


class _Attached:
    """A leader with many circuits through r1, which is asked for its table."""

    def __init__(self) -> None:
        records = tuple(_record(number) for number in range(1, CIRCUITS + 1))
        self.runtime = Runtime(CoreSettings())
        self.runtime.lead(
            MemoryStore(StoredState(1, records, Counters(CIRCUITS + 1, CIRCUITS + 1)))
        )
        self.read_ids: list[int] = []
        self.runtime.attach("r1", self._hear)
        self.runtime.attach("r2", lambda _: None)
        for lsa in (
            RouterLsa("r1", 1, 1, 0.97, (_link("r2"),), (SourceAdvertisement("pv", 1e6),)),
            RouterLsa("r2", 1, 1, 0.97, (_link("r1"),), (), (LoadAdvertisement("town", 1e6),)),
        ):
            self._advertise(lsa)
        session = RouterSession("r1", b"device-1", 1, 1, NO_ELECTION_ID)
        self.inbox = SessionInbox(
            session, self.runtime, LimitedLog(logging.getLogger("quiet")), 20.0
        )

    def _advertise(self, lsa: RouterLsa) -> None:
        self.runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))
        self.runtime.tell(lambda core, now_ns: core.on_sync_done(lsa.router_id, now_ns))

    def _hear(self, message: ToRouter) -> None:
        if isinstance(message, ReadTable):
            self.read_ids.append(message.read_id)

    async def tell(self, message: pb.RouterMessage) -> dict[str, int]:
        """The router is asked anew, and answers with this table: what was found, by kind."""
        before = COUNTERS.snapshot()
        self.runtime.tell(lambda core, now_ns: core.on_sync_done("r1", now_ns))
        await asyncio.sleep(0)
        message.table.read_id = self.read_ids[-1]
        await self.inbox.take(message)
        counted = {
            kind: count - before.get((name, kind), 0)
            for (name, kind), count in COUNTERS.snapshot().items()
            if name == "reconcile_differences"
        }
        return {kind: count for kind, count in counted.items() if count}


def _hops(here: _Attached) -> list[pb.HopSnapshot]:
    return [hop_to_pb(newest(each).hop_at("r1")) for each in here.runtime.questions.standing]


def _orphan(number: int) -> pb.HopSnapshot:
    key, powers_w = (CIRCUITS + number, 1, 1), (10.0, 11.0, 10.4, 10.3)
    hop = HopSnapshot(*key, *powers_w, source_id="pv", egress_link_id="r1-r2")
    return hop_to_pb(hop)


@in_loop
async def test_a_table_of_thousands_of_hops_is_compared_in_short_turns() -> None:
    here = _Attached()
    hops = _hops(here)
    assert len(hops) == CIRCUITS
    differences: list[tuple[list[pb.HopSnapshot], dict[str, int]]] = [
        (hops, {}),
        (hops[::2], {"missing": CIRCUITS // 2}),
        ([*hops, *map(_orphan, range(1, CIRCUITS))], {"excess": CIRCUITS - 1}),
    ]
    for held, expected in differences:
        message = pb.RouterMessage(table=pb.CircuitTable(hops=held))
        found = await in_short_turns(partial(here.tell, message))
        assert found == expected
    here.runtime.close()
