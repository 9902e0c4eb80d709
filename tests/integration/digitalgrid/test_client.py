import asyncio
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from digitalgrid.client import (
    AsyncPowerClient,
    ControllerUnreachable,
    FieldViolation,
    NotActive,
    PowerClient,
    RequestRefused,
    power_request,
)
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2
from tests.support.patience import PATIENCE_S
from tests.support.wire import Wire

REQUEST = power_request(
    "town",
    2e6,
    source_ids=["pv1", "pv2"],
    max_loss_fraction=0.1,
    max_hops=0,
    avoid_ids=["r9"],
    allow_split=True,
    request_id="req-1",
)


def _script(controller: Any, circuit: pb.Circuit) -> None:
    controller.answers = {
        "RequestPower": pb.RequestPowerResponse(request_id="req-1", circuits=[circuit]),
        "BatchRequestPower": pb.BatchRequestPowerResponse(outcomes=[pb.BatchOutcome(code=8)]),
        "ComputePower": pb.ComputePowerResponse(circuits=[circuit]),
        "ChangeCircuit": pb.ChangeCircuitResponse(circuit=circuit),
        "ReleaseCircuit": pb.ReleaseCircuitResponse(circuit=circuit),
        "ActivateCircuit": pb.ActivateCircuitResponse(circuit=circuit),
        "GetCircuit": pb.GetCircuitResponse(circuit=circuit),
        "ListCircuits": pb.ListCircuitsResponse(circuits=[circuit]),
        "GetTopology": pb.GetTopologyResponse(topology=pb.Topology(lsdb_version=3)),
        "ReadMeters": pb.ReadAllMetersResponse(
            meters=[power_link_pb2.RouterMeters(router_id="r1")]
        ),
        "WatchCircuits": [
            pb.WatchCircuitsResponse(circuit=circuit),
            pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()),
        ],
        "WatchTopology": [pb.WatchTopologyResponse(topology=pb.Topology(lsdb_version=4))],
    }


SENT = [
    pb.RequestPowerRequest(request=REQUEST),
    pb.BatchRequestPowerRequest(requests=[REQUEST, REQUEST]),
    pb.ComputePowerRequest(request=REQUEST),
    pb.ChangeCircuitRequest(circuit_id=7, power_w=3e6),
    pb.ReleaseCircuitRequest(circuit_id=7),
    pb.ActivateCircuitRequest(circuit_id=7),
    pb.GetCircuitRequest(circuit_id=7),
    pb.ListCircuitsRequest(request_id="req-1", include_ended=True),
    pb.GetTopologyRequest(),
    pb.ReadAllMetersRequest(),
    pb.WatchCircuitsRequest(together=True),
    pb.WatchTopologyRequest(changes_only=True),
]


def test_blocking_client_makes_every_call(controller: Any, make_circuit: Any) -> None:
    circuit = make_circuit()
    _script(controller, circuit)
    with PowerClient(controller.server) as client:
        assert client.request_power(REQUEST).circuits[0] == circuit
        assert client.batch_request_power([REQUEST, REQUEST]).outcomes[0].code == 8
        assert client.compute_power(REQUEST).circuits[0] == circuit
        assert client.change_circuit(7, 3e6) == circuit
        assert client.release_circuit(7) == circuit
        assert client.activate_circuit(7) == circuit
        assert client.get_circuit(7) == circuit
        assert client.list_circuits("req-1", include_ended=True).circuits[0] == circuit
        assert client.get_topology().lsdb_version == 3
        assert client.read_meters().meters[0].router_id == "r1"
        assert [event.WhichOneof("event") for event in client.watch_circuits()] == [
            "circuit",
            "snapshot_done",
        ]
        assert [view.lsdb_version for view in client.watch_topology()] == [4]
    assert controller.requests == SENT


def test_asyncio_client_makes_every_call(controller: Any, make_circuit: Any) -> None:
    circuit = make_circuit()
    _script(controller, circuit)

    async def calls() -> None:
        async with AsyncPowerClient(controller.server) as client:
            assert (await client.request_power(REQUEST)).circuits[0] == circuit
            assert (await client.batch_request_power([REQUEST, REQUEST])).outcomes[0].code == 8
            assert (await client.compute_power(REQUEST)).circuits[0] == circuit
            assert await client.change_circuit(7, 3e6) == circuit
            assert await client.release_circuit(7) == circuit
            assert await client.activate_circuit(7) == circuit
            assert await client.get_circuit(7) == circuit
            listed = await client.list_circuits("req-1", include_ended=True)
            assert listed.circuits[0] == circuit
            assert (await client.get_topology()).lsdb_version == 3
            assert (await client.read_meters()).meters[0].router_id == "r1"
            events = [event.WhichOneof("event") async for event in client.watch_circuits()]
            assert events == ["circuit", "snapshot_done"]
            assert [view.lsdb_version async for view in client.watch_topology()] == [4]

    asyncio.run(calls())
    assert controller.requests == SENT


def test_constraints_that_were_not_asked_for_are_absent() -> None:
    constraints = power_request("town", 2e6).constraints
    assert not constraints.HasField("max_loss_fraction")
    assert not constraints.HasField("max_hops")
    assert REQUEST.constraints.HasField("max_hops")


def test_refusals_carry_their_details(controller: Any, refusal: Any) -> None:
    controller.refusal = refusal

    async def refused() -> None:
        async with AsyncPowerClient(controller.server) as client:
            await client.request_power(REQUEST)

    with pytest.raises(RequestRefused) as from_asyncio:
        asyncio.run(refused())
    with PowerClient(controller.server) as client, pytest.raises(RequestRefused) as from_blocking:
        client.request_power(REQUEST)
    for error in (from_asyncio.value, from_blocking.value):
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "links r1-r3 are full"
        assert error.reason == "INSUFFICIENT_CAPACITY"
        assert error.violations == (FieldViolation("power_w", "more than the network can carry"),)
        assert error.metadata == {"bottleneck_links": "r1-r3", "missing_w": "1200000.0"}


def test_a_refused_watch_is_typed_as_well(controller: Any, refusal: Any) -> None:
    controller.refusal = refusal
    with PowerClient(controller.server) as client, pytest.raises(RequestRefused):
        next(client.watch_circuits())


def test_a_broken_call_is_retried_with_the_same_request_id(
    controller: Any, make_circuit: Any
) -> None:
    _script(controller, make_circuit())
    controller.outages = 2
    with PowerClient(controller.server) as client:
        client.request_power(power_request("town", 2e6))
    assert len(controller.requests) == 3
    ids = {request.request.request_id for request in controller.requests}
    assert len(ids) == 1 and ids != {""}


def test_a_broken_dispatch_is_retried_with_an_id_though_it_was_given_none(controller: Any) -> None:
    controller.answers = {"Dispatch": pb.DispatchResponse()}

    async def dispatch() -> None:
        async with AsyncPowerClient(controller.server) as client:
            await client.dispatch(pb.DispatchRequest(dry_run=True))

    controller.outages = 2
    with PowerClient(controller.server) as client:
        client.dispatch(pb.DispatchRequest(dry_run=True))
    controller.outages = 2
    asyncio.run(dispatch())
    assert len(controller.requests) == 6
    assert all(request.dry_run for request in controller.requests)
    for three in (controller.requests[:3], controller.requests[3:]):
        ids = {request.request_id for request in three}
        assert len(ids) == 1 and ids != {""}


@pytest.mark.parametrize("several", [False, True])
def test_a_connection_that_is_cut_without_a_word_does_not_take_all_the_time_of_a_call(
    controller: Any, make_circuit: Any, several: bool
) -> None:
    _script(controller, make_circuit())

    async def ask() -> None:
        async with Wire(controller.server) as wire:
            servers = f"{wire.address},{controller.server}" if several else wire.address
            async with AsyncPowerClient(servers) as client:
                await client.get_topology()
                wire.cut()
                asked_s = time.monotonic()
                assert (await client.get_topology()).lsdb_version == 3
                assert time.monotonic() - asked_s < 6.0

    asyncio.run(ask())


def test_a_change_waits_for_a_circuit_that_is_on_the_move(
    controller: Any, make_circuit: Any
) -> None:
    _script(controller, make_circuit())
    controller.outages, controller.outage_code = 2, grpc.StatusCode.ABORTED
    with PowerClient(controller.server) as client:
        client.change_circuit(7, 3e6)
        assert len(controller.requests) == 3
        controller.outages = 1
        with pytest.raises(RequestRefused):
            client.release_circuit(7)


def test_nobody_there(unreachable_server: str) -> None:
    with PowerClient(unreachable_server) as client, pytest.raises(ControllerUnreachable) as caught:
        client.get_topology()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


class OpenWatch:
    """A watch stream that says what it was given and then stays open until the test ends."""

    def __init__(self, *events: pb.WatchCircuitsResponse) -> None:
        self._events = events
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[pb.WatchCircuitsResponse]:
        yield from self._events
        self.closed.wait(5)


SNAPSHOT_DONE = pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone())


def _event(circuit: pb.Circuit) -> pb.WatchCircuitsResponse:
    return pb.WatchCircuitsResponse(circuit=circuit)


def _wait(server: str, circuit_ids: list[int], flavour: str, timeout_s: float = 5.0) -> Any:
    if flavour == "blocking":
        with PowerClient(server) as client:
            return client.wait_until_active(circuit_ids, timeout_s=timeout_s)

    async def wait() -> tuple[pb.Circuit, ...]:
        async with AsyncPowerClient(server) as client:
            return await client.wait_until_active(circuit_ids, timeout_s=timeout_s)

    return asyncio.run(wait())


both_flavours = pytest.mark.parametrize("flavour", ["blocking", "asyncio"])


@both_flavours
def test_waits_until_all_circuits_are_active(
    controller: Any, make_circuit: Any, flavour: str
) -> None:
    watch = OpenWatch(
        _event(make_circuit(1, pb.CIRCUIT_STATE_STAGING)),
        _event(make_circuit(2, pb.CIRCUIT_STATE_ACTIVE)),
        _event(make_circuit(3, pb.CIRCUIT_STATE_FAILED)),
        SNAPSHOT_DONE,
        _event(make_circuit(1, pb.CIRCUIT_STATE_ACTIVE)),
    )
    controller.answers["WatchCircuits"] = watch
    circuits = _wait(controller.server, [1, 2], flavour)
    watch.closed.set()
    assert [circuit.circuit_id for circuit in circuits] == [1, 2]
    assert {circuit.state for circuit in circuits} == {pb.CIRCUIT_STATE_ACTIVE}


@both_flavours
@pytest.mark.parametrize(
    ("state", "circuit_ids", "timeout_s", "words"),
    [
        (pb.CIRCUIT_STATE_FAILED, [1], 5.0, "ended before power arrived: 1 is .*FAILED .no path"),
        (pb.CIRCUIT_STATE_STAGING, [1], 0.2, "not all ACTIVE after .* s: 1 is .*STAGING"),
        (pb.CIRCUIT_STATE_ACTIVE, [1, 9], 5.0, "circuits 1, 9 are no longer known"),
    ],
)
def test_says_why_a_circuit_did_not_become_active(
    controller: Any,
    make_circuit: Any,
    flavour: str,
    state: int,
    circuit_ids: list[int],
    timeout_s: float,
    words: str,
) -> None:
    watch = OpenWatch(_event(make_circuit(1, state, reason="no path")), SNAPSHOT_DONE)
    controller.answers["WatchCircuits"] = watch
    said = ""
    # On a busy machine nothing may be heard within a short time.
    while not re.search(words, said) and timeout_s < PATIENCE_S:
        with pytest.raises(NotActive) as caught:
            _wait(controller.server, circuit_ids, flavour, timeout_s)
        said = str(caught.value)
        timeout_s *= 5
    watch.closed.set()
    assert re.search(words, said)
