"""Every request that cannot be served gets a clear error, and nothing stays reserved for it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import cast

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_status import rpc_status

from digitalgrid.client import RequestRefused, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.grids import spare_way
from tests.support.northbound import Northbound, in_loop, northbound

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass
class Bad:
    """A request, and the answer to it: code, reason, field, and what must stand in the details' metadata."""

    request: pb.PowerRequest
    code: grpc.StatusCode
    reason: str
    field: str
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)


BAD = {
    "unknown sink": Bad(
        power_request("nowhere", 1e6), NOT_FOUND, "UNKNOWN_ID", "sink_id", {"id": "nowhere"}
    ),
    "no sink": Bad(power_request("", 1e6), INVALID, "SINK_MISSING", "sink_id"),
    "unknown source": Bad(
        power_request("town", 1e6, source_ids=["solar", "wind"]),
        *(NOT_FOUND, "UNKNOWN_ID", "source_ids", {"id": "wind"}),
    ),
    "unknown id to avoid": Bad(
        power_request("town", 1e6, avoid_ids=["r9"]),
        *(NOT_FOUND, "UNKNOWN_ID", "constraints.avoid_ids", {"id": "r9"}),
    ),
    "an unknown kind of protection": Bad(
        pb.PowerRequest(sink_id="town", power_w=1e6, protect=cast(pb.Protect.ValueType, 9)),
        *(INVALID, "PROTECT_UNKNOWN", "protect"),
    ),
    "a standby that could only share the first path": Bad(
        power_request("town", 1e6, avoid_ids=["r3"], protect="link"),
        *(PRECONDITION, "PROTECTION_IMPOSSIBLE", "protect", {"bridges": "r1-r2,r2-r4"}),
    ),
    # The longer way would lose so much more that its first line cannot carry it.
    "a standby without room": Bad(
        power_request("town", 5.6e6, source_ids=["solar"], protect="link"),
        *(EXHAUSTED, "PROTECTION_NO_ROOM", "protect"),
    ),
    "a standby of its own without room": Bad(
        power_request("town", 5.6e6, source_ids=["solar"], protect="link", dedicated=True),
        *(EXHAUSTED, "PROTECTION_NO_ROOM", "dedicated"),
    ),
    "room of its own for no standby": Bad(
        power_request("town", 1e6, dedicated=True), INVALID, "DEDICATED_UNPROTECTED", "dedicated"
    ),
    "a source as sink": Bad(power_request("solar", 1e6), NOT_FOUND, "UNKNOWN_ID", "sink_id"),
    "source is sink": Bad(
        power_request("town", 1e6, source_ids=["town"]), INVALID, "SOURCE_IS_SINK", "source_ids"
    ),
    "zero power": Bad(power_request("town", 0.0), INVALID, "POWER_TOO_SMALL", "power_w"),
    "negative power": Bad(power_request("town", -2e6), INVALID, "POWER_TOO_SMALL", "power_w"),
    "power that is not a number": Bad(
        power_request("town", math.nan), INVALID, "POWER_NOT_FINITE", "power_w"
    ),
    "infinite power": Bad(power_request("town", math.inf), INVALID, "POWER_NOT_FINITE", "power_w"),
    "absurd power": Bad(power_request("town", 1e300), INVALID, "POWER_TOO_LARGE", "power_w"),
    "more than the load takes": Bad(
        power_request("town", 12.5e6, allow_split=True),
        *(PRECONDITION, "LOAD_LIMIT_EXCEEDED", "power_w", {"missing_w": "500000.0"}),
    ),
    "more than any cut carries": Bad(
        power_request("town", 11.9e6, allow_split=True),
        *(EXHAUSTED, "INSUFFICIENT_CAPACITY", "power_w", {"bottleneck_links": "r2-r4,r3-r4"}),
    ),
    "more than any source has": Bad(
        power_request("works", 4e6, source_ids=["gas"]),
        *(EXHAUSTED, "INSUFFICIENT_CAPACITY", "power_w", {"bottleneck_links": ""}),
    ),
    "no single path": Bad(
        power_request("town", 7e6),
        *(EXHAUSTED, "NO_SINGLE_PATH", "power_w"),
    ),
    "setup above hold": Bad(
        power_request("town", 1e6, setup_priority=2, hold_priority=1),
        *(INVALID, "SETUP_ABOVE_HOLD", "setup_priority"),
    ),
    "setup above the load's priority": Bad(
        power_request("pump", 1e6, setup_priority=2), INVALID, "SETUP_ABOVE_HOLD", "setup_priority"
    ),
    "a floor above the power": Bad(
        power_request("town", 1e6, floor_w=1.5e6), INVALID, "FLOOR_ABOVE_POWER", "floor_w"
    ),
    "a floor above the source": Bad(
        power_request("town", 5e6, source_ids=["gas"], floor_w=4.5e6),
        *(PRECONDITION, "FLOOR_ABOVE_SOURCE", "floor_w", {"available_w": "4000000.0"}),
    ),
    "a floor that is not a number": Bad(
        power_request("town", 1e6, floor_w=math.nan), INVALID, "FLOOR_OUT_OF_RANGE", "floor_w"
    ),
    "a floor below nothing": Bad(
        power_request("town", 1e6, floor_w=-1.0), INVALID, "FLOOR_OUT_OF_RANGE", "floor_w"
    ),
    "a loss limit that is none": Bad(
        power_request("town", 1e6, max_loss_fraction=1.5),
        *(INVALID, "LOSS_LIMIT_OUT_OF_RANGE", "constraints.max_loss_fraction"),
    ),
    "a loss limit that is not a number": Bad(
        power_request("town", 1e6, max_loss_fraction=math.nan),
        *(INVALID, "LOSS_LIMIT_OUT_OF_RANGE", "constraints.max_loss_fraction"),
    ),
    "a loss limit that cannot be met": Bad(
        power_request("town", 1e6, max_loss_fraction=0.01),
        *(PRECONDITION, "CONSTRAINTS_UNSATISFIABLE", "constraints.max_loss_fraction"),
    ),
    "a hop limit that cannot be met": Bad(
        power_request("town", 1e6, max_hops=0),
        *(PRECONDITION, "CONSTRAINTS_UNSATISFIABLE", "constraints.max_hops", {"hops": "1"}),
    ),
    "all ways are to be avoided": Bad(
        power_request("town", 1e6, avoid_ids=["r2", "r3-r4"]),
        *(PRECONDITION, "CONSTRAINTS_UNSATISFIABLE", "constraints.avoid_ids"),
    ),
    "the sink's own router is to be avoided": Bad(
        power_request("town", 1e6, avoid_ids=["r4"]),
        *(PRECONDITION, "CONSTRAINTS_UNSATISFIABLE", "constraints.avoid_ids"),
    ),
    "an endless request id": Bad(
        power_request("town", 1e6, request_id="x" * 257), INVALID, "ID_TOO_LONG", "request_id"
    ),
    "an id that would command a terminal": Bad(
        power_request("town", 1e6, request_id="evil\x1b]0;x\x07\x1b[2J"),
        *(INVALID, "ID_NOT_PRINTABLE", "request_id"),
    ),
    "an id that turns the direction of writing": Bad(
        power_request("town\u202e", 1e6), INVALID, "ID_NOT_PRINTABLE", "sink_id"
    ),
    "too many sources": Bad(
        power_request("town", 1e6, source_ids=[f"s{n}" for n in range(1025)]),
        *(INVALID, "TOO_MANY_IDS", "source_ids"),
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_refused_by_every_form_of_it(bad: Bad) -> None:
    refused_by_every_form(bad=bad)


@in_loop
async def refused_by_every_form(bad: Bad) -> None:
    async with northbound() as api:
        await assert_refused(api, bad)
        assert api.reserved() == {}
        assert not any(change.circuits for change in api.store.changes)


async def assert_refused(api: Northbound, bad: Bad) -> None:
    """By every call that takes a request, alike; what is reserved stays what it was."""
    before = api.reserved()
    for call in (api.client.request_power, api.client.compute_power):
        with pytest.raises(RequestRefused) as refused:
            await call(bad.request)
        error = refused.value
        assert (error.code, error.reason) == (bad.code, bad.reason)
        assert [violation.field for violation in error.violations] == [bad.field]
        assert error.metadata.items() >= bad.metadata.items()
        assert api.reserved() == before
    (outcome,) = (await api.client.batch_request_power([bad.request])).outcomes
    assert outcome.code == bad.code.value[0]
    assert outcome.message == str(error)
    assert (outcome.reason, outcome.field) == (bad.reason, bad.field)
    assert dict(outcome.metadata) == error.metadata
    assert api.reserved() == before


def protected(plant: str, *, dedicated: bool) -> pb.PowerRequest:
    return power_request("town", 1e6, source_ids=[plant], protect="link", dedicated=dedicated)


@pytest.mark.parametrize("first_dedicated", [True, False])
def test_room_that_another_standby_has_is_not_had_unless_both_share_it(
    first_dedicated: bool,
) -> None:
    refused_beside(first_dedicated=first_dedicated)


@in_loop
async def refused_beside(first_dedicated: bool) -> None:
    """Either the first has room of its own, or the second asks for it."""
    async with northbound(spare_way()) as api:
        first = protected("plant-a", dedicated=first_dedicated)
        (circuit,) = (await api.client.request_power(first)).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        second = protected("plant-b", dedicated=not first_dedicated)
        field = "protect" if first_dedicated else "dedicated"
        cut = {"bottleneck_links": "a-t,b-t,x-t"}
        await assert_refused(api, Bad(second, EXHAUSTED, "PROTECTION_NO_ROOM", field, cut))
        assert len((await api.client.list_circuits()).circuits) == 1
        if not first_dedicated:
            shares = protected("plant-b", dedicated=False)
            assert (await api.client.request_power(shares)).circuits


@in_loop
async def test_a_request_id_is_not_reused_for_another_request() -> None:
    async with northbound() as api:
        await api.client.request_power(power_request("town", 1e6, request_id="same"))
        before = api.reserved()
        with pytest.raises(RequestRefused) as refused:
            await api.client.request_power(power_request("town", 2e6, request_id="same"))
        assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.value.reason == "REQUEST_ID_REUSED"
        assert refused.value.violations[0].field == "request_id"
        assert api.reserved() == before


@in_loop
async def test_missing_messages_and_ids_are_named() -> None:
    async with northbound() as api:
        calls = [
            (api.power.RequestPower, pb.RequestPowerRequest(), "request"),
            (api.power.ComputePower, pb.ComputePowerRequest(), "request"),
            (api.power.ChangeCircuit, pb.ChangeCircuitRequest(power_w=1e6), "circuit_id"),
            (api.power.ReleaseCircuit, pb.ReleaseCircuitRequest(), "circuit_id"),
            (api.power.GetCircuit, pb.GetCircuitRequest(), "circuit_id"),
        ]
        for method, message, field_name in calls:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await method(message)
            assert error.value.code() is INVALID
            assert field_name in error.value.details()


@in_loop
async def test_an_unknown_circuit_is_not_found() -> None:
    async with northbound() as api:
        for call in (api.client.get_circuit, api.client.release_circuit):
            with pytest.raises(RequestRefused) as refused:
                await call(77)
            assert refused.value.code is NOT_FOUND
            assert refused.value.metadata == {"circuit_id": "77"}
        with pytest.raises(RequestRefused, match="no circuit 77"):
            await api.client.change_circuit(77, 1e6)


@in_loop
async def test_a_change_that_cannot_be_is_refused_and_changes_nothing() -> None:
    async with northbound() as api:
        response = await api.client.request_power(power_request("town", 2e6))
        circuit_id = response.circuits[0].circuit_id
        (before,) = await api.client.wait_until_active([circuit_id])
        for power_w, code, reason in (
            (0.0, INVALID, "POWER_TOO_SMALL"),
            (math.nan, INVALID, "POWER_NOT_FINITE"),
            (13e6, PRECONDITION, "LOAD_LIMIT_EXCEEDED"),
            (11.5e6, EXHAUSTED, "INSUFFICIENT_CAPACITY"),
        ):
            with pytest.raises(RequestRefused) as refused:
                await api.client.change_circuit(circuit_id, power_w)
            assert (refused.value.code, refused.value.reason) == (code, reason)
            assert refused.value.violations[0].field == "power_w"
        assert await api.client.get_circuit(circuit_id) == before
        api.reserved()


@in_loop
async def test_an_ended_circuit_cannot_be_changed() -> None:
    async with northbound() as api:
        response = await api.client.request_power(power_request("town", 2e6))
        circuit_id = response.circuits[0].circuit_id
        await api.client.release_circuit(circuit_id)
        with pytest.raises(RequestRefused) as refused:
            await api.client.change_circuit(circuit_id, 1e6)
        assert (refused.value.code, refused.value.reason) == (PRECONDITION, "CIRCUIT_ENDED")


@in_loop
async def test_nothing_is_known_before_routers_connect() -> None:
    async with northbound(connected=False) as api:
        with pytest.raises(RequestRefused) as refused:
            await api.client.request_power(power_request("town", 1e6))
        assert refused.value.reason == "UNKNOWN_ID"


@in_loop
async def test_a_sink_whose_router_is_away_is_refused_until_it_is_back() -> None:
    async with northbound() as api:
        api.runtime.detach("r4")
        with pytest.raises(RequestRefused) as refused:
            await api.client.request_power(power_request("town", 1e6))
        assert (refused.value.code, refused.value.reason) == (
            *(PRECONDITION, "ROUTER_NOT_CONNECTED"),
        )
        assert api.reserved() == {}
        api.grid.connect("r4")
        assert (await api.client.request_power(power_request("town", 1e6))).circuits


@in_loop
async def test_bytes_that_are_no_message_are_refused() -> None:
    async with northbound() as api:
        call = api.channel.unary_unary("/digitalgrid.v1.PowerService/RequestPower")
        for data in (b"\xff\xff\xff", b"\x0a\x05abc"):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(data)
            assert error.value.code() is INVALID
        assert api.reserved() == {}


@in_loop
async def test_refusals_carry_the_details_of_their_kind() -> None:
    async with northbound() as api:
        kinds = {
            "zero power": (details.ErrorInfo, details.BadRequest),
            "more than the load takes": (
                *(details.ErrorInfo, details.BadRequest, details.PreconditionFailure),
            ),
            "more than any cut carries": (
                *(details.ErrorInfo, details.BadRequest, details.QuotaFailure),
            ),
        }
        for name, expected in kinds.items():
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await api.power.RequestPower(pb.RequestPowerRequest(request=BAD[name].request))
            status = await _status(error.value)
            assert [any_.TypeName() for any_ in status.details] == [
                kind.DESCRIPTOR.full_name for kind in expected
            ]
            info = details.ErrorInfo()
            status.details[0].Unpack(info)
            assert info.domain == "digitalgrid"


async def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    class Call:
        code = staticmethod(error.code)
        details = staticmethod(error.details)
        trailing_metadata = staticmethod(error.trailing_metadata)

    status: status_pb2.Status = rpc_status.from_call(Call)
    return status
