"""PowerService: what clients ask of the controller. A reply to a change waits until it is durable."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from google.rpc.code_pb2 import Code

from controller.computing.proposing import Proposer
from controller.core.access import Action, Call, Principal
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import asked_for
from controller.core.errors import Refusal, invalid
from controller.northbound.circuit_feed import CircuitFeed
from controller.northbound.circuit_list import all_circuits, circuit_page
from controller.northbound.codec import (
    circuit_to_pb,
    computed_to_pb,
    disjointness_from_pb,
    give_id,
    proposal_to_pb,
    refused_to_pb,
    request_from_pb,
    shown_to_pb,
)
from controller.northbound.gathering import Gathering, Slice
from controller.northbound.principals import Caller, call_of, principal_of
from controller.northbound.register_list import register_page
from controller.runtime.runtime import Runtime
from controller.tracing.current import traced_call
from controller.watching.gate import Gate
from digitalgrid.garbage_collector import without_frames
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceServicer

# In one batch: they take some 0.1 s of the loop, in turns, and others wait no longer for theirs.
MAX_REQUESTS = 1024


def _is_plain(request: pb.PowerRequest) -> bool:
    """As the core's :attr:`~controller.core.circuits.request.PowerRequest.is_plain`."""
    limits = request.constraints
    by_itself = request.allow_split or request.protect or request.HasField("explicit_route")
    return not (by_itself or limits.avoid_ids or limits.packets)


class PowerService(PowerServiceServicer):
    """Translates; all decisions are the core's."""

    def __init__(self, runtime: Runtime, gate: Gate, proposer: Proposer) -> None:
        self._runtime = runtime
        self._proposer = proposer
        self._feed = CircuitFeed(runtime, gate)
        self._gathering = Gathering(runtime)

    async def RequestPower(
        self, request: pb.RequestPowerRequest, context: Caller
    ) -> pb.RequestPowerResponse:
        message = _power_request(request)
        give_id(message)
        principal = principal_of(context)
        asked = request_from_pb(message, principal.name)
        words = asked_for(asked)
        call = Call(principal, Action.REQUEST, asked.request_id, words, trace=traced_call())
        if self._proposer.asks:
            (asked,) = await self._proposer.with_ways(call, [asked])
        circuits = await self._gathering.admit(call, asked)
        self._proposer.note(asked, circuits)
        return pb.RequestPowerResponse(
            request_id=circuits[0].request_id, circuits=map(circuit_to_pb, circuits)
        )

    async def BatchRequestPower(
        self, request: pb.BatchRequestPowerRequest, context: Caller
    ) -> pb.BatchRequestPowerResponse:
        if len(request.requests) > MAX_REQUESTS:
            raise invalid(
                "requests",
                Reason.BATCH_TOO_LARGE,
                f"{len(request.requests)} requests in one batch; {MAX_REQUESTS} is the most",
            )
        for each in request.requests:
            give_id(each)
        decisions: list[list[Circuit] | Refusal] = []
        decided = self._runtime.decided()
        principal = principal_of(context)
        slices = Slice()
        while len(decisions) < len(request.requests):
            left = request.requests[len(decisions) :]
            try:
                size = slices.of(_is_plain(each) for each in left)
                some = await self._admit_some(principal, left[:size])
                slices.note(some)
                decisions += some
                decided = self._runtime.decided()
            except Refusal as refusal:
                if not decisions:
                    raise
                # What was decided before stands, and the client must hear of it.
                decisions += [refusal] * len(left)
                break
            # A long batch must not keep the news of a dead line waiting.
            await asyncio.sleep(0)
        await self._runtime.durable(decided)
        return pb.BatchRequestPowerResponse(
            outcomes=[
                _outcome(each, decision)
                for each, decision in zip(request.requests, decisions, strict=True)
            ]
        )

    async def ComputePower(
        self, request: pb.ComputePowerRequest, context: Caller
    ) -> pb.ComputePowerResponse:
        asked = request_from_pb(_power_request(request))
        call = call_of(context, Action.COMPUTE)
        if self._proposer.asks:
            (asked,) = await self._proposer.with_ways(call, [asked])
        found = self._runtime.handle(call, lambda core, now_ns: core.rehearse(asked, now_ns))
        return pb.ComputePowerResponse(
            circuits=[
                computed_to_pb(
                    asked,
                    each.route,
                    found.reason,
                    each.standby_route,
                    each.unprotected_because,
                    shares=each.shares,
                )
                for each in found.served
            ]
        )

    async def ComputePaths(
        self, request: pb.ComputePathsRequest, context: Caller
    ) -> pb.ComputePathsResponse:
        asked = request_from_pb(_power_request(request))
        call = call_of(context, Action.COMPUTE)
        kind = disjointness_from_pb(request.disjointness)
        proposals = (
            await self._proposer.compare(call, asked, request.algorithms, request.as_circuit_id)
            if request.algorithms
            else []
        )
        if kind is not None and request.as_circuit_id:
            message = "a pair is not sought for a circuit that stands; leave out as_circuit_id"
            raise invalid("as_circuit_id", Reason.PAIR_FOR_CIRCUIT, message)
        if kind is not None:
            pair = self._runtime.handle(
                call, lambda core, now_ns: core.disjoint(asked, kind, now_ns)
            )
            return pb.ComputePathsResponse(
                circuits=[computed_to_pb(asked, each) for each in pair.routes],
                shared_ids=pair.shared_ids,
                proven=pair.proven,
                proposals=[proposal_to_pb(asked, each) for each in proposals],
            )
        count = request.most_paths or 1
        routes = self._runtime.handle(
            call,
            lambda core, now_ns: core.best_routes(asked, count, now_ns, request.as_circuit_id),
        )
        return pb.ComputePathsResponse(
            circuits=[computed_to_pb(asked, each) for each in routes],
            proven=True,
            proposals=[proposal_to_pb(asked, each) for each in proposals],
        )

    async def ChangeCircuit(
        self, request: pb.ChangeCircuitRequest, context: Caller
    ) -> pb.ChangeCircuitResponse:
        circuit_id = _circuit_id(request)
        call = call_of(context, Action.CHANGE, circuit_id, f"power_w={request.power_w}")
        circuit = self._runtime.handle(
            call, lambda core, now_ns: core.change(circuit_id, request.power_w, now_ns)
        )
        await self._runtime.durable()
        return pb.ChangeCircuitResponse(circuit=circuit_to_pb(circuit))

    async def ReleaseCircuit(
        self, request: pb.ReleaseCircuitRequest, context: Caller
    ) -> pb.ReleaseCircuitResponse:
        circuit_id = _circuit_id(request)
        call = call_of(context, Action.RELEASE, circuit_id, "release")
        circuit = self._runtime.handle(call, lambda core, now_ns: core.release(circuit_id, now_ns))
        await self._runtime.durable()
        return pb.ReleaseCircuitResponse(circuit=circuit_to_pb(circuit))

    async def ActivateCircuit(
        self, request: pb.ActivateCircuitRequest, context: Caller
    ) -> pb.ActivateCircuitResponse:
        circuit_id = _circuit_id(request)
        call = call_of(context, Action.ACTIVATE, circuit_id, "activate")
        circuit = self._runtime.handle(call, lambda core, now_ns: core.activate(circuit_id, now_ns))
        await self._runtime.durable()
        return pb.ActivateCircuitResponse(circuit=circuit_to_pb(circuit))

    async def GetCircuit(
        self, request: pb.GetCircuitRequest, context: Caller
    ) -> pb.GetCircuitResponse:
        circuit = self._runtime.questions.circuit(_circuit_id(request))
        return pb.GetCircuitResponse(circuit=shown_to_pb(circuit, self._runtime.questions))

    async def ListCircuits(
        self, request: pb.ListCircuitsRequest, context: Caller
    ) -> pb.ListCircuitsResponse | bytes:
        known = self._runtime.questions
        if request.page_size or request.page_token:
            return await circuit_page(known, request)
        return await all_circuits(known, request)

    async def ListRegisters(
        self, request: pb.ListRegistersRequest, context: Caller
    ) -> pb.ListRegistersResponse:
        return await register_page(self._runtime, request)

    def WatchCircuits(
        self, request: pb.WatchCircuitsRequest, context: Caller
    ) -> AsyncIterator[bytes]:
        return self._feed.watch(together=request.together, prefix=request.request_id_prefix)

    async def _admit_some(
        self, principal: Principal, messages: Sequence[pb.PowerRequest]
    ) -> list[list[Circuit] | Refusal]:
        decisions: list[list[Circuit] | Refusal] = []
        asked, trace = [], traced_call()
        for message in messages:
            try:
                request = request_from_pb(message, principal.name)
            except Refusal as refusal:
                self._runtime.note(Call(principal, Action.REQUEST, message.request_id), refusal)
                decisions.append(without_frames(refusal))
            else:
                words = asked_for(request)
                call = Call(principal, Action.REQUEST, request.request_id, words, trace=trace)
                asked.append((call, request))
                decisions.append([])
        if self._proposer.asks and asked:
            calls, requests = zip(*asked, strict=True)
            ways = await self._proposer.with_ways(calls[0], requests)
            asked = list(zip(calls, ways, strict=True))
        made = self._runtime.handle_requests(asked)
        for (_, request), each in zip(asked, made, strict=True):
            if not isinstance(each, Refusal):
                self._proposer.note(request, each)
        decided = iter(made)
        return [each if isinstance(each, Refusal) else next(decided) for each in decisions]


def _power_request(
    message: pb.RequestPowerRequest | pb.ComputePowerRequest | pb.ComputePathsRequest,
) -> pb.PowerRequest:
    if not message.HasField("request"):
        raise invalid(
            "request", Reason.REQUEST_MISSING, "request is missing; say what is to be served"
        )
    return message.request


def _circuit_id(
    message: pb.ChangeCircuitRequest
    | pb.ReleaseCircuitRequest
    | pb.ActivateCircuitRequest
    | pb.GetCircuitRequest,
) -> int:
    if not message.circuit_id:
        raise invalid(
            "circuit_id", Reason.CIRCUIT_ID_MISSING, "circuit_id is missing; it is 1 or more"
        )
    return message.circuit_id


def _outcome(message: pb.PowerRequest, decision: list[Circuit] | Refusal) -> pb.BatchOutcome:
    if isinstance(decision, Refusal):
        return refused_to_pb(message.request_id, decision)
    return pb.BatchOutcome(
        code=Code.OK, request_id=decision[0].request_id, circuits=map(circuit_to_pb, decision)
    )
