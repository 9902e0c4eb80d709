"""Simulated routers that dial real controllers: real circuit tables, whose power follows commitments at once."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc

from controller.southbound.service import LIMITS as SOUTHBOUND_LIMITS
from digitalgrid.capabilities import Capability
from digitalgrid.channels import asyncio_channel
from digitalgrid.convert import election_id_from_pb, election_id_to_pb
from digitalgrid.convert_lsa import lsa_to_pb
from digitalgrid.gridfile import Grid
from digitalgrid.model import (
    PROTOCOL_VERSION,
    CircuitGeneration,
    ElectionId,
    FlowState,
    HopSnapshot,
    Operation,
    ResultCode,
)
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc as pb_grpc
from router_agent.codec import mutation_from_pb, outcome_to_pb, table_to_pb
from router_agent.device.mutation import Mutation, Outcome
from tests.chaos.limits import Commitments
from tests.support.simulated_grid import SimulatedGrid, SimulatedRouter

# Whoever is here has no standbys: their switches are made by real routers (switchover.py).
_CAPABILITIES = (Capability.CIRCUITS, Capability.METERS)
# A controller that comes back is found soon, so that rounds are short; one that is away costs a connect() each time.
_DIAL_EVERY_S = 0.1
_GREETING_WITHIN_S = 5.0
_FLOW_STATES = {
    FlowState.ACTUATED: pb.FLOW_STATE_ACTUATED,
    FlowState.DRAINED: pb.FLOW_STATE_DRAINED,
}
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Mutated:
    """A mutation, and how a router answered it; ``controller`` is the address that it came from."""

    at_s: float
    router_id: str
    controller: str
    election_id: ElectionId
    highest_election_id: ElectionId
    operation: Operation
    code: ResultCode


@dataclass(frozen=True, slots=True)
class Greeted:
    """A controller has said to a router that it leads."""

    at_s: float
    router_id: str
    controller: str
    election_id: ElectionId


@dataclass(slots=True)
class History:
    """All that routers were told, in the order in which they heard it, by the monotonic clock."""

    mutations: list[Mutated] = field(default_factory=list)
    greetings: list[Greeted] = field(default_factory=list)
    over_subscriptions: list[str] = field(default_factory=list)


class SessionEnded(Exception):
    """The controller closed the stream, or did not begin with a greeting."""


class Fleet:
    """All routers of a grid, each with a session at each controller's address."""

    def __init__(self, grid: Grid, addresses: Iterable[str]) -> None:
        self._simulated = SimulatedGrid(grid)
        self._commitments = Commitments(grid)
        self._hops: dict[tuple[str, CircuitGeneration], HopSnapshot] = {}
        self._sinks: dict[CircuitGeneration, str] = {}
        self.history = History()
        self.routers = {
            router_id: _Agent(router, self) for router_id, router in self._simulated.routers.items()
        }
        self._addresses = tuple(addresses)

    async def run(self) -> None:
        """Keep every address dialled, until cancelled."""
        await asyncio.gather(*(self._keep_dialled(address) for address in self._addresses))

    def held(self) -> set[tuple[str, CircuitGeneration]]:
        return self._simulated.held()

    def take_history(self) -> History:
        """What was heard since it was last taken."""
        history, self.history = self.history, History()
        history.over_subscriptions += self._simulated.over_subscriptions()
        return history

    def flap(self) -> float:
        """One line goes down, or up again, and one of its ends says so; when, by the monotonic clock."""
        link = next(iter(self._simulated.links.values()))
        self._simulated.cut ^= {link.id}
        said_s = time.monotonic()
        self.routers[link.a].advertise()
        return said_s

    async def _keep_dialled(self, address: str) -> None:
        """A connection carries the sessions of as many routers as it may: one each would only cost memory."""
        host, _, port = address.rpartition(":")
        agents = list(self.routers.values())
        while True:
            await _listening(host, int(port))
            async with AsyncExitStack() as connections:
                sessions: list[Coroutine[None, None, None]] = []
                for first in range(0, len(agents), SOUTHBOUND_LIMITS.streams):
                    channel = asyncio_channel(address, _CHANNEL_OPTIONS)
                    stub = pb_grpc.SouthboundServiceStub(
                        await connections.enter_async_context(channel)
                    )
                    some = agents[first : first + SOUTHBOUND_LIMITS.streams]
                    sessions += [_dial(stub, agent, address) for agent in some]
                await _until_first(sessions)

    def mutate(self, agent: "_Agent", mutation: Mutation) -> Outcome:
        router = agent.router
        outcome = router.table.apply(mutation, time.monotonic_ns())
        self.history.mutations.append(
            Mutated(
                time.monotonic(),
                agent.router_id,
                mutation.controller,
                mutation.election_id,
                outcome.highest_election_id,
                mutation.operation,
                outcome.code,
            )
        )
        router.floors.update(outcome.new_floors)
        router.election_id = outcome.highest_election_id
        if mutation.operation is Operation.DRAIN and outcome.code is ResultCode.OK:
            router.draining.update(mutation.circuits)
        for hop in outcome.added:
            self._take_up(agent.router_id, hop)
        for key in outcome.removed:
            self._drop_hop(agent, key)
        return outcome

    def report(self, agent: "_Agent", mutation: Mutation, outcome: Outcome) -> None:
        """Sinks tell how the power of circuits is that something was done about."""
        if mutation.operation is Operation.DRAIN and outcome.code is ResultCode.OK:
            for key in mutation.circuits:
                agent.tell_drained(key)
        for hop in outcome.added:
            sink = self.routers.get(self._sinks.get(hop.key, ""))
            if sink is not None and self._simulated.path_is_complete(hop.key, sink.router):
                sink.tell_actuated(hop.key)

    def _take_up(self, router_id: str, hop: HopSnapshot) -> None:
        self._hops[router_id, hop.key] = hop
        if hop.load_id:
            self._sinks[hop.key] = router_id
        self.history.over_subscriptions += self._commitments.add(router_id, hop)

    def _drop_hop(self, agent: "_Agent", key: CircuitGeneration) -> None:
        hop = self._hops.pop((agent.router_id, key))
        self._commitments.remove(agent.router_id, hop)
        agent.router.draining.discard(key)
        agent.router.told.pop(key, None)
        if hop.load_id:
            del self._sinks[key]


class _Agent:
    """A router, and its sessions. All of them hear the same news."""

    def __init__(self, router: SimulatedRouter, fleet: Fleet) -> None:
        self.router = router
        self.router_id = router.config.id
        self._fleet = fleet
        self._lsa = lsa_to_pb(router.lsa())
        self._session_no = 0
        self._outboxes: dict[str, asyncio.Queue[pb.RouterMessage]] = {}

    def hello(self) -> pb.RouterMessage:
        self._session_no += 1
        table = self.router.table
        return pb.RouterMessage(
            hello=pb.RouterHello(
                protocol_version=PROTOCOL_VERSION,
                router_id=self.router_id,
                instance_id=self.router_id.encode(),
                boot_id=self.router.boot_id,
                session_no=self._session_no,
                capabilities=_CAPABILITIES,
                table_version=table.version,
                highest_election_id=election_id_to_pb(table.highest_election_id),
            )
        )

    def advertise(self) -> None:
        """To all controllers, what is true now."""
        self._lsa = lsa_to_pb(self.router.lsa())
        for controller in self._outboxes:
            self._say(controller, pb.RouterMessage(lsa=self._lsa))

    def begin(self, controller: str) -> asyncio.Queue[pb.RouterMessage]:
        """A session that was greeted: what is said next, and from now on."""
        outbox: asyncio.Queue[pb.RouterMessage] = asyncio.Queue()
        outbox.put_nowait(pb.RouterMessage(lsa=self._lsa))
        for key, state in self.router.told.items():
            outbox.put_nowait(_status(key, state))
        outbox.put_nowait(pb.RouterMessage(sync_done=pb.SyncDone()))
        self._outboxes[controller] = outbox
        return outbox

    def end(self, controller: str, outbox: asyncio.Queue[pb.RouterMessage]) -> None:
        if self._outboxes.get(controller) is outbox:
            del self._outboxes[controller]

    def greeted(self, controller: str, hello: pb.ControllerHello) -> None:
        if hello.role != pb.CONTROLLER_ROLE_LEADER:
            return
        election_id = election_id_from_pb(hello.election_id)
        self._fleet.history.greetings.append(
            Greeted(time.monotonic(), self.router_id, controller, election_id)
        )
        self.router.table.greet(controller, election_id)
        self.router.election_id = self.router.table.highest_election_id

    def obey(self, controller: str, message: pb.ControllerMessage) -> None:
        mutation = mutation_from_pb(message, controller)
        if mutation is not None:
            outcome = self._fleet.mutate(self, mutation)
            self._say(controller, pb.RouterMessage(result=outcome_to_pb(outcome)))
            self._fleet.report(self, mutation, outcome)
            return
        match message.WhichOneof("message"):
            case "hello":
                self.greeted(controller, message.hello)
            case "read_table":
                self.router.table.expire(time.monotonic_ns())
                (table,) = table_to_pb(
                    self.router.table, pb.ReadTable(read_id=message.read_table.read_id)
                )
                self._say(controller, pb.RouterMessage(table=table))
            case "read_meters":
                meters = power_link_pb.RouterMeters(
                    router_id=self.router_id, boot_id=self.router.boot_id
                )
                reply = pb.MetersReply(read_id=message.read_meters.read_id, meters=meters)
                self._say(controller, pb.RouterMessage(meters=reply))

    def tell_actuated(self, key: CircuitGeneration) -> None:
        if key not in self.router.told:
            self._tell(key, FlowState.ACTUATED)

    def tell_drained(self, key: CircuitGeneration) -> None:
        """Also what is not here, or has drained before, is drained: whoever asks waits for the answer."""
        self._tell(key, FlowState.DRAINED)

    def _tell(self, key: CircuitGeneration, state: FlowState) -> None:
        if self.router.hop(key) is not None:
            self.router.told[key] = state
        for controller in self._outboxes:
            self._say(controller, _status(key, state))

    def _say(self, controller: str, message: pb.RouterMessage) -> None:
        if controller in self._outboxes:
            self._outboxes[controller].put_nowait(message)


def _status(key: CircuitGeneration, state: FlowState) -> pb.RouterMessage:
    return pb.RouterMessage(
        status=pb.CircuitStatus(
            circuit_id=key.circuit_id, generation=key.generation, state=_FLOW_STATES[state]
        )
    )


async def _listening(host: str, port: int) -> None:
    """Return once somebody does."""
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(_DIAL_EVERY_S)
        else:
            writer.close()
            return


async def _until_first(dialling: Iterable[Coroutine[None, None, None]]) -> None:
    """Once one finds the connection lost it is lost for all, though some may be about to dial again."""
    tasks = [asyncio.create_task(each) for each in dialling]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _dial(stub: pb_grpc.SouthboundServiceStub, agent: _Agent, controller: str) -> None:
    """Hold a session, and the next one, until the connection is lost."""
    while True:
        try:
            await _session(stub.Session(), agent, controller)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return
            await asyncio.sleep(_DIAL_EVERY_S)
        except (SessionEnded, TimeoutError):
            await asyncio.sleep(_DIAL_EVERY_S)


async def _session(stream: grpc.aio.StreamStreamCall, agent: _Agent, controller: str) -> None:
    try:
        async with asyncio.timeout(_GREETING_WITHIN_S):
            await _write(stream, agent.hello())
            greeting = await stream.read()
        if not isinstance(greeting, pb.ControllerMessage) or not greeting.HasField("hello"):
            raise SessionEnded("did not begin with a greeting")
        agent.greeted(controller, greeting.hello)
        outbox = agent.begin(controller)
        writing = asyncio.create_task(_write_all(stream, outbox))
        try:
            while isinstance(message := await stream.read(), pb.ControllerMessage):
                agent.obey(controller, message)
        finally:
            agent.end(controller, outbox)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        raise SessionEnded("closed by the controller")
    finally:
        stream.cancel()


async def _write_all(
    stream: grpc.aio.StreamStreamCall, outbox: asyncio.Queue[pb.RouterMessage]
) -> None:
    while True:
        await _write(stream, await outbox.get())


async def _write(stream: grpc.aio.StreamStreamCall, message: pb.RouterMessage) -> None:
    try:
        await stream.write(message)
    except asyncio.InvalidStateError as error:
        # gRPC's word for a stream that ended before its end was read.
        raise SessionEnded("closed by the controller") from error
