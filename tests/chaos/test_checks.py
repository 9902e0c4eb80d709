"""The checks of chaos find what they are there to find."""

from dataclasses import replace
from pathlib import Path

import pytest

from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot, Operation, ResultCode
from digitalgrid.v1 import northbound_pb2 as pb
from tests.chaos.checks import Findings, check_promises, stale_writes, unsettled
from tests.chaos.fleet import History, Mutated
from tests.chaos.grids import tight_grid
from tests.chaos.journal import Journal
from tests.chaos.killing_exchange import Killing, order_for
from tests.chaos.limits import Commitments
from tests.support.sagas import trade
from trading.core.trades import State
from trading.market.records import TradeRecord

REQUEST = pb.PowerRequest(request_id="q1", sink_id="load1a", power_w=50e3)


def circuit(**fields: object) -> pb.Circuit:
    """One of the request, whole and well."""
    link = pb.PathLink(
        link_id="r1-r2", from_router_id="r1", to_router_id="r2", sent_w=51e3, received_w=50.5e3
    )
    whole = pb.Circuit(
        circuit_id=1,
        request_id="q1",
        generation=1,
        state=pb.CIRCUIT_STATE_ACTIVE,
        source_id="source1",
        sink_id="load1a",
        router_ids=["r1", "r2"],
        links=[link],
        power_w=50e3,
        injected_w=52e3,
        admin_up=True,
    )
    for name, value in fields.items():
        if isinstance(value, list):
            whole.ClearField(name)  # type: ignore[arg-type]
            getattr(whole, name).extend(value)
        else:
            setattr(whole, name, value)
    return whole


@pytest.fixture
def journal() -> Journal:
    """Of one request that was acknowledged."""
    made = Journal()
    made.ask([REQUEST])
    made.acknowledge("q1", [circuit()], 0.0)
    return made


def found(journal: Journal, *circuits: pb.Circuit) -> Findings:
    findings = Findings()
    check_promises(journal, circuits, findings)
    return findings


def test_what_is_there_as_promised_is_right(journal: Journal) -> None:
    assert found(journal, circuit()).all() == []


@pytest.mark.parametrize(
    "circuits",
    [
        (),
        (circuit(power_w=40e3),),
        (circuit(state=pb.CIRCUIT_STATE_FAILED),),
        (circuit(admin_up=False, state=pb.CIRCUIT_STATE_WITHDRAWN),),
    ],
)
def test_a_promise_that_is_gone_or_another_is_lost(
    journal: Journal, circuits: tuple[pb.Circuit, ...]
) -> None:
    assert len(found(journal, *circuits).lost) == 1


def test_a_change_that_was_not_answered_may_be_made_or_not(journal: Journal) -> None:
    journal.promises[1].asked_w = 40e3
    assert found(journal, circuit(power_w=40e3)).lost == []
    assert found(journal, circuit()).lost == []
    assert len(found(journal, circuit(power_w=30e3)).lost) == 1


def test_a_release_that_was_acknowledged_must_not_come_back(journal: Journal) -> None:
    journal.promises[1].release_asked = True
    assert found(journal, circuit()).lost == []
    journal.promises[1].released = True
    assert len(found(journal, circuit()).lost) == 1
    assert found(journal).lost == []


def test_circuits_that_nobody_asked_for_or_that_are_part_of_a_request_are_torn(
    journal: Journal,
) -> None:
    assert len(found(journal, circuit(), circuit(circuit_id=2, request_id="q2")).torn) == 1
    journal.ask([pb.PowerRequest(request_id="q2", power_w=80e3)])
    part = circuit(circuit_id=2, request_id="q2")
    rest = circuit(circuit_id=3, request_id="q2", power_w=30e3)
    assert len(found(journal, circuit(), part).torn) == 1
    assert found(journal, circuit(), part, rest).torn == []


@pytest.mark.parametrize(
    "broken", [{"source_id": ""}, {"router_ids": ["r1", "r3"]}, {"injected_w": 49e3}]
)
def test_a_circuit_without_all_that_it_needs_is_torn(
    journal: Journal, broken: dict[str, object]
) -> None:
    assert len(found(journal, circuit(**broken)).torn) == 1


def test_routers_must_hold_what_the_controller_says_and_no_more() -> None:
    held = {("r1", CircuitGeneration(1, 1)), ("r2", CircuitGeneration(1, 1))}
    assert unsettled([circuit()], held) == []
    assert len(unsettled([circuit()], held - {("r2", CircuitGeneration(1, 1))})) == 1
    assert len(unsettled([circuit()], held | {("r3", CircuitGeneration(9, 1))})) == 1
    assert len(unsettled([circuit(state=pb.CIRCUIT_STATE_STAGING)], set())) == 1


def test_a_request_must_be_answered_alike_each_time(journal: Journal) -> None:
    journal.acknowledge("q1", [circuit()], 0.0)
    assert journal.faults == []
    journal.acknowledge("q1", [circuit(circuit_id=2)], 0.0)
    journal.refuse("q1")
    assert len(journal.faults) == 2


def test_a_mutation_of_a_leader_that_was_replaced_is_stale_if_it_was_accepted() -> None:
    old, new = ElectionId(1, 5), ElectionId(1, 9)
    early = Mutated(1.0, "r1", "old:1", old, old, Operation.STAGE, ResultCode.OK)
    late = replace(early, at_s=3.0)
    refused = replace(late, code=ResultCode.STALE_ELECTION_ID)
    by_the_new = replace(late, election_id=new)
    history = History([early, late, refused, by_the_new])
    assert list(stale_writes(history, {old: 0.5, new: 2.0})) == [late]


def test_what_exceeds_a_limit_is_noticed_when_it_is_committed() -> None:
    commitments = Commitments(tight_grid())

    def hop(circuit_id: int, generation: int, power_w: float) -> HopSnapshot:
        return HopSnapshot(
            circuit_id, generation, 1, power_w, power_w, power_w, power_w,
            source_id="source1", load_id="load1a",
        )  # fmt: skip

    assert commitments.add("r1", hop(1, 1, 150e3)) == []
    # Of two generations the larger counts.
    assert commitments.add("r1", hop(1, 2, 120e3)) == []
    (exceeded,) = commitments.add("r1", hop(2, 1, 60e3))
    assert "load load1a" in exceeded
    commitments.remove("r1", hop(2, 1, 60e3))
    assert commitments.add("r1", hop(3, 1, 50e3)) == []


def test_an_exchange_kills_when_a_trade_comes_to_the_state_that_it_waits_for(
    tmp_path: Path,
) -> None:
    held, holding = (
        TradeRecord(trade(state), 1, "call", 1) for state in (State.HELD, State.HOLDING)
    )
    path = tmp_path / "kills"
    assert order_for(path, [held]) is None
    order = Killing(State.HELD, victim=7, delay_s=0.5)
    order.write(path)
    assert order_for(path, [holding]) is None
    assert order_for(path, [holding, held]) == order
