"""The demonstration's arithmetic: it must notice a single millijoule."""

import asyncio

import pytest

from digitalgrid.v1 import northbound_pb2
from digitalgrid.v1 import power_link_pb2 as pb
from topologies.demo.books import add_up, powers_w
from topologies.demo.figures import Figures, LoadFigure, percentile
from topologies.demo.meters import whole_reading
from topologies.demo.missing import Lacking
from topologies.demo.scenario import all_leave


def two_routers() -> list[pb.RouterMeters]:
    """1000 mJ injected at a; 30 lost in its converter, 10 on the line, 29 at b, 931 delivered."""
    a = pb.RouterMeters(
        router_id="a",
        time_ns=1_000_000_000,
        converter_loss_mj=30,
        links=[pb.LinkMeter(link_id="a-b", sent_mj=970, line_loss_mj=10)],
        sources=[pb.SourceMeter(source_id="pv", injected_mj=1000)],
    )
    b = pb.RouterMeters(
        router_id="b",
        time_ns=1_000_000_000,
        converter_loss_mj=29,
        links=[pb.LinkMeter(link_id="a-b", received_mj=960)],
        loads=[pb.LoadMeter(load_id="town", delivered_mj=931)],
    )
    return [a, b]


def test_balanced_books() -> None:
    books = add_up(two_routers())
    assert books.conservation_error_mj == 0
    assert (books.injected_mj, books.delivered_mj) == (1000, 931)
    assert (books.converter_loss_mj, books.line_loss_mj) == (59, 10)


def test_a_millijoule_that_a_router_cannot_account_for_is_an_error() -> None:
    meters = two_routers()
    meters[1].loads[0].delivered_mj += 1
    assert add_up(meters).conservation_error_mj == 1


def test_errors_do_not_cancel() -> None:
    meters = two_routers()
    meters[0].converter_loss_mj += 1
    meters[1].converter_loss_mj -= 1
    assert add_up(meters).conservation_error_mj == 2


def test_a_millijoule_that_a_line_cannot_account_for_is_an_error() -> None:
    meters = two_routers()
    meters[1].links[0].received_mj -= 1
    meters[1].converter_loss_mj -= 1
    assert add_up(meters).conservation_error_mj == 1
    meters[1].links[0].lost_to_faults_mj = 1
    books = add_up(meters)
    assert books.conservation_error_mj == 0
    assert books.lost_to_faults_mj == 1


def test_energy_in_a_buffer_is_accounted_for() -> None:
    meters = two_routers()
    meters[1].loads[0].delivered_mj -= 100
    meters[1].buffered_mj = 100
    assert add_up(meters).conservation_error_mj == 0


def test_powers_are_means_by_each_router_s_own_clock() -> None:
    before, after = two_routers(), two_routers()
    after[1].time_ns += 2_000_000_000
    after[1].loads[0].delivered_mj += 4_000_000
    after[0].time_ns += 1_000_000_000
    after[0].sources[0].injected_mj += 3_000_000
    powers = powers_w(before, after)
    assert powers.delivered_w == {"town": 2000.0}
    assert powers.generated_w == {"pv": 3000.0}


def test_percentiles_are_nearest_rank() -> None:
    values = [float(each) for each in range(1, 101)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) is None


def test_what_was_not_measured_is_null_and_not_well() -> None:
    figures = Figures(backend="local", routers=9)
    document = figures.to_json()
    nothing = {"p50": None, "max": None}
    assert document["missing_ms"] == {"carrier": nothing, "silent": nothing, "move": nothing}
    assert document["first_packet_ms"] == {"carrier": nothing, "silent": nothing}
    assert document["conservation_error_mj"] is None
    assert "circuits_lost: not measured" in figures.shortcomings()


def test_a_load_that_gets_too_little_is_not_well() -> None:
    figures = Figures(loads=[LoadFigure("town", 1e6, 0.994e6), LoadFigure("farm", 1e6, 0.996e6)])
    assert [each for each in figures.shortcomings() if each.startswith("load")] == [
        "load town: 994000 W of 1000000 W"
    ]


def test_a_planned_move_that_costs_something_is_not_well() -> None:
    figures = Figures()
    figures.outages["move"].missing_ms = [0.0, 0.0004, 2.04]
    assert not [each for each in figures.shortcomings() if "move" in each]
    figures.outages["move"].missing_ms += [0.3, 0.3, 2.1]
    assert [each for each in figures.shortcomings() if "move" in each] == [
        "missing_ms move p50: 0.3, more than 0",
        "missing_ms move max: 2.1, more than 2",
    ]


def test_a_demonstration_that_drained_no_line_is_not_well() -> None:
    assert "drained: no line" in Figures().shortcomings()
    figures = Figures(drained="r1-r2")
    assert not [each for each in figures.shortcomings() if "drained" in each]
    assert figures.to_json()["drained"] == "r1-r2"


def test_a_line_that_nobody_uses_is_not_one_that_all_can_leave() -> None:
    moves = northbound_pb2.Consequence(outcome=northbound_pb2.OUTCOME_MOVES)
    waits = northbound_pb2.Consequence(outcome=northbound_pb2.OUTCOME_WAITS)
    assert all_leave([moves, moves])
    assert not all_leave([moves, waits])
    assert not all_leave([])


def test_what_circuits_lack_counts_from_one_reading_of_the_meters_to_the_next() -> None:
    def reading(start_mj: int, fault_mj: int, move_mj: int) -> Lacking:
        missing = pb.MissingEnergy(start_mj=start_mj, fault_mj=fault_mj, move_mj=move_mj)
        promise = pb.PromiseMeter(circuit_id=7, missing=missing)
        return Lacking.of([pb.RouterMeters(promises=[promise]), pb.RouterMeters()])

    before, after = reading(10, 500, 0), reading(400, 700, 30)
    assert after.since(before, 7, 2.0) == 115.0
    assert after.in_all(7, 2.0) == 365.0
    with pytest.raises(KeyError):
        after.since(before, 8, 2.0)
    with pytest.raises(KeyError):
        after.since(Lacking({}), 7, 2.0)


def test_what_was_not_read_twice_is_not_measured_rather_than_nothing() -> None:
    before, after = two_routers(), two_routers()
    for router in after:
        router.time_ns += 1_000_000_000
    assert powers_w(before[:1], after).delivered_w == {}
    assert powers_w(before, after[1:]).total_generated_w(["pv"]) is None
    assert powers_w(before, after).total_generated_w(["pv"]) == 0.0
    after[1].boot_id += 1
    assert powers_w(before, after).delivered_w == {}, "its counters began again"
    after[1].boot_id -= 1
    del before[1].loads[:]
    assert powers_w(before, after).delivered_w == {}, "a load that was not read at first"


def test_a_load_that_was_not_measured_is_not_well_and_not_in_a_sum() -> None:
    figures = Figures(loads=[LoadFigure("town", 1e6, 1e6), LoadFigure("farm", 1e6, None)])
    assert "load farm: not measured" in figures.shortcomings()
    assert "loads: not measured" in Figures().shortcomings()
    document = figures.to_json()
    assert document["requested_w"] == 2e6
    assert document["delivered_w"] is None


def test_a_whole_reading_waits_for_the_last_router_and_names_who_stays_silent() -> None:
    answers = [
        northbound_pb2.ReadAllMetersResponse(meters=two_routers()[:1], missing_router_ids=["b"]),
        northbound_pb2.ReadAllMetersResponse(meters=two_routers()),
    ]

    class Client:
        async def read_meters(self) -> northbound_pb2.ReadAllMetersResponse:
            return answers.pop(0) if len(answers) > 1 else answers[0]

    assert len(asyncio.run(whole_reading(Client(), 10.0))) == 2
    answers[0].missing_router_ids.append("c")
    with pytest.raises(TimeoutError, match="meters of c cannot be read"):
        asyncio.run(whole_reading(Client(), 0.0))
    answers[0] = northbound_pb2.ReadAllMetersResponse()
    with pytest.raises(TimeoutError, match="meters of all routers cannot be read"):
        asyncio.run(whole_reading(Client(), 0.0))
