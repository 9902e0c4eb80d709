"""TopologyService: the network as the controller sees it, and the energy books of its routers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

from controller.northbound.principals import Caller
from controller.northbound.topology_codec import topology_parts
from controller.northbound.topology_feed import TopologyFeed
from controller.northbound.topology_looks import TopologyLooks
from controller.northbound.turns import in_turns
from controller.routing.compiled import engine_in_use
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import TopologyServiceServicer
from digitalgrid.v1.power_link_pb2 import RouterMeters

# The meters of the routers that answered, and the ids of those that did not.
ReadMeters = Callable[[], Awaitable[tuple[list[RouterMeters], list[str]]]]


class TopologyService(TopologyServiceServicer):
    def __init__(
        self, runtime: Runtime, gate: Gate, looks: TopologyLooks, read_meters: ReadMeters
    ) -> None:
        self._runtime = runtime
        self._feed = TopologyFeed(looks, gate)
        self._read_meters = read_meters

    async def GetTopology(self, request: pb.GetTopologyRequest, context: Caller) -> bytes:
        """A serialised GetTopologyResponse: of a large network it is made in turns."""
        parts = self._runtime.look(topology_parts)
        # Grows with each turn: to join all parts at its end would be the longest turn of all.
        answer = BytesIO()
        async for built in in_turns(parts, lambda part: part):
            for part in built:
                answer.write(pb.GetTopologyResponse(topology=part).SerializeToString())
        engine = pb.GetTopologyResponse(topology=pb.Topology(engine=engine_in_use()))
        answer.write(engine.SerializeToString())
        return answer.getvalue()

    def WatchTopology(
        self, request: pb.WatchTopologyRequest, context: Caller
    ) -> AsyncIterator[bytes]:
        return self._feed.watch(changes_only=request.changes_only)

    async def ReadMeters(
        self, request: pb.ReadAllMetersRequest, context: Caller
    ) -> pb.ReadAllMetersResponse:
        meters, missing = await self._read_meters()
        return pb.ReadAllMetersResponse(meters=meters, missing_router_ids=missing)
