"""PowerService over real gRPC: what is asked is decided, stored, and answered."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc.code_pb2 import Code

from controller.core.access import Action, Call, Principal
from controller.core.circuits.records import AuditEntry
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.northbound.codec import give_id
from controller.northbound.gathering import MAX_SLOW_TOGETHER, MAX_TOGETHER, Gathering, Slice
from digitalgrid.client import RequestRefused, power_request
from digitalgrid.client.calls import who_asks
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import in_loop, northbound, until


@in_loop
async def test_a_request_becomes_active_and_is_released_without_a_trace() -> None:
    async with northbound() as api:
        request = power_request("town", 2e6, request_id="r-1", source_ids=["solar"])
        response = await api.client.request_power(request)
        assert response.request_id == "r-1"
        (circuit,) = response.circuits
        assert circuit.power_w == 2e6
        (circuit,) = await api.client.wait_until_active([circuit.circuit_id])
        assert list(circuit.router_ids) == ["r1", "r2", "r4"]
        assert [link.link_id for link in circuit.links] == ["r1-r2", "r2-r4"]
        assert circuit.source_id == "solar"
        assert circuit.injected_w > 2e6
        assert circuit.loss_fraction == pytest.approx(1 - 2e6 / circuit.injected_w)
        assert circuit.links[0].received_w == circuit.links[0].current_a * 20000
        marks = circuit.timings
        assert 0 < marks.staged_after_ns <= marks.committed_after_ns <= marks.actuated_after_ns
        assert circuit.admin_up

        released = await api.client.release_circuit(circuit.circuit_id)
        assert not released.admin_up
        await until(lambda: api.reserved() == {})
        gone = await api.client.get_circuit(circuit.circuit_id)
        assert (gone.state, list(gone.links)) == (pb.CIRCUIT_STATE_WITHDRAWN, [])
        assert api.grid.simulated.held() == set()


@in_loop
async def test_a_hold_is_reserved_for_its_owner_until_it_is_activated() -> None:
    async with northbound() as api:
        answer = await api.client.request_power(power_request("town", 2e6, hold_ms=60_000))
        (circuit,) = answer.circuits
        assert (circuit.state, circuit.hold.state) == (
            pb.CIRCUIT_STATE_RESERVED,
            pb.HOLD_STATE_HELD,
        )
        assert circuit.hold.until_unix_ns - circuit.created_unix_ns == pytest.approx(60e9, abs=1e9)
        assert circuit.owner and circuit.owner in who_asks()[0][1]
        assert api.reserved() and api.grid.simulated.held() == set()
        activated = await api.client.activate_circuit(circuit.circuit_id)
        assert activated.hold.state == pb.HOLD_STATE_ACTIVATED
        (carrying,) = await api.client.wait_until_active([circuit.circuit_id])
        assert carrying.router_ids == circuit.router_ids
        audit = [entry.action for change in api.store.changes for entry in change.audit]
        assert audit[:2] == ["request", "activate"]


@in_loop
async def test_a_circuit_says_until_when_it_was_asked_for_and_an_end_that_is_over_is_refused() -> (
    None
):
    async with northbound() as api:
        until_unix_ns = time.time_ns() + 10**12
        asked = power_request("town", 2e6, until_unix_ns=until_unix_ns)
        (circuit,) = (await api.client.request_power(asked)).circuits
        assert circuit.until_unix_ns == until_unix_ns
        (endless,) = (await api.client.request_power(power_request("works", 1e6))).circuits
        assert not endless.HasField("until_unix_ns")
        for over_unix_ns in (-(2**63), 0, 1):
            with pytest.raises(RequestRefused) as refused:
                await api.client.request_power(
                    power_request("town", 1e6, until_unix_ns=over_unix_ns)
                )
            assert refused.value.reason == Reason.END_PASSED
            assert [each.field for each in refused.value.violations] == ["until_unix_ns"]


@in_loop
async def test_an_activation_of_nothing_is_refused() -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused) as unknown:
            await api.client.activate_circuit(7)
        assert unknown.value.reason == Reason.UNKNOWN_CIRCUIT
        with pytest.raises(RequestRefused) as missing:
            await api.client.activate_circuit(0)
        assert missing.value.reason == Reason.CIRCUIT_ID_MISSING


@in_loop
async def test_an_empty_request_id_is_made_and_told() -> None:
    async with northbound() as api:
        response = await api.power.RequestPower(
            pb.RequestPowerRequest(request=pb.PowerRequest(sink_id="town", power_w=1e6))
        )
        assert len(response.request_id) == 36
        assert response.circuits[0].request_id == response.request_id


@in_loop
async def test_a_retry_gets_the_same_circuits_and_reserves_nothing_twice() -> None:
    async with northbound() as api:
        request = power_request("town", 2e6, request_id="again")
        first = await api.client.request_power(request)
        second = await api.client.request_power(request)
        assert [c.circuit_id for c in second.circuits] == [c.circuit_id for c in first.circuits]
        listed = await api.client.list_circuits()
        assert len(listed.circuits) == 1


@in_loop
async def test_the_reply_waits_until_the_decision_is_durable() -> None:
    async with northbound() as api:
        api.store.hold()
        call = asyncio.create_task(api.client.request_power(power_request("town", 2e6)))
        await until(lambda: bool(api.store.held))
        done, _ = await asyncio.wait([call], timeout=0.05)
        assert not done
        api.store.flush()
        assert (await call).circuits[0].power_w == 2e6


@in_loop
async def test_a_store_that_fails_makes_the_reply_unavailable() -> None:
    async with northbound() as api:
        api.store.hold()
        request = pb.RequestPowerRequest(request=power_request("town", 2e6))
        call = asyncio.ensure_future(api.power.RequestPower(request))
        await until(lambda: bool(api.store.held))
        api.store.fail()
        with pytest.raises(grpc.aio.AioRpcError, match="the disk is full") as error:
            await call
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


@in_loop
async def test_compute_tells_the_route_and_reserves_nothing() -> None:
    async with northbound() as api:
        computed = await api.client.compute_power(power_request("town", 2e6))
        (circuit,) = computed.circuits
        assert (circuit.circuit_id, circuit.state) == (0, pb.CIRCUIT_STATE_REQUESTED)
        assert (circuit.source_id, list(circuit.router_ids)) == ("gas", ["r3", "r4"])
        assert api.reserved() == {}
        assert not any(change.circuits for change in api.store.changes)
        admitted = await api.client.request_power(power_request("town", 2e6))
        assert admitted.circuits[0].injected_w == circuit.injected_w


@in_loop
async def test_a_request_may_be_split_over_several_circuits() -> None:
    async with northbound() as api:
        request = power_request("town", 9e6, allow_split=True)
        response = await api.client.request_power(request)
        assert len(response.circuits) > 1
        assert sum(circuit.power_w for circuit in response.circuits) == pytest.approx(9e6)
        assert {circuit.request_id for circuit in response.circuits} == {request.request_id}
        await api.client.wait_until_active([c.circuit_id for c in response.circuits])
        api.reserved()


@in_loop
async def test_a_change_of_power_makes_a_new_generation() -> None:
    async with northbound() as api:
        response = await api.client.request_power(power_request("town", 2e6))
        circuit_id = response.circuits[0].circuit_id
        (before,) = await api.client.wait_until_active([circuit_id])
        changed = await api.client.change_circuit(circuit_id, 3e6)
        assert changed.power_w == 3e6
        (after,) = await api.client.wait_until_active([circuit_id])
        assert after.generation == before.generation + 1
        assert after.admission_seq > before.admission_seq


@in_loop
async def test_a_change_while_the_circuit_is_being_set_up_says_when_to_retry() -> None:
    async with northbound() as api:
        api.store.hold()
        call = asyncio.ensure_future(api.client.request_power(power_request("town", 2e6)))
        await until(lambda: bool(api.store.held))
        with pytest.raises(RequestRefused) as refused:
            await api.client.change_circuit(1, 3e6)
        assert refused.value.code is grpc.StatusCode.ABORTED
        assert refused.value.reason == "CIRCUIT_IN_TRANSITION"
        api.store.flush()
        await call


@in_loop
async def test_a_batch_decides_each_request_by_itself_and_in_order() -> None:
    async with northbound() as api:
        requests = [
            power_request("town", 2e6, request_id="good"),
            power_request("nowhere", 2e6, request_id="bad"),
            power_request("pump", 1e6, request_id="also good"),
            power_request("pump", 1e6, request_id="too late"),
        ]
        outcomes = (await api.client.batch_request_power(requests)).outcomes
        assert [outcome.request_id for outcome in outcomes] == [
            *("good", "bad", "also good", "too late")
        ]
        codes = [grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND]
        codes += [grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION]
        assert [outcome.code for outcome in outcomes] == [code.value[0] for code in codes]
        assert "nowhere" in outcomes[1].message
        assert [len(outcome.circuits) for outcome in outcomes] == [1, 0, 1, 0]
        api.reserved()


@in_loop
async def test_what_a_batch_has_decided_stands_when_the_lead_is_lost_in_its_middle() -> None:
    """Not even a client that gave no ids is served twice."""
    async with northbound() as api:
        decide = api.runtime.handle_requests
        decided: list[Any] = []

        def handle(asked: Sequence[tuple[Call, PowerRequest]]) -> Any:
            if len(decided) == 1:
                # As if the lead had been lost and taken again.
                decided.append(None)
                raise Refusal(Reason.NO_LEADER, "no controller leads just now")
            decided.append(decide(asked))
            return decided[-1]

        api.runtime.handle_requests = handle  # type: ignore[method-assign]
        requests = [pb.PowerRequest(sink_id="town", power_w=1e3)] * (2 * MAX_TOGETHER + 3)
        answer = await api.power.BatchRequestPower(pb.BatchRequestPowerRequest(requests=requests))
        codes = [each.code for each in answer.outcomes]
        assert codes[:MAX_TOGETHER] == [Code.OK] * MAX_TOGETHER
        assert codes[MAX_TOGETHER:] == [Code.UNAVAILABLE] * (MAX_TOGETHER + 3)
        assert {each.reason for each in answer.outcomes[MAX_TOGETHER:]} == {"NO_LEADER"}
        assert len({each.request_id for each in answer.outcomes}) == len(requests)
        assert len((await api.client.list_circuits()).circuits) == MAX_TOGETHER


@in_loop
@pytest.mark.parametrize("method", ["RequestPower", "BatchRequestPower", "Dispatch"])
async def test_a_call_without_ids_that_the_server_begins_anew_keeps_its_ids(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the first attempt may have done, the second is known to be the same."""
    attempts = []

    def fail_once(message: pb.PowerRequest | pb.DispatchRequest) -> None:
        give_id(message)
        attempts.append(message.request_id)
        if len(attempts) == 1:
            raise Refusal(Reason.NO_LEADER, "no controller leads just now")

    monkeypatch.setattr("controller.northbound.power.give_id", fail_once)
    monkeypatch.setattr("controller.northbound.optimisation.give_id", fail_once)
    async with northbound() as api:
        asked = pb.PowerRequest(sink_id="town", power_w=1e6)
        if method == "RequestPower":
            answer = await api.power.RequestPower(pb.RequestPowerRequest(request=asked))
        elif method == "BatchRequestPower":
            batch = pb.BatchRequestPowerRequest(requests=[asked])
            answer = (await api.power.BatchRequestPower(batch)).outcomes[0]
        else:
            wanted = pb.DispatchRequest(demands=[pb.Demand(load_id="town", power_w=1e6)])
            answer = await api.optimisation.Dispatch(wanted)
        assert attempts == [answer.request_id] * 2


@in_loop
async def test_a_batch_that_is_too_large_is_refused_whole() -> None:
    async with northbound() as api:
        with pytest.raises(RequestRefused) as refused:
            await api.client.batch_request_power([power_request("town", 1.0)] * 1025)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.violations[0].field == "requests"
        assert api.reserved() == {}


@in_loop
async def test_list_filters_by_request_and_can_show_what_has_ended() -> None:
    async with northbound() as api:
        one = await api.client.request_power(power_request("town", 1e6, request_id="one"))
        await api.client.request_power(power_request("works", 1e6, request_id="two"))
        listed = await api.client.list_circuits("two")
        assert [circuit.request_id for circuit in listed.circuits] == ["two"]
        circuit_id = one.circuits[0].circuit_id
        await api.client.wait_until_active([circuit_id])
        await api.client.release_circuit(circuit_id)
        await until(lambda: api.runtime.questions.circuit(circuit_id).state.ended)
        assert len((await api.client.list_circuits()).circuits) == 1
        ended = await api.client.list_circuits(include_ended=True)
        assert [circuit.circuit_id for circuit in ended.circuits] == [1, 2]
        assert ended.circuits[0].state == pb.CIRCUIT_STATE_WITHDRAWN
        assert ended.circuits[0].source_id == ""


@in_loop
async def test_a_fault_of_the_controller_is_logged_and_answered_as_such(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with northbound() as api:

        def broken(*_arguments: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(Controller, "rehearse", broken)
        with caplog.at_level(logging.ERROR), pytest.raises(grpc.aio.AioRpcError) as error:
            await api.power.ComputePower(pb.ComputePowerRequest(request=pb.PowerRequest()))
        assert error.value.code() is grpc.StatusCode.INTERNAL
        assert "ZeroDivisionError" in caplog.text


@in_loop
async def test_requests_that_come_together_are_one_transaction_and_each_is_its_askers() -> None:
    async with northbound() as api:
        api.store.hold()
        wanted = [api.client.request_power(power_request("town", 1e5)) for _ in range(12)]
        asked = asyncio.gather(*wanted)

        def entries() -> list[AuditEntry]:
            return [each for change in api.store.changes for each in change.audit]

        # The first is alone and decided at once; the others find it under way.
        await until(lambda: len(entries()) == 12)
        assert len(api.store.changes) < 12
        assert {each.action for each in entries()} == {"request"}
        assert all("ipv4:" in each.who for each in entries())
        api.store.flush()
        assert len({answer.circuits[0].circuit_id for answer in await asked}) == 12


@in_loop
async def test_who_asks_for_much_does_not_keep_others_waiting() -> None:
    async with northbound() as api:
        events: list[list[str]] = []
        decide = api.runtime.handle_requests

        def handle(asked: Sequence[tuple[Call, PowerRequest]]) -> Any:
            events.append([request.request_id for _, request in asked])
            return decide(asked)

        api.runtime.handle_requests = handle  # type: ignore[method-assign]
        gathering = Gathering(api.runtime)

        def ask(client: str, number: int) -> Any:
            by = Call(Principal(client, client), Action.REQUEST)
            return gathering.admit(by, PowerRequest(f"{client}{number}", "town", 1e3))

        await asyncio.gather(
            *(ask("greedy", number) for number in range(3 * MAX_TOGETHER)), ask("modest", 0)
        )
        assert "modest0" in events[0]
        assert [len(each) for each in events] == [MAX_TOGETHER] * 3
        greedy = [each for event in events for each in event if each != "modest0"]
        assert greedy == [f"greedy{number}" for number in range(3 * MAX_TOGETHER - 1)]


def test_where_most_are_refused_fewer_are_decided_in_an_event() -> None:
    refusal = Refusal(Reason.NO_SINGLE_PATH, "no")
    size = Slice()
    assert size.of([True] * 100) == MAX_TOGETHER
    assert size.of([False] * 100) == size.of([False, True] * 4) == MAX_SLOW_TOGETHER
    size.note([refusal] * 33 + [[]] * 31)
    assert size.of([True] * 100) == MAX_SLOW_TOGETHER
    assert size.of([False]) == 1
    size.note([refusal] * 4 + [[]] * 4)
    assert size.of([True] * 100) == MAX_TOGETHER


@in_loop
async def test_paths_as_if_for_a_circuit_are_those_that_there_were_without_it() -> None:
    async with northbound() as api:
        # All that the load takes, and more than half of what a line carries.
        wanted = power_request("works", 5e6)
        asked = pb.ComputePathsRequest(request=wanted, most_paths=3)
        before = (await api.client.compute_paths(asked)).circuits
        (circuit,) = (await api.client.request_power(wanted)).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        with pytest.raises(RequestRefused) as refused:
            await api.client.compute_paths(asked)
        assert refused.value.reason == "LOAD_LIMIT_EXCEEDED"
        reserved = api.reserved()
        asked.as_circuit_id = circuit.circuit_id
        after = (await api.client.compute_paths(asked)).circuits
        assert [each.router_ids for each in after] == [each.router_ids for each in before]
        assert [each.injected_w for each in after] == pytest.approx(
            [each.injected_w for each in before]
        )
        assert api.reserved() == reserved
        # What others hold is not free for it.
        with pytest.raises(RequestRefused):
            await api.client.request_power(power_request("town", 11e6))
        asked.disjointness = pb.DISJOINTNESS_LINK
        with pytest.raises(RequestRefused) as refused:
            await api.client.compute_paths(asked)
        assert refused.value.reason == "PAIR_FOR_CIRCUIT"
        with pytest.raises(RequestRefused) as refused:
            await api.client.compute_paths(pb.ComputePathsRequest(request=wanted, as_circuit_id=99))
        assert refused.value.reason == "UNKNOWN_CIRCUIT"


@in_loop
async def test_when_a_circuit_was_made_and_last_decided_is_told() -> None:
    async with northbound() as api:
        began_ns = time.time_ns()
        (made,) = (await api.client.request_power(power_request("town", 1e6))).circuits
        assert began_ns <= made.created_unix_ns == made.changed_unix_ns <= time.time_ns()
        await api.client.wait_until_active([made.circuit_id])
        changed = await api.client.change_circuit(made.circuit_id, 2e6)
        assert changed.created_unix_ns == made.created_unix_ns < changed.changed_unix_ns
        released = await api.client.release_circuit(made.circuit_id)
        assert released.changed_unix_ns > changed.changed_unix_ns
        (computed,) = (await api.client.compute_power(power_request("town", 1e6))).circuits
        assert computed.created_unix_ns == computed.changed_unix_ns == 0
