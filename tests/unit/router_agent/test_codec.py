"""Answers that are larger than a message come in parts, and are put together again."""

from typing import Any

import pytest

from controller.southbound import parts
from controller.southbound.parts import Parts
from controller.southbound.violation import Violation
from digitalgrid.model import ElectionId, HopSnapshot, Operation, StandbyPool
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.codec import meters_reply, table_to_pb
from router_agent.device.circuit_table import CircuitTable
from router_agent.device.mutation import Mutation

LARGEST_MESSAGE_BYTES = 4 << 20


def table_of(circuits: int) -> CircuitTable:
    table = CircuitTable(lambda _: True, ["s" * 64], ["l" * 64])
    hops = tuple(
        HopSnapshot(
            2**63 + number, 2**60, 2**60, 1.5, 1.5, 1.5, 1.5, "s" * 64, egress_link_id="e" * 64
        )
        for number in range(circuits)
    )
    pools = tuple(StandbyPool(f"line{number}", 1e6) for number in range(3))
    for operation in (Operation.STAGE, Operation.COMMIT):
        order = Mutation(operation, "c", ElectionId(0, 1), 1, hops, 10**9, pools=pools)
        table.apply(order, 0)
    return table


def meters_of(circuits: int) -> power_link_pb.RouterMeters:
    largest = 2**63 - 1
    return power_link_pb.RouterMeters(
        router_id="r1",
        boot_id=7,
        dissipated_mj=5,
        links=[power_link_pb.LinkMeter(link_id="ab", sent_mj=3)],
        circuits=[
            power_link_pb.CircuitMeter(
                circuit_id=2**63 + number,
                generation=largest,
                injected_mj=largest,
                delivered_mj=largest,
                missed_ticks=largest,
                sent_mj=largest,
                line_loss_mj=largest,
            )
            for number in range(circuits)
        ],
    )


def joined(kind: str, messages: list[Any], records: Any) -> Any:
    together: Parts[Any] = Parts(kind)
    (*waiting, whole) = [together.add(each, records(each)) for each in messages]
    assert not any(waiting)
    return whole


@pytest.mark.parametrize(("circuits", "messages"), [(0, 1), (10_000, 1), (25_000, 3)])
def test_a_table_of_any_size_comes_in_messages_that_grpc_takes(
    circuits: int, messages: int
) -> None:
    table = table_of(circuits)
    parts_of = list(table_to_pb(table, pb.ReadTable(read_id=4, in_parts=True)))
    assert len(parts_of) == messages
    assert all(each.ByteSize() < LARGEST_MESSAGE_BYTES for each in parts_of)
    (alone,) = table_to_pb(table, pb.ReadTable(read_id=4))
    whole = joined("table", parts_of, lambda each: len(each.hops))
    assert whole.hops == alone.hops and whole.table_version == alone.table_version
    assert whole.read_id == 4
    assert whole.pools == alone.pools and len(whole.pools) == 3


@pytest.mark.parametrize(("circuits", "messages"), [(0, 1), (15_000, 1), (40_000, 3)])
def test_meters_of_any_number_of_circuits_come_in_messages_that_grpc_takes(
    circuits: int, messages: int
) -> None:
    alone = meters_of(circuits)
    replies = list(meters_reply(meters_of(circuits), pb.ReadMeters(read_id=4, in_parts=True)))
    assert len(replies) == messages
    assert all(each.ByteSize() < LARGEST_MESSAGE_BYTES for each in replies)
    whole = joined("meters", replies, lambda each: len(each.meters.circuits))
    assert whole.meters == alone
    (old,) = meters_reply(meters_of(circuits), pb.ReadMeters(read_id=4))
    assert old.meters == alone and not old.more


def test_an_answer_that_another_interrupts_counts_for_nothing() -> None:
    together: Parts[pb.CircuitTable] = Parts("table")
    hop = pb.HopSnapshot(circuit_id=1)
    assert together.add(pb.CircuitTable(read_id=1, hops=[hop], more=True), 1) is None
    whole = together.add(pb.CircuitTable(read_id=2), 0)
    assert whole is not None and not whole.hops


def test_an_answer_without_end_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_RECORDS", 10)
    together: Parts[pb.CircuitTable] = Parts("table")
    with pytest.raises(Violation, match="more than 10 hops or meters"):
        for _ in range(20):
            together.add(pb.CircuitTable(read_id=1, more=True), 1)
