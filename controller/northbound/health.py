"""Health checking (grpc.health.v1), as load balancers and operators ask for it.

The whole (``""``), PowerService and TopologyService serve while this controller knows the state, leading or standing
by: both answer reads, and a standby names the leader to who asks for a change. OptimisationService and
OperationsService only decide, and serve where this controller leads: by them the leader can be found.
"""

from grpc_health.v1 import health, health_pb2

from controller.core.errors import Refusal
from controller.runtime.runtime import Runtime
from digitalgrid.supervision import start_once

_READ = ("", "digitalgrid.v1.PowerService", "digitalgrid.v1.TopologyService")
_DECIDE = ("digitalgrid.v1.OptimisationService", "digitalgrid.v1.OperationsService")
_Status = health_pb2.HealthCheckResponse


class Health:
    """Keeps the servicer at what is true of the runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.servicer = health.aio.HealthServicer()
        self._runtime = runtime
        runtime.feeds.roles.subscribe(self._note)
        runtime.failure.add_done_callback(lambda _: self._note())

    async def tell(self) -> None:
        for services, serves in ((_READ, self._knows), (_DECIDE, self._decides)):
            for service in services:
                status = _Status.SERVING if serves() else _Status.NOT_SERVING
                await self.servicer.set(service, status)

    def _note(self) -> None:
        start_once("health", self.tell)

    def _knows(self) -> bool:
        if self._runtime.failure.done():
            return False
        try:
            self._runtime.look(lambda grid, now_ns: None)
        except Refusal:
            return False
        return True

    def _decides(self) -> bool:
        return self._knows() and self._runtime.leads
