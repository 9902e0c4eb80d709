"""OperationsService over real gRPC: tables are read, compared and repaired, and routers given up."""

import grpc
import pytest

from controller.core.circuits.records import AuditEntry
from controller.core.messages import CircuitTable, Commit, Stage
from controller.northbound import operations
from controller.store.protocol import AuditQuestion, StoreError
from digitalgrid.client import ControllerUnreachable, NotDrained, RequestRefused, power_request
from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import OperationsServiceStub
from tests.support.northbound import Northbound, in_loop, northbound, until
from tests.support.there import there

KEY = CircuitGeneration(1, 1)
ORPHAN = HopSnapshot(*(77, 1, 1, 1e6, 1.1e6, 1e6, 1e6), source_id="solar", load_id="pump")


async def reconcile(api: Northbound, *router_ids: str, dry_run: bool) -> pb.ReconcileResponse:
    stub = OperationsServiceStub(api.channel)
    answer: pb.ReconcileResponse = await stub.Reconcile(
        pb.ReconcileRequest(router_ids=router_ids, dry_run=dry_run)
    )
    return answer


async def make_circuit(api: Northbound) -> None:
    request = power_request("town", 2e6, source_ids=["solar"])
    (circuit,) = (await api.client.request_power(request)).circuits
    (circuit,) = await api.client.wait_until_active([circuit.circuit_id])
    assert list(circuit.router_ids) == ["r1", "r2", "r4"]


def starve_quietly(api: Northbound) -> None:
    """r2 loses its table, and the sink's router does not say so: that would have the route read back at once."""
    api.grid.simulated.routers["r4"].statuses = lambda: iter(())  # type: ignore[method-assign]
    api.grid.simulated.routers["r2"].start()


def run_orphan(api: Northbound) -> None:
    router = api.grid.simulated.routers["r1"]
    for message in (Stage(1, 2000, (ORPHAN,)), Commit(1)):
        router.apply(message, ElectionId(0, 1), 0)
    assert ("r1", ORPHAN.key) in api.grid.simulated.held()


def found(answer: pb.ReconcileResponse) -> dict[str, tuple[int | list[int], ...]]:
    """Of each router that answered: confirmed, missing, excess, different, lingering, by circuit."""
    return {
        each.router_id: (
            each.confirmed,
            *(
                [hop.circuit_id for hop in getattr(each, kind)]
                for kind in ("missing", "excess", "different", "lingering")
            ),
        )
        for each in answer.routers
    }


NOTHING: tuple[list[int], ...] = ([], [], [], [])


@in_loop
async def test_where_all_is_as_it_should_be_hops_are_counted() -> None:
    async with northbound() as api:
        await make_circuit(api)
        answer = await reconcile(api, dry_run=True)
        assert found(answer) == {
            "r1": (1, *NOTHING),
            "r2": (1, *NOTHING),
            "r3": (0, *NOTHING),
            "r4": (1, *NOTHING),
        }
        assert not answer.disconnected_router_ids and not answer.silent_router_ids


@in_loop
async def test_a_dry_run_shows_what_differs_and_changes_nothing() -> None:
    async with northbound() as api:
        await make_circuit(api)
        run_orphan(api)
        starve_quietly(api)
        held = api.grid.simulated.held()
        before = len(api.store.changes)
        for _ in range(2):
            answer = await reconcile(api, dry_run=True)
            assert found(answer)["r1"] == (1, [], [77], [], [])
            assert found(answer)["r2"] == (0, [1], [], [], [])
            assert api.grid.simulated.held() == held
        assert len(api.store.changes) == before


@in_loop
async def test_without_a_dry_run_it_is_repaired_and_noted() -> None:
    async with northbound() as api:
        await make_circuit(api)
        run_orphan(api)
        starve_quietly(api)
        await reconcile(api, dry_run=False)
        whole = {(router_id, KEY) for router_id in ("r1", "r2", "r4")}
        await until(lambda: api.grid.simulated.held() == whole)
        assert not any(any(each[1:]) for each in found(await reconcile(api, dry_run=True)).values())
        entries = [entry for change in api.store.changes for entry in change.audit]
        (entry,) = [each for each in entries if each.action == "reconcile"]
        assert (entry.subject, entry.asked) == ("all routers", "reconcile")


@in_loop
async def test_what_differs_is_told_in_words() -> None:
    async with northbound() as api:
        await make_circuit(api)
        router = api.grid.simulated.routers["r2"]
        right = there(router.hop(KEY))
        router.start()
        router.floors.clear()
        wrong = HopSnapshot(
            *KEY, 99, 3e6, 3.2e6, right.egress_power_w, right.received_power_w,
            ingress_link_id="r1-r2", load_id="works",
        )  # fmt: skip
        for message in (Stage(1, 2000, (wrong,)), Commit(1)):
            router.apply(message, ElectionId(0, 1), 0)
        answer = await reconcile(api, "r2", dry_run=True)
        (hop,) = answer.routers[0].different
        assert (hop.circuit_id, hop.generation) == KEY
        assert "admission_seq is 99 instead of 1" in hop.contrast
        assert "load_id is works instead of none" in hop.contrast
        assert "egress_link_id is none instead of r2-r4" in hop.contrast
        assert "received_power_w" not in hop.contrast


@in_loop
async def test_routers_that_are_away_or_silent_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "ANSWERS_WITHIN_S", 0.2)
    async with northbound() as api:
        await make_circuit(api)
        api.runtime.detach("r3")
        silent = api.grid.simulated.routers["r4"]
        silent.read = lambda *_: CircuitTable(1, 1, ())  # type: ignore[method-assign]
        answer = await reconcile(api, dry_run=True)
        assert list(answer.disconnected_router_ids) == ["r3"]
        assert list(answer.silent_router_ids) == ["r4"]
        assert set(found(answer)) == {"r1", "r2"}


@in_loop
async def test_a_router_that_nobody_knows_is_refused() -> None:
    async with northbound() as api:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reconcile(api, "r1", "r9", dry_run=True)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert "'r9'" in refused.value.details()


@in_loop
async def test_a_router_is_forgotten_once_it_is_gone_and_that_is_noted() -> None:
    async with northbound() as api:
        await make_circuit(api)
        stub = OperationsServiceStub(api.channel)
        ask = pb.ForgetRouterRequest(router_id="r2")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ForgetRouter(ask)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "is connected" in refused.value.details()

        api.runtime.detach("r2")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ForgetRouter(ask)
        assert "still carries power: 'r1' hears it over link 'r1-r2'" in refused.value.details()

        api.grid.simulated.routers["r2"].alive = False
        for link_id in ("r1-r2", "r2-r4"):
            api.grid.cut(link_id)
        assert (await stub.ForgetRouter(ask)).freed_hops == 1
        topology = await api.client.get_topology()
        assert "r2" not in {router.router_id for router in topology.routers}
        (circuit,) = (await api.client.list_circuits()).circuits
        (circuit,) = await api.client.wait_until_active([circuit.circuit_id])
        assert list(circuit.router_ids) == ["r1", "r3", "r4"]
        entries = [entry for change in api.store.changes for entry in change.audit]
        decided = [each.decided for each in entries if each.action == "forget-router"]
        assert decided == ["refused", "refused", "forgotten: 1 hops freed"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ForgetRouter(ask)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@in_loop
async def test_a_drained_link_is_shown_is_free_and_is_put_into_service_again() -> None:
    async with northbound() as api:
        await make_circuit(api)
        answer = await api.client.drain(
            pb.DrainRequest(id="r2-r4", emergency_use=True, curtail=True)
        )
        assert answer.changed and answer.word.emergency_use and answer.word.curtail
        assert answer.word.state == pb.ADMIN_STATE_DRAINING
        assert answer.word.give_up_unix_ns - answer.word.since_unix_ns == 600 * NS_PER_S
        await api.client.wait_until_drained("r2-r4")
        (circuit,) = (await api.client.list_circuits()).circuits
        assert (list(circuit.router_ids), circuit.interruptions) == (["r1", "r3", "r4"], 0)
        (link,) = [e for e in (await api.client.get_topology()).links if e.link_id == "r2-r4"]
        assert link.admin.state == pb.ADMIN_STATE_DRAINED
        assert not link.circuit_ids and not link.admin.blocks
        # Again changes nothing, and says so.
        again = await api.client.drain(pb.DrainRequest(id="r2-r4", keep=True))
        assert (again.changed, again.word) == (False, link.admin)
        await api.client.undrain("r2-r4")
        (link,) = [e for e in (await api.client.get_topology()).links if e.link_id == "r2-r4"]
        assert not link.HasField("admin")
        entries = [entry for change in api.store.changes for entry in change.audit]
        assert [(e.action, e.asked, e.decided) for e in entries if e.subject == "r2-r4"] == [
            ("drain", "drain, give up after 600 s, emergency use, curtail", "draining"),
            ("drain", "", "drained"),
            ("drain", "drain, keep", "drained already"),
            ("undrain", "undrain", "in service"),
        ]


@in_loop
async def test_who_is_in_the_way_of_a_drain_is_named_to_who_looks_and_to_who_waits() -> None:
    async with northbound() as api:
        await make_circuit(api)
        await api.client.drain(pb.DrainRequest(id="r4", keep=True))
        with pytest.raises(NotDrained) as error:
            await api.client.wait_until_drained("r4", timeout_s=0.3)
        assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        text = "its load 'town' is at r4"
        assert f"r4 is not drained after 0.3 s: circuit 1: {text}" in str(error.value)
        routers = (await api.client.get_topology()).routers
        (word,) = [each.admin for each in routers if each.router_id == "r4"]
        block = pb.DrainBlock(circuit_id=1, hindrance=pb.DRAIN_HINDRANCE_LOAD_THERE, text=text)
        assert (list(word.blocks), word.block_count, word.give_up_unix_ns) == ([block], 1, 0)
        await api.client.undrain("r4")
        with pytest.raises(NotDrained, match="r4 is in service"):
            await api.client.wait_until_drained("r4")


@in_loop
async def test_what_if_is_answered_by_the_worker_and_changes_nothing() -> None:
    async with northbound() as api:
        await make_circuit(api)
        held, changes = api.grid.simulated.held(), len(api.store.changes)
        answer = await api.client.what_if(pb.WhatIfRequest(cut_ids=["r2-r4"]))
        (found,) = answer.consequences
        assert (answer.circuits, found.circuit_id, found.outcome) == (1, 1, pb.OUTCOME_MOVES)
        assert list(found.to_router_ids) == ["r1", "r3", "r4"]
        assert found.loss_after > found.loss_before > 0.0
        (found,) = (await api.client.what_if(pb.WhatIfRequest(drain_ids=["r4"]))).consequences
        assert (found.outcome, found.text) == (pb.OUTCOME_STAYS, "its load 'town' is at r4")
        assert (api.grid.simulated.held(), len(api.store.changes)) == (held, changes)
        with pytest.raises(RequestRefused, match="'r9'") as refused:
            await api.client.what_if(pb.WhatIfRequest(cut_ids=["r9"]))
        assert refused.value.reason == "UNKNOWN_ELEMENT"


@in_loop
async def test_the_audit_log_is_read_by_subject_and_time_oldest_first() -> None:
    async with northbound() as api:
        await make_circuit(api)
        await api.client.release_circuit(1)
        everything = await api.client.read_audit()
        assert [each.action for each in everything[:2]] == ["request", "release"]
        about = await api.client.read_audit(["1"])
        assert about and {each.subject for each in about} == {"1"}
        assert await api.client.read_audit(newest=1) == everything[-1:]
        later = everything[1].at_unix_ns
        assert await api.client.read_audit(since_unix_ns=later) == [
            each for each in everything if each.at_unix_ns >= later
        ]
        # To look leaves no trace.
        assert await api.client.read_audit() == everything


@in_loop
async def test_an_audit_log_that_cannot_be_read_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with northbound() as api:

        def damaged(question: AuditQuestion) -> list[AuditEntry]:
            raise StoreError("c.sqlite: audit entry 7: its checksum is another")

        monkeypatch.setattr(api.store, "audit", damaged)
        with pytest.raises(ControllerUnreachable, match="audit entry 7") as error:
            await api.client.read_audit()
        assert error.value.reason == "AUDIT_UNREADABLE"
