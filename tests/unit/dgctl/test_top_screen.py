"""The screen of ``dgctl top``: what stands where, and what keys do."""

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from dgctl.top_file import TopFile
from dgctl.top_screen import HELP, Known, Look
from digitalgrid.columns import parts_text
from digitalgrid.v1 import northbound_pb2 as pb

SIZE = os.terminal_size((120, 24))


def known() -> Known:
    found = Known()
    for circuit_id in range(1, 31):
        state = pb.CIRCUIT_STATE_WAITING if circuit_id == 17 else pb.CIRCUIT_STATE_ACTIVE
        circuit = pb.Circuit(
            circuit_id=circuit_id,
            state=state,
            sink_id=f"load{circuit_id}",
            power_w=circuit_id * 1e5,
            injected_w=circuit_id * 1.1e5,
        )
        found.take_circuit(circuit_id == 1, pb.WatchCircuitsResponse(circuit=circuit))
    found.take_circuit(False, pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()))
    links = [
        pb.LinkState(link_id=f"l{number}", up=number != 3, ampacity_a=100, reserved_a_to_b_a=number)
        for number in range(1, 97)
    ]
    late = pb.RouterState(router_id="r9", connected=True, late_ms=700)
    found.take_topology(pb.Topology(links=links, routers=[late]))
    return found


def shown(look: Look, of: Known, size: os.terminal_size = SIZE) -> list[str]:
    text = parts_text(look.parts(of, size), io.StringIO())
    return [" ".join(line.split()) for line in text.splitlines()]


def circuits(lines: list[str]) -> list[int]:
    head = next(number for number, line in enumerate(lines) if line.startswith("id state sink"))
    return [int(line.split()[0]) for line in lines[head + 1 :]]


def press(look: Look, *keys: str) -> None:
    for key in keys:
        assert look.press(key)


def test_all_is_there_at_a_glance_and_fits_the_screen() -> None:
    lines = shown(Look(), known())
    assert lines[0].startswith(
        "circuits 30: 29 ACTIVE 1 WAITING promised 46.5 MW, injected 51.15 MW"
    )
    assert lines[1].startswith("lines 96: 1 down, 2 full, 15 nearly routers 1: 0 gone, 1 late")
    by_load = lines.index("lines by load")
    assert [line.split()[0] for line in lines[by_load + 2 : by_load + 5]] == ["l3", "l96", "l95"]
    assert "1 routers late or gone" in lines
    assert circuits(lines)[:3] == [17, 1, 2]
    assert len(lines) <= SIZE.lines - 1


def test_circuits_are_filtered_by_what_is_typed_and_all_are_back_by_escape() -> None:
    look, of = Look(), known()
    press(look, "/", *"power>2.7MX", "\x7f")
    assert look.status() == "/power>2.7M_"
    press(look, *"W\r")
    assert circuits(shown(look, of)) == [28, 29, 30]
    press(look, "/", *"sink=load17", "\n")
    assert circuits(shown(look, of)) == [17]
    # While something is typed, keys are text; escape leaves things as they were.
    press(look, "/", "q", "s", "escape")
    assert circuits(shown(look, of)) == [17]
    press(look, "escape")
    assert circuits(shown(look, of))[0] == 17 and len(circuits(shown(look, of))) > 3


def test_a_filter_that_cannot_be_is_said_and_the_one_before_stays() -> None:
    look, of = Look(), known()
    press(look, "/", *"id=4", "\r", "/", *"size>3", "\r")
    assert "circuits have no column 'size'" in look.status()
    assert circuits(shown(look, of)) == [4]


def test_s_sorts_by_one_column_after_another_and_r_the_other_way_round() -> None:
    look, of = Look(), known()
    press(look, "s")
    assert circuits(shown(look, of))[:2] == [30, 29]
    press(look, "r")
    assert circuits(shown(look, of))[:2] == [1, 2]
    press(look, "r", *"s" * (len(TopFile().sorts()) - 1))
    assert circuits(shown(look, of))[0] == 17


def test_rows_are_gone_through_to_the_end_and_no_further() -> None:
    look, of = Look(), known()
    first = circuits(shown(look, of))
    press(look, "down")
    assert circuits(shown(look, of))[0] == first[1]
    press(look, *["page down"] * 20)
    assert circuits(shown(look, of))[-1] == 30
    press(look, *["page up"] * 20)
    assert circuits(shown(look, of)) == first


def test_the_keys_are_shown_and_q_leaves() -> None:
    look = Look()
    press(look, "?")
    assert set(shown(look, known())) >= {" ".join(line.split()) for line in HELP}
    assert look.press("q") is False


KEYS = ["s", "r", "x", "/", "?", "escape", "\r", "up", "down", "page down", "=", "1", "\x7f", ""]


@given(st.lists(st.sampled_from(KEYS), max_size=30), st.integers(1, 40))
def test_no_keys_and_no_size_break_it(keys: list[str], height: int) -> None:
    look, of = Look(), known()
    for key in keys:
        look.press(key)
        shown(look, of, os.terminal_size((40, height)))
        assert look.status()
