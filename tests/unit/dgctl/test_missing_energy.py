"""What a load lacked, as people read it."""

import io

from dgctl.tables import render, render_event
from digitalgrid.client import missing_ms
from digitalgrid.columns import parts_text
from digitalgrid.model import MissingCause
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2

LACKING = pb.Circuit(
    circuit_id=7,
    power_w=2e6,
    missing=power_link_pb2.MissingEnergy(
        promised_mj=9_000_000_000, start_mj=700_000_000, fault_mj=450_000_000
    ),
)
UNCOUNTED = pb.Circuit(circuit_id=8, power_w=2e6)


def text(message: pb.Circuit | pb.ListCircuitsResponse | pb.ReadAllMetersResponse) -> str:
    return parts_text(render(message), io.StringIO())


def test_it_is_told_in_time_of_the_promised_power_by_cause() -> None:
    assert missing_ms(LACKING) == {
        MissingCause.START: 350.0,
        MissingCause.FAULT: 225.0,
        MissingCause.MOVE: 0.0,
        MissingCause.CURTAILMENT: 0.0,
        MissingCause.REFUSED: 0.0,
    }
    shown = text(LACKING)
    assert "1.15 MJ of 9 MJ promised" in shown
    assert "start 350 ms, fault 225 ms" in shown
    (line,) = render_event(pb.WatchCircuitsResponse(circuit=LACKING))
    assert "missing: start 350 ms, fault 225 ms" in parts_text([line], io.StringIO())
    assert "575 ms" in text(pb.ListCircuitsResponse(circuits=[LACKING]))


def test_what_nobody_counts_is_shown_as_unknown() -> None:
    assert missing_ms(UNCOUNTED) is None
    assert "unknown" in text(UNCOUNTED)
    (line,) = render_event(pb.WatchCircuitsResponse(circuit=UNCOUNTED))
    assert "missing" not in parts_text([line], io.StringIO())


def test_meters_show_the_circuits_that_lack_most() -> None:
    promises = [
        power_link_pb2.PromiseMeter(
            circuit_id=number,
            missing=power_link_pb2.MissingEnergy(promised_mj=10**9, fault_mj=number * 1000),
        )
        for number in range(31)
    ]
    meters = power_link_pb2.RouterMeters(router_id="r4", promises=promises)
    shown = text(pb.ReadAllMetersResponse(meters=[meters]))
    assert "the first 20 of 30" in shown
    assert " 30 J" in shown and " 11 J" in shown and " 10 J" not in shown
    assert "missing at loads" not in text(pb.ReadAllMetersResponse())
