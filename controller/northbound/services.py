"""The northbound services of one daemon, guarded: gRPC serves them, and so does the operator's page."""

from collections.abc import Iterator

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from controller.computing.optimiser import Optimiser
from controller.computing.proposing import Proposer
from controller.northbound.guard import Guard, Handler
from controller.northbound.mark_feed import MarkFeed
from controller.northbound.operations import OperationsService
from controller.northbound.optimisation import OptimisationService
from controller.northbound.power import PowerService
from controller.northbound.principals import Caller
from controller.northbound.topology import ReadMeters, TopologyService
from controller.northbound.topology_looks import TopologyLooks
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import (
    add_OperationsServiceServicer_to_server,
    add_OptimisationServiceServicer_to_server,
    add_PowerServiceServicer_to_server,
    add_TopologyServiceServicer_to_server,
)


class Services:
    """``gate`` bounds what watching costs, ``guard`` what is under way; ``proposer`` asks routing plug-ins."""

    def __init__(
        self,
        runtime: Runtime,
        optimiser: Optimiser,
        gate: Gate,
        read_meters: ReadMeters,
        proposer: Proposer | None = None,
    ) -> None:
        self.runtime = runtime
        self.guard = Guard(runtime)
        self._proposer = proposer or Proposer(runtime)
        self._power = PowerService(runtime, gate, self._proposer)
        self.looks = TopologyLooks(runtime, gate)
        self._topology = TopologyService(runtime, gate, self.looks, read_meters)
        self._optimisation = OptimisationService(optimiser)
        self.marks = MarkFeed(runtime)
        self._operations = OperationsService(runtime, optimiser, gate, self.marks)
        # Of calls that come by no gRPC: by their names, as they are asked for.
        self._calls: dict[str, Handler] = {}

    def close(self) -> None:
        """Nothing is noted, nor proposed, any more; after the servers have stopped."""
        self.marks.close()
        self._proposer.close()

    def add_to(self, server: grpc.aio.Server) -> None:
        add_PowerServiceServicer_to_server(self._power, server)
        add_TopologyServiceServicer_to_server(self._topology, server)
        add_OptimisationServiceServicer_to_server(self._optimisation, server)
        add_OperationsServiceServicer_to_server(self._operations, server)

    async def call(self, method: MethodDescriptor, request: object, caller: Caller) -> Message:
        """What a unary method answers; CallFailed where it does not. ``request`` is its message, or the DecodeError
        that came of reading it.
        """
        name = f"/{method.containing_service.full_name}/{method.name}"
        if name not in self._calls:
            self._calls[name] = self.guard.call(self._handler(method), name)
        answer = await self._calls[name](request, caller)
        if isinstance(answer, Message):
            return answer
        return GetMessageClass(method.output_type).FromString(answer)

    def _handler(self, method: MethodDescriptor) -> Handler:
        services = {
            "PowerService": self._power,
            "TopologyService": self._topology,
            "OptimisationService": self._optimisation,
            "OperationsService": self._operations,
        }
        handler: Handler = getattr(services[method.containing_service.name], method.name)
        return handler


def unary_methods() -> Iterator[MethodDescriptor]:
    """Of all services, those that answer once."""
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            if not method.server_streaming:
                yield method
