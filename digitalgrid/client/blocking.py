"""The blocking client."""

from collections.abc import Callable, Iterable, Iterator
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


class PowerClient:
    """Asks one controller for power. Every call raises PowerError, within ``timeout_s`` of silence.

    ::

        with PowerClient() as client:
            circuits = client.request_power(power_request("load3", 2e6)).circuits
    """

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(server, options=CHANNEL_OPTIONS)
        self._power = PowerServiceStub(self._channel)
        self._optimisation = OptimisationServiceStub(self._channel)
        self._topology = TopologyServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def request_power(self, request: pb.PowerRequest) -> pb.RequestPowerResponse:
        """Returns once the decision is durable; :meth:`wait_until_active` waits for the power itself."""
        answer: pb.RequestPowerResponse = self._call(
            self._power.RequestPower, pb.RequestPowerRequest(request=request)
        )
        return answer

    def batch_request_power(
        self, requests: Iterable[pb.PowerRequest]
    ) -> pb.BatchRequestPowerResponse:
        """Several requests in order, each decided by itself; refusals stand in the outcomes."""
        answer: pb.BatchRequestPowerResponse = self._call(
            self._power.BatchRequestPower, pb.BatchRequestPowerRequest(requests=requests)
        )
        return answer

    def compute_power(self, request: pb.PowerRequest) -> pb.ComputePowerResponse:
        """What :meth:`request_power` would decide now, with nothing reserved."""
        answer: pb.ComputePowerResponse = self._call(
            self._power.ComputePower, pb.ComputePowerRequest(request=request)
        )
        return answer

    def compute_paths(self, request: pb.ComputePathsRequest) -> pb.ComputePathsResponse:
        """The best paths for a request, or a disjoint pair, with nothing reserved."""
        answer: pb.ComputePathsResponse = self._call(self._power.ComputePaths, request)
        return answer

    def dispatch(self, request: pb.DispatchRequest) -> pb.DispatchResponse:
        """Many loads at once; what was refused of them stands in the outcomes."""
        answer: pb.DispatchResponse = self._call(self._optimisation.Dispatch, request)
        return answer

    def reoptimise(self, request: pb.ReoptimiseRequest) -> pb.ReoptimiseResponse:
        """Returns once the moves are decided; they are made before the old paths are broken."""
        answer: pb.ReoptimiseResponse = self._call(self._optimisation.Reoptimise, request)
        return answer

    def change_circuit(self, circuit_id: int, power_w: float) -> pb.Circuit:
        request = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
        answer: pb.ChangeCircuitResponse = self._call(self._power.ChangeCircuit, request)
        return answer.circuit

    def release_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
        answer: pb.ReleaseCircuitResponse = self._call(self._power.ReleaseCircuit, request)
        return answer.circuit

    def get_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.GetCircuitRequest(circuit_id=circuit_id)
        answer: pb.GetCircuitResponse = self._call(self._power.GetCircuit, request)
        return answer.circuit

    def list_circuits(
        self, request_id: str = "", *, include_ended: bool = False
    ) -> pb.ListCircuitsResponse:
        """All circuits, or those of one request; also the ended ones that are still remembered."""
        request = pb.ListCircuitsRequest(request_id=request_id, include_ended=include_ended)
        answer: pb.ListCircuitsResponse = self._call(self._power.ListCircuits, request)
        return answer

    def watch_circuits(
        self, *, timeout_s: float | None = None
    ) -> Iterator[pb.WatchCircuitsResponse]:
        """A snapshot, a marker, then every change, for as long as the caller iterates."""
        return self._stream(self._power.WatchCircuits, pb.WatchCircuitsRequest(), timeout_s)

    def wait_until_active(
        self, circuit_ids: Iterable[int], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> tuple[pb.Circuit, ...]:
        """Returns the circuits once their sinks have power. Raises NotActive where they do not get it."""
        wait = ActivationWait(circuit_ids)
        try:
            for event in self.watch_circuits(timeout_s=timeout_s):
                if wait.done(event):
                    break
        except ControllerUnreachable as error:
            if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            raise wait.timed_out(timeout_s) from error
        return wait.circuits

    def get_topology(self) -> pb.Topology:
        answer: pb.GetTopologyResponse = self._call(
            self._topology.GetTopology, pb.GetTopologyRequest()
        )
        return answer.topology

    def watch_topology(self, *, timeout_s: float | None = None) -> Iterator[pb.Topology]:
        """The whole view now and after every change."""
        request = pb.WatchTopologyRequest()
        for answer in self._stream(self._topology.WatchTopology, request, timeout_s):
            yield answer.topology

    def read_meters(self) -> pb.ReadAllMetersResponse:
        """The energy books of every connected router, as they stand now."""
        answer: pb.ReadAllMetersResponse = self._call(
            self._topology.ReadMeters, pb.ReadAllMetersRequest()
        )
        return answer

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def _stream(
        self, method: Callable[..., Any], request: Any, timeout_s: float | None
    ) -> Iterator[Any]:
        call = method(request, timeout=timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            call.cancel()
