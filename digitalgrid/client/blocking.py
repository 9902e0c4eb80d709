"""The blocking client."""

import time
from collections.abc import Iterable, Iterator, Mapping

import grpc

from digitalgrid.client.asking import BlockingClient
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


class PowerClient(BlockingClient[Connection]):
    """Asks for power. Every call raises PowerError, within ``timeout_s`` of silence.

    ``server`` is host:port; several of a cluster stand with commas between. Calls go to whoever leads.

    ::

        with PowerClient() as client:
            circuits = client.request_power(power_request("load3", 2e6)).circuits
    """

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        super().__init__(server, timeout_s, Connection, channel_options, who_asks())

    def request_power(self, request: pb.PowerRequest) -> pb.RequestPowerResponse:
        """Returns once the decision is durable; :meth:`wait_until_active` waits for the power itself."""
        answer: pb.RequestPowerResponse = self._call(
            lambda to: to.power.RequestPower,
            pb.RequestPowerRequest(request=with_request_id(request)),
        )
        return answer

    def batch_request_power(
        self, requests: Iterable[pb.PowerRequest]
    ) -> pb.BatchRequestPowerResponse:
        """Several requests in order, each decided by itself; refusals stand in the outcomes."""
        answer: pb.BatchRequestPowerResponse = self._call(
            lambda to: to.power.BatchRequestPower,
            pb.BatchRequestPowerRequest(requests=map(with_request_id, requests)),
        )
        return answer

    def compute_power(self, request: pb.PowerRequest) -> pb.ComputePowerResponse:
        """What :meth:`request_power` would decide now, with nothing reserved."""
        answer: pb.ComputePowerResponse = self._call(
            lambda to: to.power.ComputePower, pb.ComputePowerRequest(request=request)
        )
        return answer

    def compute_paths(self, request: pb.ComputePathsRequest) -> pb.ComputePathsResponse:
        """The best paths for a request, or a disjoint pair, with nothing reserved."""
        answer: pb.ComputePathsResponse = self._call(lambda to: to.power.ComputePaths, request)
        return answer

    def dispatch(self, request: pb.DispatchRequest) -> pb.DispatchResponse:
        """Many loads at once; what was refused of them stands in the outcomes."""
        answer: pb.DispatchResponse = self._call(
            lambda to: to.optimisation.Dispatch, with_request_id(request)
        )
        return answer

    def reoptimise(self, request: pb.ReoptimiseRequest) -> pb.ReoptimiseResponse:
        """Returns once the moves are decided; they are made before the old paths are broken."""
        answer: pb.ReoptimiseResponse = self._call(lambda to: to.optimisation.Reoptimise, request)
        return answer

    def change_circuit(self, circuit_id: int, power_w: float) -> pb.Circuit:
        request = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
        answer: pb.ChangeCircuitResponse = self._call(lambda to: to.power.ChangeCircuit, request)
        return answer.circuit

    def release_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
        answer: pb.ReleaseCircuitResponse = self._call(lambda to: to.power.ReleaseCircuit, request)
        return answer.circuit

    def activate_circuit(self, circuit_id: int) -> pb.Circuit:
        """Have a held circuit carry."""
        request = pb.ActivateCircuitRequest(circuit_id=circuit_id)
        answer: pb.ActivateCircuitResponse = self._call(
            lambda to: to.power.ActivateCircuit, request
        )
        return answer.circuit

    def get_circuit(self, circuit_id: int) -> pb.Circuit:
        request = pb.GetCircuitRequest(circuit_id=circuit_id)
        answer: pb.GetCircuitResponse = self._call(lambda to: to.power.GetCircuit, request)
        return answer.circuit

    def list_circuits(
        self, request_id: str = "", *, include_ended: bool = False
    ) -> pb.ListCircuitsResponse:
        """All circuits, or those of one request; also the ended ones that are still remembered."""
        request = pb.ListCircuitsRequest(request_id=request_id, include_ended=include_ended)
        listed = pb.ListCircuitsResponse()
        for page in self._pages(lambda to: to.power.ListCircuits, request):
            listed.circuits.extend(page.circuits)
        return listed

    def list_registers(
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
        pages = self._pages(lambda to: to.power.ListRegisters, request)
        return [each for page in pages for each in page.registers]

    def watch_circuits(
        self, request_id_prefix: str = "", *, timeout_s: float | None = None
    ) -> Iterator[pb.WatchCircuitsResponse]:
        """A snapshot, a marker, then what changes, for as long as the caller iterates: of all circuits, or those of
        requests whose ids begin so.
        """
        request = pb.WatchCircuitsRequest(together=True, request_id_prefix=request_id_prefix)
        for answer in self._stream(lambda to: to.power.WatchCircuits, request, timeout_s):
            yield from one_by_one(answer, request_id_prefix)

    def wait_until_active(
        self, circuit_ids: Iterable[int], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> tuple[pb.Circuit, ...]:
        """Returns the circuits once their sinks have power. Raises NotActive where they do not get it."""
        wait = ActivationWait(circuit_ids)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                for event in self.watch_circuits(timeout_s=left_s):
                    if wait.done(event):
                        break
                return wait.circuits
            except ControllerUnreachable as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise wait.timed_out(timeout_s) from error
                if self._servers.count == 1:
                    raise
            time.sleep(WATCH_AGAIN_S)

    def get_topology(self) -> pb.Topology:
        answer: pb.GetTopologyResponse = self._call(
            lambda to: to.topology.GetTopology, pb.GetTopologyRequest()
        )
        return answer.topology

    def watch_topology(self, *, timeout_s: float | None = None) -> Iterator[pb.Topology]:
        """The whole view now and after every change."""
        request, view = pb.WatchTopologyRequest(changes_only=True), TopologyView()
        for answer in self._stream(lambda to: to.topology.WatchTopology, request, timeout_s):
            yield view.take(answer)

    def read_meters(self) -> pb.ReadAllMetersResponse:
        """The energy books of every connected router, as they stand now."""
        answer: pb.ReadAllMetersResponse = self._call(
            lambda to: to.topology.ReadMeters, pb.ReadAllMetersRequest()
        )
        return answer

    def reconcile(self, request: pb.ReconcileRequest) -> pb.ReconcileResponse:
        """What routers run otherwise than they should; repaired, where it is no dry run."""
        answer: pb.ReconcileResponse = self._call(lambda to: to.operations.Reconcile, request)
        return answer

    def forget_router(self, router_id: str) -> pb.ForgetRouterResponse:
        """Free what a router holds that never returns."""
        answer: pb.ForgetRouterResponse = self._call(
            lambda to: to.operations.ForgetRouter, pb.ForgetRouterRequest(router_id=router_id)
        )
        return answer

    def drain(self, request: pb.DrainRequest) -> pb.DrainResponse:
        """Take a link or router out of service; returns once nothing new uses it."""
        answer: pb.DrainResponse = self._call(lambda to: to.operations.Drain, request)
        return answer

    def undrain(self, id_: str) -> None:
        """Put a link or router into service again."""
        self._call(lambda to: to.operations.Undrain, pb.UndrainRequest(id=id_))

    def place_routers(self, places: Mapping[str, Place | None]) -> None:
        """Put routers on maps, durably; None: where they say themselves."""
        self._call(lambda to: to.operations.PlaceRouters, place_routers_request(places))

    def what_if(self, request: pb.WhatIfRequest) -> pb.WhatIfResponse:
        """What would become of circuits; changes nothing."""
        answer: pb.WhatIfResponse = self._call(lambda to: to.operations.WhatIf, request)
        return answer

    def watch_events(
        self, request: pb.WatchEventsRequest, *, timeout_s: float | None = None
    ) -> Iterator[pb.WatchEventsResponse]:
        """What is known of the last quarter of an hour, in the first answer, then what comes."""
        yield from self._stream(lambda to: to.operations.WatchEvents, request, timeout_s)

    def read_audit(
        self, subjects: Iterable[str] = (), *, since_unix_ns: int = 0, newest: int = 0
    ) -> list[pb.AuditEntry]:
        """The newest entries of the audit log, about these ids or any, oldest first."""
        request = pb.ReadAuditRequest(subjects=subjects, since_unix_ns=since_unix_ns, newest=newest)
        answer: pb.ReadAuditResponse = self._call(lambda to: to.operations.ReadAudit, request)
        return list(answer.entries)

    def wait_until_drained(self, id_: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Returns once no router holds a hop at a link or router. Raises NotDrained where that does not come."""
        wait = DrainWait(id_)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                for view in self.watch_topology(timeout_s=left_s):
                    if wait.done(view):
                        return
            except ControllerUnreachable as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise wait.timed_out(timeout_s) from error
                if self._servers.count == 1:
                    raise
            time.sleep(WATCH_AGAIN_S)
