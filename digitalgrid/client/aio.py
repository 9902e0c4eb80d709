"""The asyncio client."""

from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc

from digitalgrid.client.calls import (
    CHANNEL_OPTIONS,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT_S,
    ActivationWait,
)
from digitalgrid.client.errors import ControllerUnreachable, from_rpc_error
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import (
    OptimisationServiceStub,
    PowerServiceStub,
    TopologyServiceStub,
)


class AsyncPowerClient:
    """Asks one controller for power from an asyncio loop; the calls are those of :class:`PowerClient`."""

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS)
        self._power = PowerServiceStub(self._channel)
        self._optimisation = OptimisationServiceStub(self._channel)
        self._topology = TopologyServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def request_power(self, request: pb.PowerRequest) -> pb.RequestPowerResponse:
        answer: pb.RequestPowerResponse = await self._call(
            self._power.RequestPower, pb.RequestPowerRequest(request=request)
        )
        return answer

    async def batch_request_power(
        self, requests: Iterable[pb.PowerRequest]
    ) -> pb.BatchRequestPowerResponse:
        answer: pb.BatchRequestPowerResponse = await self._call(
            self._power.BatchRequestPower, pb.BatchRequestPowerRequest(requests=requests)
        )
        return answer

    async def compute_power(self, request: pb.PowerRequest) -> pb.ComputePowerResponse:
        answer: pb.ComputePowerResponse = await self._call(
            self._power.ComputePower, pb.ComputePowerRequest(request=request)
        )
        return answer

    async def compute_paths(self, request: pb.ComputePathsRequest) -> pb.ComputePathsResponse:
        answer: pb.ComputePathsResponse = await self._call(self._power.ComputePaths, request)
        return answer

    async def dispatch(self, request: pb.DispatchRequest) -> pb.DispatchResponse:
        answer: pb.DispatchResponse = await self._call(self._optimisation.Dispatch, request)
        return answer

    async def reoptimise(self, request: pb.ReoptimiseRequest) -> pb.ReoptimiseResponse:
        answer: pb.ReoptimiseResponse = await self._call(self._optimisation.Reoptimise, request)
        return answer

    async def change_circuit(self, circuit_id: int, power_w: float) -> pb.Circuit:
        request = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
        answer: pb.ChangeCircuitResponse = await self._call(self._power.ChangeCircuit, request)
        return answer.circuit

    async def release_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
        answer: pb.ReleaseCircuitResponse = await self._call(self._power.ReleaseCircuit, request)
        return answer.circuit

    async def get_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.GetCircuitRequest(circuit_id=circuit_id)
        answer: pb.GetCircuitResponse = await self._call(self._power.GetCircuit, request)
        return answer.circuit

    async def list_circuits(
        self, request_id: str = "", *, include_ended: bool = False
    ) -> pb.ListCircuitsResponse:
        request = pb.ListCircuitsRequest(request_id=request_id, include_ended=include_ended)
        answer: pb.ListCircuitsResponse = await self._call(self._power.ListCircuits, request)
        return answer

    def watch_circuits(
        self, *, timeout_s: float | None = None
    ) -> AsyncIterator[pb.WatchCircuitsResponse]:
        return self._stream(self._power.WatchCircuits, pb.WatchCircuitsRequest(), timeout_s)

    async def wait_until_active(
        self, circuit_ids: Iterable[int], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> tuple[pb.Circuit, ...]:
        wait = ActivationWait(circuit_ids)
        events = self.watch_circuits(timeout_s=timeout_s)
        try:
            async for event in events:
                if wait.done(event):
                    break
        except ControllerUnreachable as error:
            if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            raise wait.timed_out(timeout_s) from error
        return wait.circuits

    async def get_topology(self) -> pb.Topology:
        answer: pb.GetTopologyResponse = await self._call(
            self._topology.GetTopology, pb.GetTopologyRequest()
        )
        return answer.topology

    async def watch_topology(self, *, timeout_s: float | None = None) -> AsyncIterator[pb.Topology]:
        request = pb.WatchTopologyRequest()
        async for answer in self._stream(self._topology.WatchTopology, request, timeout_s):
            yield answer.topology

    async def read_meters(self) -> pb.ReadAllMetersResponse:
        answer: pb.ReadAllMetersResponse = await self._call(
            self._topology.ReadMeters, pb.ReadAllMetersRequest()
        )
        return answer

    async def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return await method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    async def _stream(
        self, method: Callable[..., Any], request: Any, timeout_s: float | None
    ) -> AsyncIterator[Any]:
        call = method(request, timeout=timeout_s)
        try:
            async for answer in call:
                yield answer
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            call.cancel()
