"""Whoever is late keeps its session: what waits for a controller is no more than its circuits have to say."""

import asyncio
from collections.abc import Iterable

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.device.sink import FlowStatus
from router_agent.outbox import MUCH, Outbox

KEYS = [CircuitGeneration(number, 1) for number in range(1, 501)]
FLAPS = (FlowState.STARVED, FlowState.ARRIVED, FlowState.ACTUATED)


def said(outbox: Outbox) -> list[pb.RouterMessage | FlowStatus]:
    async def all_of_it() -> list[pb.RouterMessage | FlowStatus]:
        return [await outbox.get() for _ in range(len(outbox))]

    return asyncio.run(all_of_it())


def report(outbox: Outbox, states: Iterable[FlowState]) -> None:
    for demand_mw, state in enumerate(states):
        for key in KEYS:
            outbox.report(FlowStatus(key, state, demand_mw=demand_mw))


def test_a_hundred_thousand_changes_of_a_few_hundred_circuits_are_told_as_what_they_came_to() -> (
    None
):
    outbox = Outbox()
    report(outbox, FLAPS * 70)
    assert len(outbox) <= MUCH + len(KEYS)
    last = {each.key: each for each in said(outbox) if isinstance(each, FlowStatus)}
    assert {(each.state, each.demand_mw) for each in last.values()} == {(FlowState.ACTUATED, 209)}
    # What is told now has not been told yet.
    report(outbox, [FlowState.STARVED])
    assert len(outbox) == len(KEYS)


def test_what_is_no_measurement_is_told_each_time_and_in_order() -> None:
    outbox = Outbox()
    states = (FlowState.CHARGED, FlowState.DISCHARGED, FlowState.SWITCHED, *FLAPS, *FLAPS)
    for _ in range(MUCH):
        outbox.put(pb.RouterMessage(sync_done=pb.SyncDone()))
    for state in (*states, FlowState.DRAINED):
        outbox.report(FlowStatus(KEYS[0], state))
    told = [each.state for each in said(outbox) if isinstance(each, FlowStatus)]
    assert told == [*states[:3], FlowState.ACTUATED, FlowState.DRAINED]


def test_a_controller_that_keeps_up_hears_every_step() -> None:
    outbox = Outbox()
    for state in FLAPS:
        outbox.report(FlowStatus(KEYS[0], state))
    assert [each.state for each in said(outbox) if isinstance(each, FlowStatus)] == list(FLAPS)


def test_an_answer_goes_before_the_statuses_that_wait_and_before_nothing_else() -> None:
    def answer(txn_id: int) -> pb.RouterMessage:
        return pb.RouterMessage(result=pb.TransactionResult(txn_id=txn_id))

    outbox = Outbox()
    report(outbox, [FlowState.STARVED])
    table = pb.RouterMessage(table=pb.CircuitTable(read_id=1))
    for message in (answer(1), answer(2), table, answer(3)):
        outbox.put(message)
    outbox.report(FlowStatus(KEYS[0], FlowState.ARRIVED))
    told = said(outbox)
    assert told[:2] == [answer(1), answer(2)]
    assert [each for each in told[2:] if isinstance(each, pb.RouterMessage)] == [table, answer(3)]
    assert isinstance(told[2], FlowStatus) and told[-3:-1] == [table, answer(3)]
    outbox.report(FlowStatus(KEYS[0], FlowState.STARVED))
    outbox.put(answer(4))
    assert said(outbox)[0] == answer(4)
