"""What each call of the northbound API asks a controller, and what comes of its answers; for both clients."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import grpc

from digitalgrid.client.calls import (
    WATCH_AGAIN_S,
    ActivationWait,
    DrainWait,
    one_by_one,
    place_routers_request,
    with_request_id,
)
from digitalgrid.client.conversation import (
    Conversation,
    Pause,
    Stream,
    Watch,
    as_it_is,
    ask,
    rows,
)
from digitalgrid.client.errors import ControllerUnreachable
from digitalgrid.client.servers import Servers
from digitalgrid.client.topology_view import TopologyView
from digitalgrid.places import Place
from digitalgrid.v1 import northbound_pb2 as pb


class PowerConversations:
    """Of a client of these servers, who waits for ``timeout_s`` where a call says nothing else."""

    def __init__(self, servers: Servers, timeout_s: float) -> None:
        self._servers = servers
        self._timeout_s = timeout_s

    def request_power(self, request: pb.PowerRequest) -> Conversation[pb.RequestPowerResponse]:
        """Returns once the decision is durable; :meth:`wait_until_active` waits for the power itself."""
        return ask(
            lambda to: to.power.RequestPower,
            pb.RequestPowerRequest(request=with_request_id(request)),
        )

    def batch_request_power(
        self, requests: Iterable[pb.PowerRequest]
    ) -> Conversation[pb.BatchRequestPowerResponse]:
        """Several requests in order, each decided by itself; refusals stand in the outcomes."""
        return ask(
            lambda to: to.power.BatchRequestPower,
            pb.BatchRequestPowerRequest(requests=map(with_request_id, requests)),
        )

    def compute_power(self, request: pb.PowerRequest) -> Conversation[pb.ComputePowerResponse]:
        """What :meth:`request_power` would decide now, with nothing reserved."""
        return ask(lambda to: to.power.ComputePower, pb.ComputePowerRequest(request=request))

    def compute_paths(
        self, request: pb.ComputePathsRequest
    ) -> Conversation[pb.ComputePathsResponse]:
        """The best paths for a request, or a disjoint pair, with nothing reserved."""
        return ask(lambda to: to.power.ComputePaths, request)

    def dispatch(self, request: pb.DispatchRequest) -> Conversation[pb.DispatchResponse]:
        """Many loads at once; what was refused of them stands in the outcomes."""
        return ask(lambda to: to.optimisation.Dispatch, with_request_id(request))

    def reoptimise(self, request: pb.ReoptimiseRequest) -> Conversation[pb.ReoptimiseResponse]:
        """Returns once the moves are decided; they are made before the old paths are broken."""
        return ask(lambda to: to.optimisation.Reoptimise, request)

    def change_circuit(self, circuit_id: int, power_w: float) -> Conversation[pb.Circuit]:
        request = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
        answer: pb.ChangeCircuitResponse = yield from ask(
            lambda to: to.power.ChangeCircuit, request
        )
        return answer.circuit

    def release_circuit(self, circuit_id: int) -> Conversation[pb.Circuit]:
        request = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
        answer: pb.ReleaseCircuitResponse = yield from ask(
            lambda to: to.power.ReleaseCircuit, request
        )
        return answer.circuit

    def activate_circuit(self, circuit_id: int) -> Conversation[pb.Circuit]:
        """Have a held circuit carry."""
        request = pb.ActivateCircuitRequest(circuit_id=circuit_id)
        answer: pb.ActivateCircuitResponse = yield from ask(
            lambda to: to.power.ActivateCircuit, request
        )
        return answer.circuit

    def get_circuit(self, circuit_id: int) -> Conversation[pb.Circuit]:
        request = pb.GetCircuitRequest(circuit_id=circuit_id)
        answer: pb.GetCircuitResponse = yield from ask(lambda to: to.power.GetCircuit, request)
        return answer.circuit

    def list_circuits(
        self, request_id: str = "", *, include_ended: bool = False
    ) -> Conversation[pb.ListCircuitsResponse]:
        """All circuits, or those of one request; also the ended ones that are still remembered."""
        # How much is given at a time is for the controller to say.
        request = pb.ListCircuitsRequest(request_id=request_id, include_ended=include_ended)
        circuits = yield from rows(
            lambda to: to.power.ListCircuits, request, lambda page: page.circuits
        )
        return pb.ListCircuitsResponse(circuits=circuits)

    def list_registers(
        self,
        circuit_id: int = 0,
        request_id: str = "",
        *,
        since_unix_ns: int = 0,
        until_unix_ns: int = 0,
    ) -> Conversation[list[pb.FinalRegister]]:
        """What generations had injected and delivered when they ended: of a circuit, a request, a time, or all."""
        request = pb.ListRegistersRequest(
            circuit_id=circuit_id,
            request_id=request_id,
            since_unix_ns=since_unix_ns,
            until_unix_ns=until_unix_ns,
        )
        return rows(lambda to: to.power.ListRegisters, request, lambda page: page.registers)

    def watch_circuits(
        self, request_id_prefix: str = "", *, timeout_s: float | None = None
    ) -> Stream[pb.WatchCircuitsResponse]:
        """A snapshot, a marker, then what changes, for as long as the caller iterates: of all circuits, or those of
        requests whose ids begin so.
        """
        request = pb.WatchCircuitsRequest(together=True, request_id_prefix=request_id_prefix)
        read = partial(one_by_one, request_id_prefix=request_id_prefix)
        return Stream(lambda to: to.power.WatchCircuits, request, read, timeout_s)

    def wait_until_active(
        self, circuit_ids: Iterable[int], *, timeout_s: float | None = None
    ) -> Conversation[tuple[pb.Circuit, ...]]:
        """Returns the circuits once their sinks have power. Raises NotActive where they do not get it."""
        wait = ActivationWait(circuit_ids)
        yield from self._wait(self.watch_circuits, wait, timeout_s)
        return wait.circuits

    def get_topology(self) -> Conversation[pb.Topology]:
        answer: pb.GetTopologyResponse = yield from ask(
            lambda to: to.topology.GetTopology, pb.GetTopologyRequest()
        )
        return answer.topology

    def watch_topology(self, *, timeout_s: float | None = None) -> Stream[pb.Topology]:
        """The whole view now and after every change."""
        request, view = pb.WatchTopologyRequest(changes_only=True), TopologyView()
        return Stream(
            lambda to: to.topology.WatchTopology,
            request,
            lambda answer: (view.take(answer),),
            timeout_s,
        )

    def read_meters(self) -> Conversation[pb.ReadAllMetersResponse]:
        """The energy books of every connected router, as they stand now."""
        return ask(lambda to: to.topology.ReadMeters, pb.ReadAllMetersRequest())

    def reconcile(self, request: pb.ReconcileRequest) -> Conversation[pb.ReconcileResponse]:
        """What routers run otherwise than they should; repaired, where it is no dry run."""
        return ask(lambda to: to.operations.Reconcile, request)

    def forget_router(self, router_id: str) -> Conversation[pb.ForgetRouterResponse]:
        """Free what a router holds that never returns."""
        return ask(
            lambda to: to.operations.ForgetRouter, pb.ForgetRouterRequest(router_id=router_id)
        )

    def drain(self, request: pb.DrainRequest) -> Conversation[pb.DrainResponse]:
        """Take a link or router out of service; returns once nothing new uses it."""
        return ask(lambda to: to.operations.Drain, request)

    def undrain(self, id_: str) -> Conversation[None]:
        """Put a link or router into service again."""
        yield from ask(lambda to: to.operations.Undrain, pb.UndrainRequest(id=id_))

    def place_routers(self, places: Mapping[str, Place | None]) -> Conversation[None]:
        """Put routers on maps, durably; None: where they say themselves."""
        yield from ask(lambda to: to.operations.PlaceRouters, place_routers_request(places))

    def what_if(self, request: pb.WhatIfRequest) -> Conversation[pb.WhatIfResponse]:
        """What would become of circuits; changes nothing."""
        return ask(lambda to: to.operations.WhatIf, request)

    def watch_events(
        self, request: pb.WatchEventsRequest, *, timeout_s: float | None = None
    ) -> Stream[pb.WatchEventsResponse]:
        """What is known of the last quarter of an hour, in the first answer, then what comes."""
        return Stream(lambda to: to.operations.WatchEvents, request, as_it_is, timeout_s)

    def read_audit(
        self, subjects: Iterable[str] = (), *, since_unix_ns: int = 0, newest: int = 0
    ) -> Conversation[list[pb.AuditEntry]]:
        """The newest entries of the audit log, about these ids or any, oldest first."""
        request = pb.ReadAuditRequest(subjects=subjects, since_unix_ns=since_unix_ns, newest=newest)
        answer: pb.ReadAuditResponse = yield from ask(lambda to: to.operations.ReadAudit, request)
        return list(answer.entries)

    def wait_until_drained(self, id_: str, *, timeout_s: float | None = None) -> Conversation[None]:
        """Returns once no router holds a hop at a link or router. Raises NotDrained where that does not come."""
        yield from self._wait(self.watch_topology, DrainWait(id_), timeout_s)

    def _wait(
        self,
        watch: Callable[..., Stream[Any]],
        wait: ActivationWait | DrainWait,
        timeout_s: float | None,
    ) -> Conversation[None]:
        """Until one of the words is enough, whoever of several controllers says it."""
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                if (yield Watch(watch(timeout_s=left_s), wait.done)):
                    return
            except ControllerUnreachable as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise wait.timed_out(timeout_s) from error
                if self._servers.count == 1:
                    raise
            yield Pause(WATCH_AGAIN_S)
