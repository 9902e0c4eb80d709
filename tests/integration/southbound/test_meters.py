"""Meters of routers, read through their sessions: each answers for itself, and only what can be true."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from digitalgrid.counters import COUNTERS
from digitalgrid.v1 import power_link_pb2
from digitalgrid.v1 import southbound_pb2 as pb
from tests.support.southbound import (
    House,
    ScriptedRouter,
    connect,
    in_step,
    lsa,
    run,
)


async def _read_id_asked(router: ScriptedRouter) -> int:
    while (asked := await router.hear()).WhichOneof("message") != "read_meters":
        pass
    return int(asked.read_meters.read_id)


def _meters(router_id: str = "r2", **fields: Any) -> power_link_pb2.RouterMeters:
    values: dict[str, Any] = {"router_id": router_id, "boot_id": 1}
    return power_link_pb2.RouterMeters(**(values | fields))


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


def test_no_router_answers_for_another(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        honest, liar = await in_step(here, "r1", "r2")
        reading = asyncio.create_task(here.service.read_meters(timeout_s=2.0))
        # Both have been asked by now. What a router forges under the id that it was given is the other's too.
        own_id, read_id = await _read_id_asked(liar), await _read_id_asked(honest)
        forged = _meters("r1", converter_loss_mj=7)
        await liar.say(meters=pb.MetersReply(read_id=own_id, meters=forged))
        code, details = await liar.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "'r1' in the session of 'r2'" in details
        true = _meters("r1", converter_loss_mj=5)
        await honest.say(meters=pb.MetersReply(read_id=read_id, meters=true))
        assert own_id == read_id
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
        _, liar = await in_step(here, "r1", "r2")
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
        before, after = await in_step(here, "r1", "r2")
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
