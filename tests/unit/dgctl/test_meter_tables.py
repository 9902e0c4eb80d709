"""Energy books, as people read them: what was injected is all found again."""

import io

from dgctl.tables import render
from digitalgrid.columns import parts_text
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import LinkMeter, LoadMeter, RouterMeters, SourceMeter

# Of 100 J that r1 sends, 4 J heat the line, 1 J was lost to a fault, and 20 J have not arrived yet.
BOOKS = [
    RouterMeters(
        router_id="r1",
        sources=[SourceMeter(source_id="pv", injected_mj=110_000)],
        links=[LinkMeter(link_id="r1-r2", sent_mj=100_000, line_loss_mj=4_000)],
        converter_loss_mj=7_000,
        buffered_mj=3_000,
    ),
    RouterMeters(
        router_id="r2",
        loads=[LoadMeter(load_id="town", delivered_mj=70_000)],
        links=[LinkMeter(link_id="r1-r2", received_mj=75_000, lost_to_faults_mj=1_000)],
        converter_loss_mj=5_000,
    ),
]


def shown(*silent: str) -> list[str]:
    answer = pb.ReadAllMetersResponse(meters=BOOKS, missing_router_ids=silent)
    return parts_text(render(answer), io.StringIO()).splitlines()


def test_what_is_under_way_completes_the_row_of_sums() -> None:
    lines = shown()
    (sums,) = (line.split() for line in lines if line.startswith("all"))
    injected, *found = (float(each) for each in sums[1:-1:2])
    (under_way,) = (line for line in lines if line.startswith("under way"))
    assert injected == sum(found) + float(under_way.split()[-2]) == 110


def test_while_somebody_did_not_answer_nothing_can_be_said_of_what_is_under_way() -> None:
    assert not any(line.startswith("under way") for line in shown("r3"))


def test_when_meters_were_read_is_said_by_the_clocks_of_those_routers_that_have_one() -> None:
    assert not any("read at" in line for line in shown())
    first, second = RouterMeters(), RouterMeters()
    first.CopyFrom(BOOKS[0])
    second.CopyFrom(BOOKS[1])
    first.time_unix_ns, second.time_unix_ns = 1_700_000_000_125_000_000, 1_700_000_000_250_000_000
    answer = pb.ReadAllMetersResponse(meters=[second, first])
    lines = parts_text(render(answer), io.StringIO()).splitlines()
    assert [line for line in lines if "read at" in line] == [
        "read at 2023-11-14 22:13:20.125 UTC to 2023-11-14 22:13:20.250 UTC, by routers' own clocks"
    ]
