"""Each call that would change something leaves one entry in the audit log, however it is refused."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc
import pytest

from controller.computing.solver import SolverDied, SolverNotCompiled
from controller.core.access import MAY, Action, Role
from controller.core.circuits.records import AuditEntry
from controller.core.errors import Refusal
from controller.northbound.principals import RPCS
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import OperationsServiceStub
from digitalgrid.v1.power_link_pb2 import Place
from tests.support.northbound import Northbound, in_loop, northbound

# Longer than any name that is kept.
METADATA = (("digitalgrid-client", "alice" * 99),)
WHO = f"{('alice' * 99)[:128]} (ipv4:127.0.0.1:"
Send = Callable[[Northbound], Awaitable[object]]


def request(**fields: object) -> Send:
    message = pb.RequestPowerRequest(request=pb.PowerRequest(request_id="s", **fields))  # type: ignore[arg-type]
    return lambda api: api.power.RequestPower(message, metadata=METADATA)


def change(circuit_id: int, power_w: float) -> Send:
    message = pb.ChangeCircuitRequest(circuit_id=circuit_id, power_w=power_w)
    return lambda api: api.power.ChangeCircuit(message, metadata=METADATA)


def release(circuit_id: int) -> Send:
    message = pb.ReleaseCircuitRequest(circuit_id=circuit_id)
    return lambda api: api.power.ReleaseCircuit(message, metadata=METADATA)


def dispatch(load_id: str = "town", power_w: float = 1e6, **fields: object) -> Send:
    demand = pb.Demand(load_id=load_id, power_w=power_w)
    message = pb.DispatchRequest(request_id="s", demands=[demand], **fields)  # type: ignore[arg-type]
    return lambda api: api.optimisation.Dispatch(message, metadata=METADATA)


def reoptimise(**fields: object) -> Send:
    message = pb.ReoptimiseRequest(**fields)  # type: ignore[arg-type]
    return lambda api: api.optimisation.Reoptimise(message, metadata=METADATA)


def reconcile(router_ids: Sequence[str], *, dry_run: bool = False) -> Send:
    message = pb.ReconcileRequest(router_ids=router_ids, dry_run=dry_run)
    return lambda api: OperationsServiceStub(api.channel).Reconcile(message, metadata=METADATA)


def forget(router_id: str) -> Send:
    message = pb.ForgetRouterRequest(router_id=router_id)
    return lambda api: OperationsServiceStub(api.channel).ForgetRouter(message, metadata=METADATA)


def drain(id_: str, **fields: object) -> Send:
    message = pb.DrainRequest(id=id_, **fields)  # type: ignore[arg-type]
    return lambda api: OperationsServiceStub(api.channel).Drain(message, metadata=METADATA)


def undrain(id_: str) -> Send:
    message = pb.UndrainRequest(id=id_)
    return lambda api: OperationsServiceStub(api.channel).Undrain(message, metadata=METADATA)


def place(router_id: str, **at: float) -> Send:
    message = pb.PlaceRoutersRequest(places=[pb.RouterPlace(router_id=router_id, at=Place(**at))])
    return lambda api: OperationsServiceStub(api.channel).PlaceRouters(message, metadata=METADATA)


@dataclass(frozen=True)
class Refused:
    send: Send
    action: str
    reason: Reason
    subject: str = "s"


REFUSED = [
    Refused(
        lambda api: api.power.RequestPower(pb.RequestPowerRequest(), metadata=METADATA),
        *("request", Reason.REQUEST_MISSING, ""),
    ),
    Refused(request(sink_id="town", power_w=float("nan")), "request", Reason.POWER_NOT_FINITE),
    Refused(request(sink_id="x" * 999, power_w=1e6), "request", Reason.ID_TOO_LONG),
    Refused(request(sink_id="nowhere", power_w=1e6), "request", Reason.UNKNOWN_ID),
    Refused(request(sink_id="town", power_w=9e9), "request", Reason.LOAD_LIMIT_EXCEEDED),
    Refused(
        lambda api: api.power.BatchRequestPower(
            pb.BatchRequestPowerRequest(requests=[pb.PowerRequest()] * 1025), metadata=METADATA
        ),
        *("request", Reason.BATCH_TOO_LARGE, ""),
    ),
    Refused(change(0, 1e6), "change", Reason.CIRCUIT_ID_MISSING, "0"),
    Refused(change(1, float("inf")), "change", Reason.POWER_NOT_FINITE, "1"),
    Refused(change(1, 9e9), "change", Reason.LOAD_LIMIT_EXCEEDED, "1"),
    Refused(change(99, 1e6), "change", Reason.UNKNOWN_CIRCUIT, "99"),
    Refused(release(0), "release", Reason.CIRCUIT_ID_MISSING, "0"),
    Refused(release(99), "release", Reason.UNKNOWN_CIRCUIT, "99"),
    Refused(dispatch("nowhere"), "dispatch", Reason.UNKNOWN_ID),
    Refused(dispatch(power_w=9e9), "dispatch", Reason.LOAD_LIMIT_EXCEEDED),
    Refused(dispatch(admission=7), "dispatch", Reason.ADMISSION_MODE_UNKNOWN),
    Refused(
        dispatch(objective=pb.Objective(toll_share=-1.0)),
        *("dispatch", Reason.OBJECTIVE_OUT_OF_RANGE),
    ),
    Refused(reoptimise(least_gain_fraction=2.0), "reoptimise", Reason.FRACTION_OUT_OF_RANGE, ""),
    Refused(reconcile(["r9"]), "reconcile", Reason.UNKNOWN_ROUTER, "r9"),
    Refused(forget("r9"), "forget-router", Reason.UNKNOWN_ROUTER, "r9"),
    Refused(forget("r1"), "forget-router", Reason.ROUTER_CONNECTED, "r1"),
    Refused(drain("r9"), "drain", Reason.UNKNOWN_ELEMENT, "r9"),
    Refused(drain(""), "drain", Reason.UNKNOWN_ELEMENT, ""),
    Refused(drain("r4"), "drain", Reason.DRAIN_WITHOUT_END, "r4"),
    Refused(drain("r1", give_up_after_ns=-1), "drain", Reason.DURATION_OUT_OF_RANGE, "r1"),
    Refused(drain("r1", give_up_after_ns=2**62), "drain", Reason.DURATION_OUT_OF_RANGE, "r1"),
    Refused(drain("r1", give_up_after_ns=1, keep=True), "drain", Reason.KEEP_OR_GIVE_UP, "r1"),
    Refused(undrain("r9"), "undrain", Reason.UNKNOWN_ELEMENT, "r9"),
    Refused(undrain("r1"), "undrain", Reason.NOT_DRAINED, "r1"),
    Refused(place("r9"), "place", Reason.UNKNOWN_ROUTER, "r9"),
    Refused(place("r1", x=2e9), "place", Reason.PLACE_OUT_OF_RANGE, ""),
    Refused(place("r1", y=float("nan")), "place", Reason.PLACE_OUT_OF_RANGE, ""),
]


def entries(api: Northbound) -> list[AuditEntry]:
    return [entry for change in api.store.changes for entry in change.audit]


async def refused(api: Northbound, send: Send) -> list[AuditEntry]:
    """The entries that a call leaves which is refused."""
    before = len(entries(api))
    with pytest.raises(grpc.aio.AioRpcError):
        await send(api)
    return entries(api)[before:]


@in_loop
async def test_each_refusal_leaves_exactly_one_entry_of_who_asked() -> None:
    async with northbound() as api:
        (circuit,) = (
            await api.client.request_power(pb.PowerRequest(sink_id="town", power_w=1e6))
        ).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        for case in REFUSED:
            (entry,) = await refused(api, case.send)
            assert (entry.action, entry.subject) == (case.action, case.subject), case
            assert entry.decided == "refused"
            assert entry.why.startswith(f"{case.reason}: "), case
            assert entry.who.startswith(WHO)
            assert (entry.roles, entry.proven) == (("anyone",), False)


@in_loop
async def test_what_the_solver_does_not_answer_is_the_dispatch_of_who_asked() -> None:
    async with northbound() as api:
        created = await api.client.request_power(pb.PowerRequest(sink_id="town", power_w=1e6))
        await api.client.wait_until_active([each.circuit_id for each in created.circuits])
        raised: list[tuple[Callable[[], Exception], Reason]] = [
            (lambda: SolverDied("the worker was killed"), Reason.SOLVER_DIED),
            (lambda: SolverNotCompiled("it is interpreted"), Reason.NOT_COMPILED),
            (lambda: Refusal(Reason.NOT_CONVERGED, "no plan"), Reason.NOT_CONVERGED),
        ]
        for error, reason in raised:

            async def fail(*_: object, error: Callable[[], Exception] = error) -> object:
                raise error()

            api.optimiser._solver.run = fail  # type: ignore[method-assign, assignment]
            for send, action, subject in (
                (dispatch(), "dispatch", "s"),
                (reoptimise(), "reoptimise", "all circuits"),
            ):
                (entry,) = await refused(api, send)
                assert (entry.action, entry.subject) == (action, subject)
                assert entry.who.startswith(WHO)
                assert entry.why.startswith(reason)


@in_loop
async def test_who_may_not_is_told_so_and_noted_once_whatever_he_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with northbound() as api:
        for action in Action:
            monkeypatch.setitem(MAY, action, frozenset({Role.ADMIN}))
        for send, action in (
            (request(sink_id="town", power_w=1e6), Action.REQUEST),
            (change(1, 1e6), Action.CHANGE),
            (release(1), Action.RELEASE),
            (dispatch(), Action.DISPATCH),
            (reoptimise(), Action.REOPTIMISE),
            (reconcile([]), Action.RECONCILE),
            (forget("r9"), Action.FORGET_ROUTER),
            (drain("r2"), Action.DRAIN),
            (undrain("r2"), Action.UNDRAIN),
        ):
            (entry,) = await refused(api, send)
            assert (entry.action, entry.why.split(":")[0]) == (action, Reason.NOT_ALLOWED)
        looks: list[Send] = [
            reconcile([], dry_run=True),
            lambda api: api.power.ListCircuits(pb.ListCircuitsRequest()),
            lambda api: api.power.ComputePower(
                pb.ComputePowerRequest(request=pb.PowerRequest(sink_id="town", power_w=1e6))
            ),
        ]
        for look in looks:
            assert await refused(api, look) == []


@in_loop
async def test_an_operators_reoptimisation_is_booked_as_his() -> None:
    async with northbound() as api:
        await reoptimise()(api)
        (entry,) = entries(api)
        assert (entry.action, entry.decided) == ("reoptimise", "done")
        assert entry.who.startswith(WHO)
        await reoptimise(dry_run=True)(api)
        assert len(entries(api)) == 1


def test_each_method_of_ours_says_what_it_does_and_no_other() -> None:
    services = pb.DESCRIPTOR.services_by_name.values()
    assert set(RPCS) == {
        f"/{service.full_name}/{method.name}" for service in services for method in service.methods
    }
    assert set(MAY) == set(Action)
