"""Real router agents as processes on loopback lines, and the smallest controller that can program them."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from digitalgrid.convert import hop_to_pb, pool_to_pb
from digitalgrid.model import PROTOCOL_VERSION, CircuitGeneration, HopSnapshot, StandbyPool
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc as pb_grpc
from router_agent.config import LinkConfig, RouterConfig
from router_agent.transport import LineCarrier, carrier_command
from tests.support.patience import PATIENCE_S

_ELECTION_ID = power_link_pb.ElectionId(high=0, low=1)

Message = pb.RouterMessage


@dataclass
class Session:
    hello: pb.RouterHello
    stream: "grpc.aio.ServicerContext"
    received: list[Message] = field(default_factory=list)
    ended: bool = False


class TinyController(pb_grpc.SouthboundServiceServicer):
    """Remembers all that routers say; ``until`` waits for something among it."""

    def __init__(self) -> None:
        # Said in greetings; none greets before any other.
        self.elected = power_link_pb.ElectionId()
        self.sessions: dict[str, Session] = {}
        self._news = asyncio.Condition()
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server(options=[("grpc.http2.max_ping_strikes", 0)])
        pb_grpc.add_SouthboundServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def Session(self, request_iterator: object, context: "grpc.aio.ServicerContext") -> None:
        session = Session((await context.read()).hello, context)
        self.sessions[session.hello.router_id] = session
        hello = pb.ControllerHello(
            protocol_version=PROTOCOL_VERSION,
            role=pb.CONTROLLER_ROLE_LEADER,
            election_id=self.elected,
        )
        try:
            await context.write(pb.ControllerMessage(hello=hello))
            while isinstance(message := await context.read(), Message):
                session.received.append(message)
                await self._notify()
        finally:
            session.ended = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._notify()

    async def until(self, what: Callable[[], bool]) -> None:
        """Raises TimeoutError when it never becomes true."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(what)

    async def say(self, router_id: str, **message: object) -> None:
        await self.sessions[router_id].stream.write(pb.ControllerMessage(**message))  # type: ignore[arg-type]

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    def heard(self, router_id: str, kind: str) -> list[Message]:
        if router_id not in self.sessions:
            return []
        received = self.sessions[router_id].received
        return [message for message in received if message.WhichOneof("message") == kind]

    def links_up(self, router_id: str) -> dict[str, bool]:
        """As the router's newest LSA has it."""
        lsas = self.heard(router_id, "lsa")
        return {link.link_id: link.up for link in lsas[-1].lsa.links} if lsas else {}

    def states(self, router_id: str, key: CircuitGeneration) -> list[int]:
        statuses = [message.status for message in self.heard(router_id, "status")]
        return [each.state for each in statuses if (each.circuit_id, each.generation) == key]

    async def result(self, router_id: str, **mutation: object) -> pb.TransactionResult:
        """Send one mutation and wait for its answer."""
        known = len(self.heard(router_id, "result"))
        await self.say(router_id, **mutation)
        await self.until(lambda: len(self.heard(router_id, "result")) > known)
        return self.heard(router_id, "result")[known].result

    async def program(
        self,
        hops: Mapping[str, HopSnapshot],
        txn_id: int,
        pools: Callable[[str, HopSnapshot], Sequence[StandbyPool]] = lambda _, hop: (),
    ) -> None:
        for router_id in reversed(list(hops)):
            stage = pb.Stage(
                election_id=_ELECTION_ID,
                txn_id=txn_id,
                lease_ms=2000,
                hops=[hop_to_pb(hops[router_id])],
                pools=map(pool_to_pb, pools(router_id, hops[router_id])),
            )
            assert (await self.result(router_id, stage=stage)).code == pb.RESULT_CODE_OK
        for router_id in reversed(list(hops)):
            commit = pb.Commit(election_id=_ELECTION_ID, txn_id=txn_id)
            assert (await self.result(router_id, commit=commit)).code == pb.RESULT_CODE_OK

    async def drain(self, router_id: str, key: CircuitGeneration) -> None:
        drain = pb.Drain(election_id=_ELECTION_ID, circuits=[_generation(key)])
        assert (await self.result(router_id, drain=drain)).code == pb.RESULT_CODE_OK

    async def withdraw(self, router_id: str, key: CircuitGeneration) -> None:
        withdraw = pb.Withdraw(election_id=_ELECTION_ID, circuits=[_generation(key)])
        assert (await self.result(router_id, withdraw=withdraw)).code == pb.RESULT_CODE_OK

    async def meters(self, router_id: str) -> power_link_pb.RouterMeters:
        known = len(self.heard(router_id, "meters"))
        await self.say(router_id, read_meters=pb.ReadMeters(read_id=known + 1))
        await self.until(lambda: len(self.heard(router_id, "meters")) > known)
        return self.heard(router_id, "meters")[known].meters.meters


class AgentProcess:
    """One ``dgr run``, whose output must stay free of tracebacks."""

    def __init__(self, config: RouterConfig, directory: Path, *options: str) -> None:
        """``options`` are of the command line, as ``--verbose``."""
        self.config = config
        self._options = options
        self._file = directory / f"{config.router_id}.yaml"
        self._log = directory / f"{config.router_id}.log"
        self._file.write_text(_as_yaml(config), encoding="utf-8")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "router_agent.main", "run", str(self._file), *self._options,
                stdout=log, stderr=log,
            )  # fmt: skip

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        process = self._process
        if process is None or process.returncode is not None:
            return 0
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")


def set_carrier(link: LinkConfig, carrier: LineCarrier) -> None:
    """Tell one end of a loopback line what its carrier is."""
    host, _, port = link.local.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(carrier_command(carrier, link.carrier_key), (host, int(port)))


@contextlib.asynccontextmanager
async def running(
    configs: list[RouterConfig], directory: Path
) -> AsyncIterator[dict[str, AgentProcess]]:
    agents = {config.router_id: AgentProcess(config, directory) for config in configs}
    try:
        for agent in agents.values():
            await agent.start()
        yield agents
    finally:
        for agent in agents.values():
            with contextlib.suppress(ProcessLookupError):
                await agent.end(signal.SIGKILL)


def _generation(key: CircuitGeneration) -> pb.CircuitGeneration:
    return pb.CircuitGeneration(circuit_id=key.circuit_id, generation=key.generation)


def _as_yaml(config: RouterConfig) -> str:
    links = "".join(
        f"  - {{id: {link.id}, neighbor: {link.neighbor}, resistance_ohm: {link.resistance_ohm}, "
        f'ampacity_a: {link.ampacity_a}, local: "{link.local}", remote: "{link.remote}",'
        f' carrier_key: "{link.carrier_key}"}}\n'
        for link in config.links
    )
    controllers = ", ".join(f'"{address}"' for address in config.controllers)
    return (
        f"router_id: {config.router_id}\n"
        f"state_dir: {config.state_dir}\n"
        f"controllers: [{controllers}]\n"
        f"efficiency: {config.efficiency}\n"
        f"links:\n{links}"
        f"sources: [{{id: {config.sources[0].id}, max_power_w: {config.sources[0].max_power_w}}}]\n"
        f"loads: [{{id: {config.loads[0].id}, power_w: {config.loads[0].power_w}}}]\n"
    )


def is_root() -> bool:
    return os.geteuid() == 0
