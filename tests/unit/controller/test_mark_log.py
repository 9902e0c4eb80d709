"""What an operator acts on stands in the log: once, with ids in fields, and never as a flood."""

import logging

import pytest

from controller.watching.mark_log import MarkLog
from controller.watching.marks import Kind, Marks
from digitalgrid.units import NS_PER_S


def about(circuit_id: int) -> dict[str, str]:
    return {"request_id": f"req-{circuit_id}", "trace_id": "ab" * 16}


def test_each_mark_is_logged_once_with_its_ids_in_fields(caplog: pytest.LogCaptureFixture) -> None:
    marks, log = Marks(), MarkLog(about)
    marks.add(1, Kind.LINK_DOWN, "r1-r2", "line r1-r2 is down")
    marks.add(1, Kind.CIRCUIT_WAITING, "7", "circuit 7 waits")
    marks.add(1, Kind.LEADER_CHANGED, "controller", "this controller leads")
    with caplog.at_level(logging.INFO):
        log.note(marks.after(log.newest), 0)
        log.note(marks.after(log.newest), 0)
    down, waits, leads = caplog.records
    assert (down.levelname, down.message) == ("ERROR", "line r1-r2 is down")
    assert (vars(down)["mark"], vars(down)["link_id"]) == ("link_down", "r1-r2")
    assert [vars(waits)[key] for key in ("circuit_id", "request_id")] == [7, "req-7"]
    assert vars(waits)["trace_id"] == "ab" * 16
    # Each that begins to lead says so, and that is no trouble.
    assert leads.levelname == "INFO"


def test_a_storm_leaves_a_few_lines_of_each_kind_and_says_how_many_more_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    marks, log = Marks(), MarkLog(about)
    with caplog.at_level(logging.INFO):
        for circuit_id in range(2_000):
            marks.add(1, Kind.CIRCUIT_WAITING, str(circuit_id), f"circuit {circuit_id} waits")
            log.note(marks.after(log.newest), 0)
        # Another kind is not crowded out.
        marks.add(1, Kind.LINK_DOWN, "r1-r2", "line r1-r2 is down")
        log.note(marks.after(log.newest), 0)
        marks.add(1, Kind.CIRCUIT_WAITING, "1", "circuit 1 waits")
        log.note(marks.after(log.newest), NS_PER_S)
    assert [each.message for each in caplog.records[19:21]] == [
        "circuit 19 waits",
        "line r1-r2 is down",
    ]
    assert "(1980 like it before were not logged" in caplog.records[-1].message
    assert len(caplog.records) == 22
