"""OperationsService: what routers run beside what they should run, routers that never return, and what is taken out of
service.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from io import BytesIO

import msgspec

from controller.computing.optimiser import Optimiser
from controller.core.access import Action
from controller.core.circuits.differences import Differences
from controller.core.circuits.generation import Generation
from controller.core.circuits.records import AuditEntry
from controller.core.controller import Reconciliation
from controller.core.effects import TableRead
from controller.core.rehearsing.scenario import Scenario
from controller.northbound.codec import check_ids, places_from_pb
from controller.northbound.drain_codec import consequences_to_pb, drain_order, word_on, word_to_pb
from controller.northbound.event_codec import EventQuestion
from controller.northbound.mark_feed import MarkFeed
from controller.northbound.principals import Caller, call_of
from controller.northbound.turns import in_turns
from controller.runtime.durability import StoreFailed
from controller.runtime.runtime import Runtime
from controller.store.protocol import AuditQuestion
from controller.watching.gate import Gate
from digitalgrid.model import CircuitGeneration
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import OperationsServiceServicer

# Until routers that have not answered a reconciliation are told as silent (s): they answer within milliseconds.
ANSWERS_WITHIN_S = 2.0
# Entries of the audit log in an answer: where nobody says how many, and at most, which is 3 MB of gRPC's 4.
USUAL_ENTRIES, MOST_ENTRIES = 100, 10_000


class OperationsService(OperationsServiceServicer):
    """Translates; all decisions are the core's."""

    def __init__(self, runtime: Runtime, optimiser: Optimiser, gate: Gate, marks: MarkFeed) -> None:
        self._runtime = runtime
        self._gate = gate
        self._marks = marks
        self._optimiser = optimiser
        # Reading everything twice at a time would tell nobody more.
        self._reading = asyncio.Lock()

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Caller
    ) -> pb.ReconcileResponse:
        check_ids("router_ids", request.router_ids)
        subject = " ".join(sorted(request.router_ids)) or "all routers"
        call = call_of(context, Action.RECONCILE, subject, "reconcile", rehearsal=request.dry_run)
        async with self._reading:
            with _Answers(self._runtime) as answers:
                asked = self._runtime.handle(
                    call,
                    lambda core, now_ns: core.reconcile(
                        request.router_ids, now_ns, dry_run=request.dry_run
                    ),
                )
                await answers.wait(asked.reads)
        if not request.dry_run:
            await self._runtime.durable()
        return _answer(asked, answers.found)

    async def ForgetRouter(
        self, request: pb.ForgetRouterRequest, context: Caller
    ) -> pb.ForgetRouterResponse:
        check_ids("router_id", [request.router_id])
        router_id = request.router_id
        call = call_of(context, Action.FORGET_ROUTER, router_id, "forget")
        freed = self._runtime.handle(
            call, lambda core, now_ns: core.forget_router(router_id, now_ns)
        )
        await self._runtime.durable()
        return pb.ForgetRouterResponse(freed_hops=freed)

    async def Drain(self, request: pb.DrainRequest, context: Caller) -> pb.DrainResponse:
        order = drain_order(request)
        call = call_of(context, Action.DRAIN, order.id, str(order))
        changed = self._runtime.handle(call, lambda core, now_ns: core.drain(order, now_ns))
        word = word_to_pb(word_on(self._runtime.questions, order.id))
        await self._runtime.durable()
        return pb.DrainResponse(changed=changed, word=word)

    async def Undrain(self, request: pb.UndrainRequest, context: Caller) -> pb.UndrainResponse:
        check_ids("id", [request.id])
        call = call_of(context, Action.UNDRAIN, request.id, "undrain")
        self._runtime.handle(call, lambda core, now_ns: core.undrain(request.id, now_ns))
        await self._runtime.durable()
        return pb.UndrainResponse()

    async def PlaceRouters(
        self, request: pb.PlaceRoutersRequest, context: Caller
    ) -> pb.PlaceRoutersResponse:
        places = places_from_pb(request)
        subject = next(iter(places)) if len(places) == 1 else f"{len(places)} routers"
        call = call_of(context, Action.PLACE, subject, "place")
        self._runtime.handle(call, lambda core, now_ns: core.place_routers(places, now_ns))
        await self._runtime.durable()
        return pb.PlaceRoutersResponse()

    async def WhatIf(self, request: pb.WhatIfRequest, context: Caller) -> pb.WhatIfResponse:
        check_ids("cut_ids", request.cut_ids)
        check_ids("drain_ids", request.drain_ids)
        scenario = Scenario(
            tuple(dict.fromkeys(request.cut_ids)),
            tuple(dict.fromkeys(request.drain_ids)),
            request.curtail,
        )
        call = call_of(context, Action.COMPUTE, "", "what if")
        return consequences_to_pb(await self._optimiser.rehearse(call, scenario))

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Caller
    ) -> AsyncIterator[bytes]:
        asked = EventQuestion.of(request)
        after = max(request.after_n, self._marks.since(request.since_unix_ms))
        after = asked.last_of(self._marks.after(after), request.last) if request.last else after
        known, after = self._marks.after(after), self._marks.newest
        yield asked.answer(known, is_known=True)
        if request.only_known:
            return
        while True:
            await self._marks.news_after(after)
            await self._gate.enter(lambda: self._marks.has_alarm(after))  # noqa: B023
            news, after = self._marks.after(after), self._marks.newest
            if answer := asked.answer(news):
                yield self._gate.send(answer)

    async def ReadAudit(self, request: pb.ReadAuditRequest, context: Caller) -> bytes:
        """A serialised ReadAuditResponse, made in turns: it may have thousands of entries."""
        check_ids("subjects", request.subjects)
        question = AuditQuestion(
            min(request.newest or USUAL_ENTRIES, MOST_ENTRIES),
            frozenset(request.subjects),
            request.since_unix_ns,
        )
        answer = BytesIO()
        async for some in in_turns(await self._runtime.stored.audit(question), _entry_to_pb):
            answer.write(pb.ReadAuditResponse(entries=some).SerializeToString())
        return answer.getvalue()


class _Answers:
    """Gathers the tables that this call has asked for; nobody waits for the others when it is left."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._term = runtime.questions
        self._waiting: set[int] = set()
        self._news = asyncio.Event()
        self.found: dict[str, Differences] = {}

    def __enter__(self) -> "_Answers":
        self._runtime.feeds.tables.subscribe(self._hear)
        self._runtime.feeds.roles.subscribe(self._news.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.feeds.tables.unsubscribe(self._hear)
        self._runtime.feeds.roles.unsubscribe(self._news.set)
        self._runtime.tell(lambda core, now_ns: core.abandon_reads(self._waiting))

    def _hear(self, read: TableRead) -> None:
        if read.found is not None:
            self.found[read.router_id] = read.found
        self._waiting.discard(read.read_id)
        self._news.set()

    async def wait(self, read_ids: Iterable[int]) -> None:
        """Return once all have answered, or it is too late; StoreFailed where the lead was lost meanwhile."""
        # No router answers within the call that asks it.
        self._waiting.update(read_ids)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                while self._waiting and self._runtime.is_current(self._term):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return
        if not self._runtime.is_current(self._term):
            raise StoreFailed("the lead was lost")


def _answer(asked: Reconciliation, found: Mapping[str, Differences]) -> pb.ReconcileResponse:
    return pb.ReconcileResponse(
        routers=[
            _router_to_pb(router_id, found[router_id])
            for router_id in asked.reads.values()
            if router_id in found
        ],
        disconnected_router_ids=asked.disconnected_ids,
        silent_router_ids=[key for key in asked.reads.values() if key not in found],
    )


def _router_to_pb(router_id: str, found: Differences) -> pb.RouterDifferences:
    return pb.RouterDifferences(
        router_id=router_id,
        confirmed=len(found.confirmed),
        missing=_hops(found.missing),
        excess=[_hop(key) for key in found.excess],
        different=[_hop(each.key, found.contrasts[each.key]) for each in found.different],
        lingering=_hops(found.lingering),
        other_role=[_hop(each.key, found.contrasts[each.key]) for each in found.other_role],
        pools=[
            pb.PoolDifference(link_id=each.link_id, power_w=each.has_w, needed_w=each.needed_w)
            for each in found.pools
        ],
        under_way=len(found.under_way) + len(found.pools_under_way),
    )


def _entry_to_pb(entry: AuditEntry) -> pb.AuditEntry:
    return pb.AuditEntry(**msgspec.structs.asdict(entry))


def _hops(generations: Iterable[Generation]) -> list[pb.HopDifference]:
    return [_hop(each.key) for each in generations]


def _hop(key: CircuitGeneration, contrast: str = "") -> pb.HopDifference:
    return pb.HopDifference(circuit_id=key.circuit_id, generation=key.generation, contrast=contrast)
