"""The asyncio client."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing

import grpc

from digitalgrid.client.asking_async import AsyncClient
from digitalgrid.client.calls import (
    WATCH_AGAIN_S,
    ActivationWait,
    Connection,
    DrainWait,
    channel_options,
    one_by_one,
    place_routers_request,
    who_asks,
    with_request_id,
)
from digitalgrid.client.defaults import DEFAULT_SERVER, DEFAULT_TIMEOUT_S
from digitalgrid.client.errors import ControllerUnreachable
from digitalgrid.client.topology_view import TopologyView
from digitalgrid.places import Place
from digitalgrid.v1 import northbound_pb2 as pb


class AsyncPowerClient(AsyncClient[Connection]):
    """Asks one controller for power from an asyncio loop; the calls are those of :class:`PowerClient`."""

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        super().__init__(server, timeout_s, Connection, channel_options, who_asks())

    async def request_power(self, request: pb.PowerRequest) -> pb.RequestPowerResponse:
        answer: pb.RequestPowerResponse = await self._call(
            lambda to: to.power.RequestPower,
            pb.RequestPowerRequest(request=with_request_id(request)),
        )
        return answer

    async def batch_request_power(
        self, requests: Iterable[pb.PowerRequest]
    ) -> pb.BatchRequestPowerResponse:
        answer: pb.BatchRequestPowerResponse = await self._call(
            lambda to: to.power.BatchRequestPower,
            pb.BatchRequestPowerRequest(requests=map(with_request_id, requests)),
        )
        return answer

    async def compute_power(self, request: pb.PowerRequest) -> pb.ComputePowerResponse:
        answer: pb.ComputePowerResponse = await self._call(
            lambda to: to.power.ComputePower, pb.ComputePowerRequest(request=request)
        )
        return answer

    async def compute_paths(self, request: pb.ComputePathsRequest) -> pb.ComputePathsResponse:
        answer: pb.ComputePathsResponse = await self._call(
            lambda to: to.power.ComputePaths, request
        )
        return answer

    async def dispatch(self, request: pb.DispatchRequest) -> pb.DispatchResponse:
        answer: pb.DispatchResponse = await self._call(
            lambda to: to.optimisation.Dispatch, with_request_id(request)
        )
        return answer

    async def reoptimise(self, request: pb.ReoptimiseRequest) -> pb.ReoptimiseResponse:
        answer: pb.ReoptimiseResponse = await self._call(
            lambda to: to.optimisation.Reoptimise, request
        )
        return answer

    async def change_circuit(self, circuit_id: int, power_w: float) -> pb.Circuit:
        request = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
        answer: pb.ChangeCircuitResponse = await self._call(
            lambda to: to.power.ChangeCircuit, request
        )
        return answer.circuit

    async def release_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
        answer: pb.ReleaseCircuitResponse = await self._call(
            lambda to: to.power.ReleaseCircuit, request
        )
        return answer.circuit

    async def activate_circuit(self, circuit_id: int) -> pb.Circuit:
        """Have a held circuit carry."""
        request = pb.ActivateCircuitRequest(circuit_id=circuit_id)
        answer: pb.ActivateCircuitResponse = await self._call(
            lambda to: to.power.ActivateCircuit, request
        )
        return answer.circuit

    async def get_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.GetCircuitRequest(circuit_id=circuit_id)
        answer: pb.GetCircuitResponse = await self._call(lambda to: to.power.GetCircuit, request)
        return answer.circuit

    async def list_circuits(
        self, request_id: str = "", *, include_ended: bool = False
    ) -> pb.ListCircuitsResponse:
        # How much is given at a time is for the controller to say.
        request = pb.ListCircuitsRequest(request_id=request_id, include_ended=include_ended)
        listed = pb.ListCircuitsResponse()
        async for page in self._pages(lambda to: to.power.ListCircuits, request):
            listed.circuits.extend(page.circuits)
        return listed

    async def list_registers(
        self,
        circuit_id: int = 0,
        request_id: str = "",
        *,
        since_unix_ns: int = 0,
        until_unix_ns: int = 0,
    ) -> list[pb.FinalRegister]:
        """What generations had injected and delivered when they ended: of a circuit, a request, a time, or all."""
        request = pb.ListRegistersRequest(
            circuit_id=circuit_id,
            request_id=request_id,
            since_unix_ns=since_unix_ns,
            until_unix_ns=until_unix_ns,
        )
        listed: list[pb.FinalRegister] = []
        async for page in self._pages(lambda to: to.power.ListRegisters, request):
            listed.extend(page.registers)
        return listed

    async def watch_circuits(
        self, request_id_prefix: str = "", *, timeout_s: float | None = None
    ) -> AsyncIterator[pb.WatchCircuitsResponse]:
        request = pb.WatchCircuitsRequest(together=True, request_id_prefix=request_id_prefix)
        async with aclosing(
            self._stream(lambda to: to.power.WatchCircuits, request, timeout_s)
        ) as answers:
            async for answer in answers:
                for event in one_by_one(answer, request_id_prefix):
                    yield event

    async def wait_until_active(
        self, circuit_ids: Iterable[int], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> tuple[pb.Circuit, ...]:
        wait = ActivationWait(circuit_ids)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                async for event in self.watch_circuits(timeout_s=left_s):
                    if wait.done(event):
                        break
                return wait.circuits
            except ControllerUnreachable as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise wait.timed_out(timeout_s) from error
                if self._servers.count == 1:
                    raise
            await asyncio.sleep(WATCH_AGAIN_S)

    async def get_topology(self) -> pb.Topology:
        answer: pb.GetTopologyResponse = await self._call(
            lambda to: to.topology.GetTopology, pb.GetTopologyRequest()
        )
        return answer.topology

    async def watch_topology(self, *, timeout_s: float | None = None) -> AsyncIterator[pb.Topology]:
        request, view = pb.WatchTopologyRequest(changes_only=True), TopologyView()
        async with aclosing(
            self._stream(lambda to: to.topology.WatchTopology, request, timeout_s)
        ) as answers:
            async for answer in answers:
                yield view.take(answer)

    async def read_meters(self) -> pb.ReadAllMetersResponse:
        answer: pb.ReadAllMetersResponse = await self._call(
            lambda to: to.topology.ReadMeters, pb.ReadAllMetersRequest()
        )
        return answer

    async def reconcile(self, request: pb.ReconcileRequest) -> pb.ReconcileResponse:
        answer: pb.ReconcileResponse = await self._call(lambda to: to.operations.Reconcile, request)
        return answer

    async def forget_router(self, router_id: str) -> pb.ForgetRouterResponse:
        answer: pb.ForgetRouterResponse = await self._call(
            lambda to: to.operations.ForgetRouter, pb.ForgetRouterRequest(router_id=router_id)
        )
        return answer

    async def drain(self, request: pb.DrainRequest) -> pb.DrainResponse:
        answer: pb.DrainResponse = await self._call(lambda to: to.operations.Drain, request)
        return answer

    async def undrain(self, id_: str) -> None:
        await self._call(lambda to: to.operations.Undrain, pb.UndrainRequest(id=id_))

    async def place_routers(self, places: Mapping[str, Place | None]) -> None:
        await self._call(lambda to: to.operations.PlaceRouters, place_routers_request(places))

    async def what_if(self, request: pb.WhatIfRequest) -> pb.WhatIfResponse:
        answer: pb.WhatIfResponse = await self._call(lambda to: to.operations.WhatIf, request)
        return answer

    async def watch_events(
        self, request: pb.WatchEventsRequest, *, timeout_s: float | None = None
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        async with aclosing(
            self._stream(lambda to: to.operations.WatchEvents, request, timeout_s)
        ) as answers:
            async for answer in answers:
                yield answer

    async def read_audit(
        self, subjects: Iterable[str] = (), *, since_unix_ns: int = 0, newest: int = 0
    ) -> list[pb.AuditEntry]:
        request = pb.ReadAuditRequest(subjects=subjects, since_unix_ns=since_unix_ns, newest=newest)
        answer: pb.ReadAuditResponse = await self._call(lambda to: to.operations.ReadAudit, request)
        return list(answer.entries)

    async def wait_until_drained(self, id_: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        wait = DrainWait(id_)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                async for view in self.watch_topology(timeout_s=left_s):
                    if wait.done(view):
                        return
            except ControllerUnreachable as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise wait.timed_out(timeout_s) from error
                if self._servers.count == 1:
                    raise
            await asyncio.sleep(WATCH_AGAIN_S)
