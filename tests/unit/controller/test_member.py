"""What the membership tells reaches the runtime in its loop, and a mistake there leaves no lead without a leader."""

import asyncio
import threading
import time

import pytest

from controller.core.circuits.records import Counters, StateChange, StoredState
from controller.core.settings import CoreSettings
from controller.runtime import member as member_module
from controller.runtime.member import Member
from controller.runtime.runtime import Runtime
from controller.store.protocol import Follower, Standby, StoreError
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import in_loop, until

NOTHING = StoredState(0, (), Counters())


class PlayedMembership:
    """Tells what the test says, from a thread of its own."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.follower: Follower | None = None

    def join(self, follower: Follower) -> None:
        self.follower = follower

    def leave(self) -> None:
        self.left.set()


class MistakenStore(MemoryStore):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def load(self) -> StoredState:
        raise self._error


def joined() -> tuple[Runtime, PlayedMembership, Follower]:
    runtime, membership = Runtime(CoreSettings()), PlayedMembership()
    Member(runtime, membership).join()
    assert membership.follower is not None
    return runtime, membership, membership.follower


@in_loop
async def test_it_follows_and_leads() -> None:
    runtime, membership, follower = joined()
    await asyncio.to_thread(follower.on_state, NOTHING)
    await asyncio.to_thread(follower.on_elected, MemoryStore())

    await until(lambda: runtime.leads)

    assert not membership.left.is_set()


@in_loop
async def test_who_stands_by_is_known_as_soon_as_anybody_has_said() -> None:
    runtime, _, follower = joined()
    assert runtime.standbys is None
    second = Standby("b", "b:7070", behind=2)
    await asyncio.to_thread(follower.on_standbys, (second,))
    await until(lambda: runtime.standbys == (second,))
    await asyncio.to_thread(follower.on_standbys, ())
    await until(lambda: runtime.standbys == ())


@in_loop
async def test_a_mistake_while_taking_over_gives_the_lead_up_and_ends_the_daemon() -> None:
    runtime, membership, follower = joined()

    await asyncio.to_thread(follower.on_elected, MistakenStore(ZeroDivisionError("a mistake")))

    assert isinstance(await runtime.failure, ZeroDivisionError)
    assert await asyncio.to_thread(membership.left.wait, 10)
    # Nothing that comes afterwards is taken up.
    await asyncio.to_thread(follower.on_elected, MemoryStore())
    await asyncio.sleep(0.01)
    assert not runtime.leads


@in_loop
async def test_a_mistake_while_following_ends_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, membership, follower = joined()

    def mistaken(change: StateChange) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(runtime, "apply", mistaken)
    await asyncio.to_thread(follower.on_change, StateChange((), Counters()))

    assert isinstance(await runtime.failure, KeyError)
    assert await asyncio.to_thread(membership.left.wait, 10)


@in_loop
async def test_who_cannot_read_the_store_lets_others_try() -> None:
    runtime, membership, follower = joined()
    store = MistakenStore(StoreError("damaged"))

    await asyncio.to_thread(follower.on_elected, store)

    await until(lambda: store.closed)
    assert not runtime.failure.done()
    assert not membership.left.is_set()


@in_loop
async def test_a_loop_that_hangs_is_noticed_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "_TICK_S", 0.01)
    monkeypatch.setattr(member_module, "_HANGS_AFTER_S", 0.5)
    _, _, follower = joined()
    heard = []

    def listen() -> None:
        time.sleep(0.7)
        heard.append(follower.is_responsive())

    await asyncio.sleep(0.6)
    assert follower.is_responsive()
    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.8)  # noqa: ASYNC251 - it hangs
    thread.join()
    assert heard == [False]
    await until(follower.is_responsive)
