"""Sessions of routers with a real server: who may speak for a router, and what ends a session."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.core.messages import ReadTable, Stage
from controller.core.network.link import LinkState
from controller.northbound.topology_codec import topology_to_pb
from controller.southbound import service, sessions
from digitalgrid.capabilities import Capability
from digitalgrid.convert_lsa import lsa_to_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import HopSnapshot, LinkAdvertisement, RouterLsa
from digitalgrid.v1 import southbound_pb2 as pb
from tests.support.southbound import (
    House,
    ScriptedRouter,
    connect,
    hello,
    in_step,
    lsa,
    run,
)
from tests.support.wire import Wire, in_a_tenth_of_the_time, noticed_within_a_second


def test_a_router_is_usable_once_it_isin_step(tmp_path: Path) -> None:
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


def test_what_a_router_runs_otherwise_than_it_should_is_counted(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        before = COUNTERS.value("reconcile_differences", "excess")
        router = await connect(here)
        await router.say(**lsa())
        await router.say(sync_done=pb.SyncDone())
        asked = await router.hear()
        powers: dict[str, Any] = dict.fromkeys(
            ("power_w", "ingress_power_w", "egress_power_w", "received_power_w"), 1e6
        )
        hop = pb.HopSnapshot(
            circuit_id=9, generation=1, source_id="solar", load_id="town", **powers
        )
        table = pb.CircuitTable(read_id=asked.read_table.read_id, hops=[hop])
        await router.say(table=table)
        await here.until(lambda: COUNTERS.value("reconcile_differences", "excess") == before + 1)
        assert (await router.hear()).WhichOneof("message") == "withdraw"
        await router.close()

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


def test_a_router_that_is_late_by_half_of_what_is_waited_keeps_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_KEEPALIVE", in_a_tenth_of_the_time(service._KEEPALIVE))

    async def story(here: House) -> None:
        async with Wire(here.address) as wire:
            router = ScriptedRouter(wire.address)
            await router.say(**hello())
            await router.say(**lsa())
            await router.say(sync_done=pb.SyncDone())
            await here.until(lambda: here.usable("r1"))
            # Neither of the two hears, or is heard, for as long as a machine that has too much to do may take: 10 s.
            wire.hold(1.0)
            here.runtime._routers["r1"](ReadTable(9))
            while (await router.hear()).read_table.read_id != 9:
                pass
            assert here.usable("r1") and list(here.service._sessions.router_ids()) == ["r1"]
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
        (router,) = await in_step(here, "r1")
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
        (router,) = await in_step(here, "r1")
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


def test_who_claims_what_others_own_is_told_and_shown_and_nothing_goes_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: House) -> None:
        routers = await in_step(here, "r1", "r2")
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
        (owner,) = await in_step(here, "r1")
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
