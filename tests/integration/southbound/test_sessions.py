"""Sessions of routers with a real server: who may speak for a router, and what ends a session."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.core.messages import ReadTable, Stage
from controller.core.network.link import LinkState
from controller.core.settings import CoreSettings
from controller.northbound.topology_codec import topology_to_pb
from controller.runtime.runtime import Runtime
from controller.southbound import service, sessions
from controller.southbound.codec import result_from_pb
from controller.southbound.service import SouthboundService, start_server
from controller.store.sqlite import SqliteStore
from digitalgrid.capabilities import Capability
from digitalgrid.channels import asyncio_channel
from digitalgrid.convert import election_id_from_pb, lsa_to_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import HopSnapshot, LinkAdvertisement, RouterLsa
from digitalgrid.v1 import power_link_pb2
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.southbound_pb2_grpc import SouthboundServiceStub
from tests.support.northbound import free_port
from tests.support.wire import Wire, noticed_within_a_second

_TIMEOUT_S = 5.0


@dataclass
class House:
    """A controller's southbound half, and how to reach it."""

    runtime: Runtime
    service: SouthboundService
    address: str

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is asked again after every change of topology."""
        changed = asyncio.Event()
        self.runtime.feeds.topology.subscribe(changed.set)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while not condition():
                    changed.clear()
                    await changed.wait()
        finally:
            self.runtime.feeds.topology.unsubscribe(changed.set)

    def usable(self, router_id: str) -> bool:
        router = self.runtime.view.routers.get(router_id)
        return router is not None and router.usable


class ScriptedRouter:
    """Says what a test wants it to say."""

    def __init__(self, address: str) -> None:
        self._channel = asyncio_channel(address)
        self.call = SouthboundServiceStub(self._channel).Session()

    async def say(self, **message: Any) -> None:
        await self.call.write(pb.RouterMessage(**message))

    async def hear(self) -> pb.ControllerMessage:
        async with asyncio.timeout(_TIMEOUT_S):
            message: pb.ControllerMessage = await self.call.read()
            return message

    async def end(self) -> tuple[grpc.StatusCode, str]:
        """The status, which comes after all that was said before it."""
        async with asyncio.timeout(_TIMEOUT_S):
            with suppress(grpc.aio.AioRpcError):
                while isinstance(await self.call.read(), pb.ControllerMessage):
                    pass
            return await self.call.code(), await self.call.details()

    async def close(self) -> None:
        self.call.cancel()
        await self._channel.close()


@asynccontextmanager
async def house(path: Path) -> AsyncIterator[House]:
    runtime = Runtime(CoreSettings())
    runtime.lead(SqliteStore(path / "store.sqlite"))
    address = f"127.0.0.1:{free_port()}"
    server, service = await start_server(runtime, [address])
    try:
        yield House(runtime, service, address)
    finally:
        await server.stop(None)
        runtime.close()


def hello(router_id: str = "r1", **fields: Any) -> dict[str, pb.RouterHello]:
    values: dict[str, Any] = {
        "protocol_version": 1,
        "instance_id": b"device-1",
        "boot_id": 1,
        "session_no": 1,
    }
    return {"hello": pb.RouterHello(router_id=router_id, **(values | fields))}


def lsa(router_id: str = "r1", boot_id: int = 1, seq: int = 1) -> dict[str, Any]:
    neighbor_id = "r1" if router_id == "r2" else "r2"
    link = LinkAdvertisement("r1-r2", neighbor_id, 0.1, 20e3, 300.0)
    return {"lsa": lsa_to_pb(RouterLsa(router_id, boot_id, seq, 0.97, (link,)))}


def run(path: Path, story: Callable[[House], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with house(path) as here:
            await story(here)

    asyncio.run(tell())


async def connect(here: House, **fields: Any) -> ScriptedRouter:
    router = ScriptedRouter(here.address)
    await router.say(**hello(**fields))
    greeting = await router.hear()
    assert greeting.hello.role == pb.CONTROLLER_ROLE_LEADER
    assert election_id_from_pb(greeting.hello.election_id) == here.runtime.election_id
    return router


def test_a_router_is_usable_once_it_is_in_step(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(**lsa())
        await here.until(lambda: "r1" in here.runtime.view.routers)
        assert not here.usable("r1")
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        assert (await router.hear()).WhichOneof("message") == "read_table"
        await router.close()
        await here.until(lambda: not here.usable("r1"))
        assert "r1" in here.runtime.view.routers

    run(tmp_path, story)


def test_a_router_that_is_cut_off_without_a_word_is_known_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_KEEPALIVE", noticed_within_a_second(service._KEEPALIVE))

    async def story(here: House) -> None:
        async with Wire(here.address) as wire:
            router = ScriptedRouter(wire.address)
            await router.say(**hello())
            await router.say(**lsa())
            await router.say(sync_done=pb.SyncDone())
            await here.until(lambda: here.usable("r1"))
            wire.cut()
            await here.until(lambda: not here.usable("r1"))
            await router.close()

    run(tmp_path, story)


def test_another_protocol_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = ScriptedRouter(here.address)
        await router.say(**hello(protocol_version=0))
        code, details = await router.end()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "version 0" in details and "controller 1" in details
        await router.close()

    run(tmp_path, story)


@pytest.mark.parametrize(
    "first",
    [
        {"sync_done": pb.SyncDone()},
        hello(router_id=""),
        hello(router_id="r 1"),
        hello(router_id="r" * 65),
        hello(instance_id=b""),
        lsa(),
    ],
)
def test_a_stream_that_does_not_begin_with_a_whole_hello_is_refused(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    async def story(here: House) -> None:
        router = ScriptedRouter(here.address)
        await router.say(**first)
        code, _ = await router.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert not here.runtime.view.routers
        await router.close()

    run(tmp_path, story)


def test_a_router_id_that_is_taken_is_refused_and_its_owner_undisturbed(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        owner = await connect(here)
        impostor = ScriptedRouter(here.address)
        await impostor.say(**hello(instance_id=b"device-2", boot_id=9))
        code, details = await impostor.end()
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "'r1' is taken" in details
        await owner.say(**lsa())
        await here.until(lambda: "r1" in here.runtime.view.routers)
        await owner.close()
        await impostor.close()

    run(tmp_path, story)


def test_a_newer_session_replaces_the_half_open_one_and_an_older_is_refused(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        half_open = await connect(here, boot_id=1, session_no=5)
        newer = await connect(here, boot_id=2, session_no=1)
        code, _ = await half_open.end()
        assert code is grpc.StatusCode.ABORTED
        late = ScriptedRouter(here.address)
        await late.say(**hello(boot_id=1, session_no=6))
        code, _ = await late.end()
        assert code is grpc.StatusCode.ABORTED
        await newer.say(**lsa(boot_id=2))
        await newer.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        for router in (half_open, newer, late):
            await router.close()

    run(tmp_path, story)


def test_a_router_that_does_not_read_is_told_that_and_its_session_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sessions, "MAX_QUEUED", 50)

    async def story(here: House) -> None:
        (router,) = await _in_step(here, "r1")
        before = COUNTERS.value("southbound_sessions_ended", "outbox full")
        # In one turn of the loop, in which nothing can be written.
        for number in range(1, 60):
            here.runtime._routers["r1"](ReadTable(number))
        code, details = await router.end()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "'r1' reads too slowly: 50 messages wait for it" in details
        assert COUNTERS.value("southbound_sessions_ended", "outbox full") == before + 1
        await here.until(lambda: not here.usable("r1"))
        await router.close()

    run(tmp_path, story)
    said = [each.getMessage() for each in caplog.records if "too slowly" in each.getMessage()]
    assert len(said) == 1


def test_the_session_of_a_router_that_reads_nothing_at_all_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_QUEUED", 50)

    async def story(here: House) -> None:
        (router,) = await _in_step(here, "r1")
        hops = tuple(
            HopSnapshot(number, 1, number, 1.0, 1.0, 1.0, 1.0, "s" * 64, "", "l" * 64)
            for number in range(1, 1000)
        )
        # More than gRPC takes for a stream whose client does not read.
        for number in range(1, 2000):
            if not here.usable("r1"):
                break
            here.runtime._routers["r1"](Stage(number, 1000, hops))
            await asyncio.sleep(0)
        await here.until(lambda: not here.usable("r1"))
        await router.close()

    run(tmp_path, story)


def _hop(**fields: Any) -> pb.HopSnapshot:
    powers = dict.fromkeys(
        ("power_w", "ingress_power_w", "egress_power_w", "received_power_w"), 1e6
    )
    ends = {"source_id": "solar", "load_id": "town"}
    return pb.HopSnapshot(**({"circuit_id": 1, "generation": 1} | powers | ends | fields))


def _link(**fields: Any) -> power_link_pb2.LinkAdvertisement:
    values: dict[str, Any] = {"link_id": "r1-r2", "neighbor_id": "r2", "resistance_ohm": 0.1}
    values |= {"voltage_v": 20e3, "ampacity_a": 300.0}
    return power_link_pb2.LinkAdvertisement(**(values | fields))


def _status(**fields: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"circuit_id": 1, "state": pb.FLOW_STATE_ARRIVED}
    return {"status": pb.CircuitStatus(**(values | fields))}


def _lsa_of(*links: power_link_pb2.LinkAdvertisement) -> dict[str, Any]:
    return {
        "lsa": power_link_pb2.RouterLsa(
            router_id="r1", boot_id=1, seq=1, efficiency=0.97, links=links
        )
    }


def _broken_hop() -> pb.HopSnapshot:
    return pb.HopSnapshot(circuit_id=1, generation=1, power_w=float("nan"))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (lsa("r2"), "'r2' in the session of 'r1'"),
        (lsa(boot_id=2), "of boot 2; the session's hello said 1"),
        (hello(), "not expected"),
        (
            {"result": pb.TransactionResult(txn_id=1, operation=pb.Operation.ValueType(77))},
            "unknown",
        ),
        (_status(state=pb.FLOW_STATE_UNSPECIFIED), "unknown"),
        ({"table": pb.CircuitTable(hops=[_broken_hop()])}, "hop of circuit 1"),
        ({"table": pb.CircuitTable(hops=[_hop(power_w=float("inf"))])}, "power_w must be a finite"),
        ({"table": pb.CircuitTable(hops=[_hop(egress_power_w=-1.0)])}, "egress_power_w must be"),
        ({"table": pb.CircuitTable(hops=[_hop(source_id="r" * 10_000)])}, "must match"),
        ({"table": pb.CircuitTable(hops=[_hop(), _hop()])}, "stands there twice"),
        (_status(delivered_mw=-1), "delivered_mw must"),
        (_lsa_of(_link(resistance_ohm=float("nan"))), "resistance_ohm must be a finite number"),
        (_lsa_of(_link(resistance_ohm=-0.1)), "resistance_ohm must be 0 or more"),
        (_lsa_of(_link(voltage_v=0.0)), "voltage_v must be above 0"),
        (_lsa_of(_link(voltage_v=1e-300)), "voltage_v must be 0.001 or more"),
        (_lsa_of(_link(), _link()), "link_id 'r1-r2' stands there twice"),
        (_lsa_of(_link(risk_groups=[f"g{each}" for each in range(257)])), "257 risk_groups; 256"),
        ({"meters": pb.MetersReply(read_id=1)}, "read 1, which was never asked"),
        (_lsa_of(_link(neighbor_id="r1")), "neighbor_id is the router itself"),
        (_lsa_of(_link(link_id="x" * 100_000)), "must match"),
        (_lsa_of(*(_link(link_id=f"l{each}") for each in range(10_000))), "10000 links; 512"),
    ],
)
def test_nonsense_ends_the_session_and_nothing_else(
    tmp_path: Path, message: dict[str, Any], complaint: str
) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(**message)
        code, details = await router.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert complaint in details
        await router.close()
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


@pytest.mark.parametrize("greeted", [False, True])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_message_end_the_session_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, greeted: bool
) -> None:
    async def story(here: House) -> None:
        async with asyncio_channel(here.address) as channel:
            call = channel.stream_stream("/digitalgrid.v1.SouthboundService/Session")()
            if greeted:
                await call.write(pb.RouterMessage(hello=hello()["hello"]).SerializeToString())
                await call.read()
            await call.write(data)
            async with asyncio.timeout(_TIMEOUT_S):
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert "are no message of the API" in await call.details()
        # Not asyncio's: grpc has one poller for the process, which at times still wakes an earlier test's loop.
        errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert [each for each in errors if each.name != "asyncio"] == []
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


def test_a_message_that_is_far_too_large_ends_the_session_and_nothing_else(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(result=pb.TransactionResult(txn_id=1, message="x" * 5_000_000))
        code, _ = await router.end()
        assert code is not grpc.StatusCode.OK
        await router.close()
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


def test_a_long_reason_is_cut() -> None:
    said = pb.TransactionResult(
        txn_id=1,
        operation=pb.OPERATION_STAGE,
        code=pb.ResultCode.ValueType(7),
        entries=[pb.EntryResult(message="no" * 99)] * 99,
    )
    assert 500 <= len(result_from_pb(said).message) <= 503


def test_a_device_whose_state_was_wiped_is_taken_once_its_old_session_has_ended(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        before = await connect(here, boot_id=7)
        await before.say(**lsa(boot_id=7, seq=99))
        await before.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        wiped = ScriptedRouter(here.address)
        await wiped.say(**hello(instance_id=b"device-2"))
        code, _ = await wiped.end()
        assert code is grpc.StatusCode.ALREADY_EXISTS
        await wiped.close()
        await before.close()
        await here.until(lambda: not here.usable("r1"))
        wiped = await connect(here, instance_id=b"device-2")
        await wiped.say(**lsa())
        await wiped.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        assert here.runtime.view.routers["r1"].boot_id == 1
        await wiped.close()

    run(tmp_path, story)


def test_an_old_advertisement_is_dropped(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(**lsa(seq=5))
        await here.until(lambda: "r1" in here.runtime.view.routers)
        version = here.runtime.questions.lsdb_version
        await router.say(**lsa(seq=4))
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        assert here.runtime.questions.lsdb_version == version
        await router.close()

    run(tmp_path, story)


def test_meters_are_read_from_all_and_the_silent_are_named(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        talker = await connect(here, router_id="r1", instance_id=b"1")
        silent = await connect(here, router_id="r2", instance_id=b"2")
        for router, router_id in ((talker, "r1"), (silent, "r2")):
            await router.say(**lsa(router_id))
            await router.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1") and here.usable("r2"))
        reading = asyncio.create_task(here.service.read_meters(timeout_s=0.5))
        while (asked := await talker.hear()).WhichOneof("message") != "read_meters":
            pass
        meters = power_link_pb2.RouterMeters(router_id="r1", boot_id=1, time_ns=5)
        await talker.say(meters=pb.MetersReply(read_id=asked.read_meters.read_id, meters=meters))
        assert await reading == ([meters], ["r2"])
        await talker.close()
        await silent.close()

    run(tmp_path, story)


async def _in_step(here: House, *router_ids: str) -> list[ScriptedRouter]:
    routers = []
    for router_id in router_ids:
        router = await connect(here, router_id=router_id, instance_id=router_id.encode())
        await router.say(**lsa(router_id))
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda router_id=router_id: here.usable(router_id))  # type: ignore[misc]
        routers.append(router)
    return routers


async def _read_id_asked(router: ScriptedRouter) -> int:
    while (asked := await router.hear()).WhichOneof("message") != "read_meters":
        pass
    return int(asked.read_meters.read_id)


def _meters(router_id: str = "r2", **fields: Any) -> power_link_pb2.RouterMeters:
    values: dict[str, Any] = {"router_id": router_id, "boot_id": 1}
    return power_link_pb2.RouterMeters(**(values | fields))


def test_no_router_answers_for_another_whatever_read_id_it_guesses(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        honest, liar = await _in_step(here, "r1", "r2")
        reading = asyncio.create_task(here.service.read_meters(timeout_s=2.0))
        # r1 has been asked by now, and r2 forges its answer under every id that it may have.
        own_id, read_id = await _read_id_asked(liar), await _read_id_asked(honest)
        for guess in range(1, 3):
            forged = _meters("r1", converter_loss_mj=7)
            await liar.say(meters=pb.MetersReply(read_id=guess, meters=forged))
        code, details = await liar.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "'r1' in the session of 'r2'" in details
        true = _meters("r1", converter_loss_mj=5)
        await honest.say(meters=pb.MetersReply(read_id=read_id, meters=true))
        assert own_id
        assert await reading == ([true], ["r2"])
        for router in (honest, liar):
            await router.close()

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("meters", "complaint"),
    [
        (_meters(boot_id=9), "boot 9"),
        (_meters(max_formula_deviation_mj=float("nan")), "max_formula_deviation_mj must be 0 or"),
        (_meters(max_formula_deviation_mj=float("inf")), "max_formula_deviation_mj must be 0 or"),
        (_meters(converter_loss_mj=-1), "converter_loss_mj must be 0 or more"),
        (_meters(links=[power_link_pb2.LinkMeter(link_id="r1-r2", sent_mj=-5)]), "sent_mj must"),
        (_meters(links=[power_link_pb2.LinkMeter(link_id="r 2")]), "must match"),
        (_meters(loads=[power_link_pb2.LoadMeter(load_id="x")] * 2), "stands there twice"),
        (_meters(circuits=[power_link_pb2.CircuitMeter(injected_mj=-2)]), "injected_mj must"),
    ],
)
def test_meters_that_cannot_be_true_are_refused_and_counted(
    tmp_path: Path, meters: power_link_pb2.RouterMeters, complaint: str
) -> None:
    async def story(here: House) -> None:
        _, liar = await _in_step(here, "r1", "r2")
        before = COUNTERS.value("southbound_violations", "meters")
        reading = asyncio.create_task(here.service.read_meters(timeout_s=0.3))
        read_id = await _read_id_asked(liar)
        await liar.say(meters=pb.MetersReply(read_id=read_id, meters=meters))
        _, details = await liar.end()
        assert complaint in details
        assert await reading == ([], ["r1", "r2"])
        assert COUNTERS.value("southbound_violations", "meters") == before + 1
        await liar.close()

    run(tmp_path, story)


def test_the_meters_of_a_load_that_has_moved_are_shown_as_former_and_the_session_stands(
    tmp_path: Path,
) -> None:
    def of_home(router_id: str, seq: int, loads: int) -> dict[str, Any]:
        home = power_link_pb2.LoadAdvertisement(load_id="home", max_power_w=1e6)
        return {
            "lsa": power_link_pb2.RouterLsa(
                router_id=router_id, boot_id=1, seq=seq, efficiency=0.97, loads=[home] * loads
            )
        }

    async def story(here: House) -> None:
        before, after = await _in_step(here, "r1", "r2")
        await before.say(**of_home("r1", 2, 1))
        await here.until(lambda: "home" in here.runtime.view.loads)
        await before.say(**of_home("r1", 3, 0))
        await after.say(**of_home("r2", 2, 1))
        await here.until(lambda: here.runtime.view.loads.get("home", ("",))[0] == "r2")
        counted = COUNTERS.value("southbound_meters_former")
        # The books only grow: r1 has had many loads.
        loads = [power_link_pb2.LoadMeter(load_id=f"old{number}") for number in range(1500)]
        loads.append(power_link_pb2.LoadMeter(load_id="home", delivered_mj=5))
        for _ in range(2):
            reading = asyncio.create_task(here.service.read_meters(timeout_s=5.0))
            for router, mine in ((before, _meters("r1")), (after, _meters("r2"))):
                mine.loads.extend(loads if router is before else loads[-1:])
                read_id = await _read_id_asked(router)
                await router.say(meters=pb.MetersReply(read_id=read_id, meters=mine))
            (r1, r2), silent = await reading
            assert silent == []
            assert len(r1.loads) == 1024
            assert [(each.former, each.delivered_mj) for each in r2.loads] == [(False, 5)]
        assert COUNTERS.value("southbound_meters_former") == counted
        reading = asyncio.create_task(here.service.read_meters(timeout_s=5.0))
        for router, mine in ((before, _meters("r1")), (after, _meters("r2"))):
            mine.loads.extend(loads[-1:])
            read_id = await _read_id_asked(router)
            await router.say(meters=pb.MetersReply(read_id=read_id, meters=mine))
        (r1, r2), _ = await reading
        assert [(each.former, each.delivered_mj) for each in r1.loads] == [(True, 5)]
        assert [each.former for each in r2.loads] == [False]
        assert COUNTERS.value("southbound_meters_former") == counted + 1
        for router in (before, after):
            await router.close()

    run(tmp_path, story)


def test_a_flood_of_violations_makes_few_lines_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: House) -> None:
        for number in range(1, 30):
            router = await connect(here, session_no=number)
            await router.say(**lsa(boot_id=2))
            await router.end()
            await router.close()

    run(tmp_path, story)
    assert len([each for each in caplog.records if "of boot 2" in each.getMessage()]) == 1


def test_who_claims_what_others_own_is_told_and_shown_and_nothing_goes_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: House) -> None:
        routers = await _in_step(here, "r1", "r2")
        before = here.runtime.view.links["r1-r2"]
        assert before.state is LinkState.UP
        rogue = await connect(
            here, router_id="a0", instance_id=b"rogue", capabilities=list(Capability)
        )
        stolen = LinkAdvertisement("r1-r2", "r1", 0.0, 20e3, 300.0)
        await rogue.say(lsa=lsa_to_pb(RouterLsa("a0", 1, 1, 0.97, (stolen,))))
        told = (await rogue.hear()).claims_refused
        assert (told.total, list(told.claims[0].owner_router_ids)) == (1, ["r1", "r2"])
        assert (told.claims[0].kind, told.claims[0].id) == ("link", "r1-r2")
        await rogue.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("a0"))
        assert here.runtime.view.links["r1-r2"] == before
        shown = here.runtime.look(topology_to_pb)
        (claim,) = (claim for each in shown.routers for claim in each.refused_claims)
        assert claim == told.claims[0]
        # What is not claimed any more is told too, once.
        await rogue.say(lsa=lsa_to_pb(RouterLsa("a0", 1, 2, 0.97)))
        while (heard := await rogue.hear()).WhichOneof("message") != "claims_refused":
            pass
        assert heard.claims_refused.total == 0
        for router in (*routers, rogue):
            await router.close()

    run(tmp_path, story)
    said = [each.getMessage() for each in caplog.records]
    assert any(
        "a0 advertises what is not its own: link 'r1-r2' belongs to r1 and r2" in each
        for each in said
    )


def test_a_router_is_asked_and_told_only_what_it_says_that_it_can(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        useless = ScriptedRouter(here.address)
        await useless.say(**hello(capabilities=["meters"]))
        code, details = await useless.end()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "does not say that it takes circuits" in details
        # Of a newer kind, without meters, and not to be told of claims.
        (owner,) = await _in_step(here, "r1")
        router = await connect(
            here, router_id="r2", instance_id=b"2", capabilities=["circuits", "x"]
        )
        stolen = RouterLsa("r2", 1, 1, 0.97, (LinkAdvertisement("r1-r2", "r9", 0.1, 20e3, 300.0),))
        await router.say(lsa=lsa_to_pb(stolen))
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r2"))
        assert (await here.service.read_meters(timeout_s=0.1))[1] == ["r1", "r2"]
        assert (await router.hear()).WhichOneof("message") == "read_table"
        for each in (useless, owner, router):
            await each.close()

    run(tmp_path, story)


def test_the_first_device_of_a_router_id_gets_it_back_from_who_took_it_meanwhile(
    tmp_path: Path,
) -> None:
    async def story(here: House) -> None:
        first = await connect(here, boot_id=3, instance_id=b"first")
        await first.say(**lsa(boot_id=3))
        await here.until(lambda: "r1" in here.runtime.view.routers)
        await first.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        await first.close()
        await here.until(lambda: not here.usable("r1"))
        stranger = await connect(here, boot_id=9, instance_id=b"stranger")
        await stranger.say(**lsa(boot_id=9))
        await stranger.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        # The true one is back, with lower numbers.
        back = await connect(here, boot_id=4, instance_id=b"first")
        code, details = await stranger.end()
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "another device's, which had it first" in details
        again = ScriptedRouter(here.address)
        await again.say(**hello(boot_id=99, instance_id=b"stranger"))
        assert (await again.end())[0] is grpc.StatusCode.ALREADY_EXISTS
        await back.say(**lsa(boot_id=4))
        await back.say(sync_done=pb.SyncDone())
        await here.until(lambda: here.usable("r1"))
        for router in (stranger, back, again):
            await router.close()

    run(tmp_path, story)
