"""The core's only caller: what it does when an event fails half-way."""

import asyncio
from pathlib import Path

import pytest

from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.core.settings import CoreSettings
from controller.runtime.durability import StoreFailed
from controller.runtime.runtime import MAX_PENDING, Runtime
from controller.store.sqlite import SqliteStore
from digitalgrid.model import RouterLsa
from digitalgrid.reasons import Reason
from tests.support.calls import call


class Broken(Exception):
    """A bug in the core."""


def half_done(core: Controller, now_ns: int) -> None:
    core.on_lsa(RouterLsa("r1", 1, 1, 0.97), now_ns)
    raise Broken


def refusing(core: Controller, now_ns: int) -> None:
    raise Refusal(Reason.UNKNOWN_ID, "no such thing")


def test_of_an_event_that_fails_half_way_nothing_is_carried_out(tmp_path: Path) -> None:
    async def story() -> None:
        runtime = Runtime(CoreSettings())
        runtime.lead(SqliteStore(tmp_path / "store.sqlite"))
        told: list[None] = []
        runtime.feeds.topology.subscribe(lambda: told.append(None))
        with pytest.raises(Broken):
            runtime.handle(call(), half_done)
        assert told == []
        assert isinstance(runtime.failure.result(), Broken)
        with pytest.raises(StoreFailed):
            await runtime.durable()
        runtime.close()

    asyncio.run(story())


def test_a_refusal_is_no_failure(tmp_path: Path) -> None:
    async def story() -> None:
        runtime = Runtime(CoreSettings())
        runtime.lead(SqliteStore(tmp_path / "store.sqlite"))
        with pytest.raises(Refusal):
            runtime.handle(call(), refusing)
        assert not runtime.failure.done()
        await runtime.durable()
        runtime.close()

    asyncio.run(story())


def test_what_routers_say_in_one_turn_is_carried_out_together_but_much_of_it_at_once(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        runtime = Runtime(CoreSettings())
        runtime.lead(SqliteStore(tmp_path / "store.sqlite"))
        told: list[None] = []
        runtime.feeds.topology.subscribe(lambda: told.append(None))
        numbers = iter(range(1, 1000))

        def advertise() -> None:
            # Other figures each time, and nothing that would have to be stored.
            number = next(numbers)
            lsa = RouterLsa("r1", 1, number, 1 / number)
            runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))

        advertise()
        await asyncio.sleep(0)
        told.clear()
        advertise()
        advertise()
        assert told == []
        await asyncio.sleep(0)
        assert len(told) == 2
        for _ in range(MAX_PENDING + 1):
            advertise()
        assert len(told) == MAX_PENDING + 3
        runtime.close()

    asyncio.run(story())
