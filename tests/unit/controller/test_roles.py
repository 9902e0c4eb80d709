"""A controller leads, stands by, and changes from one to the other."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.records import Counters, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import CircuitStatus
from controller.core.settings import CoreSettings
from controller.runtime.durability import StoreFailed
from controller.runtime.runtime import Runtime
from controller.store.protocol import Leader, LeadershipLost
from controller.tallies import LeadEvent
from digitalgrid.model import NO_ELECTION_ID, ElectionId
from tests.support.attached_grid import AttachedGrid, MemoryStore
from tests.support.calls import call
from tests.support.grids import diamond
from tests.support.northbound import in_loop, until
from tests.support.there import newest

NOTHING = StoredState(0, (), Counters())
OTHER = Leader("dgc2", "127.0.0.1:5", ElectionId(1, 2))


def request_power(runtime: Runtime, request_id: str = "a", **more: Any) -> int:
    wanted = PowerRequest(request_id, "town", 2e6, ("solar",), **more)
    (circuit,) = runtime.handle(call(), lambda core, now_ns: core.request(wanted, now_ns))
    return circuit.circuit_id


def say(runtime: Runtime, router_id: str, status: CircuitStatus) -> None:
    runtime.tell(lambda core, now_ns: core.on_status(router_id, status, now_ns))


def refusal_of(event: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        event()
    return refused.value.reason


@in_loop
async def test_a_standby_answers_reads_once_it_knows_and_sends_changes_to_the_leader() -> None:
    runtime = Runtime(CoreSettings())
    assert refusal_of(lambda: runtime.questions) == "STARTING"
    assert refusal_of(lambda: request_power(runtime)) == "NO_LEADER"
    runtime.follow(NOTHING)
    runtime.set_leader(OTHER)
    assert runtime.questions.circuits == {}
    with pytest.raises(Refusal) as refused:
        request_power(runtime)
    assert refused.value.reason == "NOT_LEADER"
    assert refused.value.metadata == {"leader": "dgc2", "leader_address": "127.0.0.1:5"}
    assert runtime.election_id == NO_ELECTION_ID
    with pytest.raises(StoreFailed):
        await runtime.durable()


@in_loop
async def test_a_standby_follows_what_the_leader_makes_durable() -> None:
    leading, standing_by = Runtime(CoreSettings()), Runtime(CoreSettings())
    store = MemoryStore()
    leading.lead(store)
    AttachedGrid(leading, diamond()).connect()
    circuit_id = request_power(leading)
    held_id = request_power(leading, "held", hold_ms=60_000)
    released_id = request_power(leading, "released", hold_ms=60_000)
    leading.handle(call(), lambda core, now_ns: core.release(released_id, now_ns))
    standing_by.follow(NOTHING)
    told: list[int] = []
    standing_by.feeds.circuits.subscribe(told.append)
    for change in store.changes:
        standing_by.apply(change)
    mine, theirs = standing_by.questions.circuit(circuit_id), leading.questions.circuit(circuit_id)
    assert newest(mine).route == newest(theirs).route
    assert standing_by.questions.reserved() == leading.questions.reserved()
    assert standing_by.questions.held_at_load_w("town") == 2e6
    kept_a, theirs_a = (
        [each.standby_on_link_a("r1-r2", "r1"), each.standby_on_link_a("r1-r3", "r1")]
        for each in (standing_by.questions, leading.questions)
    )
    assert kept_a == theirs_a != [0.0, 0.0]
    assert standing_by.questions.circuit(held_id).is_held
    records = [record for each in store.changes for record in each.circuits]
    assert told == [each.circuit_id for each in records]


@in_loop
async def test_who_is_elected_knows_the_network_already_and_reads_routers_back() -> None:
    first = Runtime(CoreSettings())
    store = MemoryStore()
    first.lead(store)
    grid = AttachedGrid(first, diamond())
    grid.connect()
    circuit_id = request_power(first)
    await until(lambda: first.questions.circuit(circuit_id).state is CircuitState.ACTIVE)
    records = {each.circuit_id: each for change in store.changes for each in change.circuits}
    stored = StoredState(2, tuple(records.values()), store.changes[-1].counters)

    second = Runtime(CoreSettings())
    second.follow(stored)
    taken_over = AttachedGrid(second, diamond())
    taken_over.simulated = grid.simulated
    taken_over.connect()
    for router_id, router in grid.simulated.routers.items():
        for key, state in router.told.items():
            status = CircuitStatus(key, state)
            say(second, router_id, status)
    assert second.questions.circuit(circuit_id).state is CircuitState.ACTIVE
    roles = []
    second.feeds.roles.subscribe(lambda: roles.append(second.leads))
    versions = {key: each.table.version for key, each in grid.simulated.routers.items()}
    second.lead(MemoryStore(stored))
    assert roles == [True]
    assert second.questions.circuit(circuit_id).state is CircuitState.ACTIVE
    await until(lambda: all(second.questions.table_version(key) for key in ("r1", "r2", "r4")))
    assert {key: each.table.version for key, each in grid.simulated.routers.items()} == versions


@in_loop
async def test_a_deposed_leader_stands_by_and_does_not_say_what_became_of_its_last_decisions() -> (
    None
):
    runtime = Runtime(CoreSettings())
    store = MemoryStore()
    runtime.lead(store)
    AttachedGrid(runtime, diamond()).connect()
    store.hold()
    request_power(runtime)
    waiting = asyncio.ensure_future(runtime.durable())
    await asyncio.sleep(0)
    store.fail(LeadershipLost("another leads"))
    with pytest.raises(StoreFailed, match="another leads"):
        await waiting
    assert not runtime.leads
    assert not runtime.failure.done()
    assert refusal_of(lambda: runtime.questions) == "STARTING"
    runtime.follow(NOTHING)
    assert runtime.questions.circuits == {}


@in_loop
async def test_a_term_does_not_vouch_for_what_another_has_decided() -> None:
    runtime = Runtime(CoreSettings())
    store = MemoryStore()
    runtime.lead(store)
    AttachedGrid(runtime, diamond()).connect()
    store.hold()
    request_power(runtime)
    decided = runtime.decided()
    # Lost and won again before anybody has asked.
    store.fail(LeadershipLost("another leads"))
    await until(lambda: not runtime.leads)
    runtime.lead(MemoryStore())
    await runtime.durable()
    with pytest.raises(StoreFailed, match="the lead was lost"):
        await runtime.durable(decided)


@in_loop
async def test_who_resigns_answers_what_it_has_decided() -> None:
    runtime = Runtime(CoreSettings())
    store = MemoryStore()
    runtime.lead(store)
    AttachedGrid(runtime, diamond()).connect()
    store.hold()
    request_power(runtime)
    waiting = asyncio.ensure_future(runtime.durable())
    await asyncio.sleep(0)
    resigned = asyncio.ensure_future(runtime.resign(store.close))
    await asyncio.sleep(0)
    assert refusal_of(lambda: request_power(runtime, "b")) == "NO_LEADER"
    await resigned
    await waiting
    assert store.closed
    assert +runtime.tallies.lead_events == {LeadEvent.ELECTED: 1, LeadEvent.HANDED_OVER: 1}
    await runtime.somebody_leads(within_s=60)
    assert refusal_of(lambda: request_power(runtime, "b")) == "LEAVING"


@in_loop
async def test_who_asks_a_leader_that_resigns_waits_until_it_can_say_who_leads_next() -> None:
    runtime = Runtime(CoreSettings())
    store = MemoryStore()
    runtime.lead(store)
    handed_over = threading.Event()

    def let_go() -> None:
        handed_over.wait()

    resigned = asyncio.ensure_future(runtime.resign(let_go))
    asking = asyncio.ensure_future(runtime.somebody_leads(within_s=60))
    await asyncio.sleep(0)
    assert not asking.done()
    runtime.set_leader(OTHER)
    await asking
    assert refusal_of(lambda: request_power(runtime)) == "NOT_LEADER"
    handed_over.set()
    await resigned
    assert refusal_of(lambda: request_power(runtime)) == "NOT_LEADER"


@in_loop
async def test_who_may_have_been_succeeded_says_nothing_to_routers() -> None:
    runtime = Runtime(CoreSettings())
    store = MemoryStore()
    runtime.lead(store)
    grid = AttachedGrid(runtime, diamond())
    grid.connect()
    await asyncio.sleep(0)
    store.fenced = True
    request_power(runtime)
    await asyncio.sleep(0)
    assert all(not router.table.staged_txn_ids for router in grid.simulated.routers.values())
    assert all(not router.table.hops for router in grid.simulated.routers.values())
