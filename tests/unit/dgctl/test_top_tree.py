"""The tree of ``dgctl top``: what hangs below what, and which of its rows are on the screen."""

import os

from dgctl.top_screen import Known, Look
from dgctl.top_tree import Tree
from digitalgrid.v1 import northbound_pb2 as pb
from tests.unit.dgctl.test_top_screen import press, shown

HEAD = "source, circuit, hop state power load loss reason"
WAY = (
    pb.PathLink(
        link_id="l1", from_router_id="r1", to_router_id="r2", sent_w=1.9e6, received_w=1.8e6
    ),
    pb.PathLink(
        link_id="l2", from_router_id="r2", to_router_id="r3", sent_w=1.7e6, received_w=1.7e6
    ),
)


def circuit(number: int, source_id: str = "sun", **more: object) -> pb.Circuit:
    made = pb.Circuit(
        circuit_id=number,
        state=pb.CIRCUIT_STATE_ACTIVE,
        source_id=source_id,
        sink_id=f"load{number}",
        power_w=1.6e6,
        injected_w=2e6,
        loss_fraction=0.2,
        links=WAY,
    )
    made.MergeFrom(pb.Circuit(**more))  # type: ignore[arg-type]
    return made


def known(*circuits: pb.Circuit) -> Known:
    found = Known()
    for number, each in enumerate(circuits):
        found.take_circuit(number == 0, pb.WatchCircuitsResponse(circuit=each))
    found.take_circuit(False, pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()))
    links = [
        pb.LinkState(
            link_id="l1", up=True, ampacity_a=100, reserved_a_to_b_a=60, reserved_b_to_a_a=15
        ),
        pb.LinkState(link_id="l2", ampacity_a=100, down_text="r3 sees no carrier"),
    ]
    sources = [
        pb.SourceState(source_id="sun", router_id="r1", reserved_w=4e6, max_power_w=5e6),
        pb.SourceState(source_id="wind", router_id="r4", max_power_w=3e6),
    ]
    found.take_topology(pb.Topology(links=links, sources=sources))
    return found


def tree(look: Look, of: Known, lines: int = 24) -> list[str]:
    """Its rows, as they stand on a screen."""
    text = shown(look, of, os.terminal_size((120, lines)))
    return text[text.index(HEAD) + 1 :]


def test_below_each_source_are_its_circuits_and_below_each_the_lines_of_its_way() -> None:
    look = Look()
    press(look, "x")
    waiting = pb.Circuit(
        circuit_id=9,
        state=pb.CIRCUIT_STATE_WAITING,
        sink_id="mill",
        power_w=3e6,
        reason="held up by l2",
    )
    assert tree(look, known(circuit(7), circuit(8), waiting)) == [
        "no source 0 W -",
        "9 to mill WAITING 3 MW 0.00 % held up by l2",
        "sun at r1 4 MW 80.00 % 20.00 %",
        "7 to load7 ACTIVE 1.6 MW 20.00 %",
        "r1 > r2 over l1 up 1.9 MW 75.00 % 5.26 %",
        "r2 > r3 over l2 down 1.7 MW 0.00 % 0.00 % r3 sees no carrier",
        "8 to load8 ACTIVE 1.6 MW 20.00 %",
        "r1 > r2 over l1 up 1.9 MW 75.00 % 5.26 %",
        "r2 > r3 over l2 down 1.7 MW 0.00 % 0.00 % r3 sees no carrier",
        "wind at r4 0 W 0.00 % -",
    ]
    press(look, "x")
    assert HEAD not in shown(look, known(circuit(7)))


def test_a_source_a_line_and_a_rating_that_nobody_has_told_of_are_no_end_of_it() -> None:
    look, of = Look(), known(circuit(7, links=[pb.PathLink(link_id="l9")]), circuit(8, "gone"))
    of.topology.sources[0].max_power_w = 0
    press(look, "x")
    rows = tree(look, of)
    assert rows[0] == "sun at r1 2 MW - 20.00 %"
    assert "> over l9 unknown 0 W - -" in rows
    assert "gone 2 MW 20.00 %" in rows


def test_it_is_filtered_and_sorted_as_circuits_are_and_escape_leaves_it() -> None:
    look = Look()
    of = known(circuit(7), circuit(8, "wind", power_w=1e3), circuit(9, power_w=9e6))
    press(look, "x", "s")
    circuits = [row.split()[0] for row in tree(look, of) if " to " in row]
    assert circuits == ["9", "7", "8"]
    press(look, "r")
    assert tree(look, of)[0].startswith("wind at r4")
    # Who filters sees no source that none of it hangs on.
    press(look, "/", *"sink=load9\r")
    rows = tree(look, of)
    assert [row.split()[0] for row in rows] == ["sun", "9", "r1", "r2"]
    press(look, "escape")
    assert HEAD not in shown(look, of)


def test_it_is_gone_through_to_the_end_and_no_further() -> None:
    look, of = Look(), known(*(circuit(number) for number in range(1, 21)))
    press(look, "x")
    first = tree(look, of, 12)
    press(look, "down", "down")
    assert tree(look, of, 12)[:2] == first[2:4]
    for _ in range(30):
        press(look, "page down")
        last = tree(look, of, 12)
    assert len(last) == len(first) and last[-1].startswith("wind")
    for _ in range(30):
        press(look, "page up")
        rows = tree(look, of, 12)
    assert rows == first


def test_of_any_part_of_it_the_rows_are_those_of_the_whole() -> None:
    circuits = [circuit(number, source) for number, source in enumerate("abbca", start=1)]
    whole = Tree(circuits, known().topology, with_idle=True)
    rows = list(whole.table(slice(0, len(whole)), "").lines(None, colours=False))[1:]
    assert len(rows) == len(whole) == 3 + 5 * 3 + 2
    for first in range(len(whole) + 1):
        part = list(whole.table(slice(first, first + 4), "").lines(None, colours=False))[1:]
        assert [row.split() for row in part] == [row.split() for row in rows[first : first + 4]]
