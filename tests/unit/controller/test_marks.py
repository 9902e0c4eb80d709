"""Marks: what makes one, what does not, and how many are kept."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.curtailed import Curtailed
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState, LinkView
from controller.core.network.view import GridView, RouterView
from controller.watching.marks import (
    KEPT_MS,
    MOST_KEPT,
    CircuitWatch,
    Kind,
    Marks,
    ViewWatch,
    chosen,
)
from digitalgrid.model import DownCause, MissingEnergy
from digitalgrid.units import NS_PER_S

CURTAILED = Curtailed("source solar", 0, 2e6, 1e6)


def circuit(circuit_id: int = 7, state: CircuitState = CircuitState.ACTIVE) -> Circuit:
    made = Circuit(circuit_id, "lunch", "town", (), Constraints(), power_w=2e6, priority=0)
    made.state = state
    return made


def kinds(marks: Marks) -> list[str]:
    return [mark.kind.word for mark in marks.after(0)]


def no_clock() -> int:
    raise AssertionError("nobody asks for the time where there is nothing to note")


@pytest.mark.parametrize(
    "state",
    [
        each
        for each in CircuitState
        if each.name not in ("WAITING", "REROUTING", "DEGRADED", "FAILED")
    ],
)
def test_a_circuit_that_is_as_it_should_be_makes_no_mark(state: CircuitState) -> None:
    assert not CircuitWatch(Marks()).look(circuit(state=state), no_clock)


def test_a_circuit_makes_one_mark_of_what_it_is_however_often_it_is_shown() -> None:
    marks = Marks()
    watch = CircuitWatch(marks)
    shown = circuit(state=CircuitState.WAITING)
    shown.reason = "waits: held up by r1-r2"
    for _ in range(3):
        watch.look(shown, lambda: 5)
    shown.curtailed = CURTAILED
    shown.state, shown.reason = CircuitState.DEGRADED, str(CURTAILED)
    for _ in range(3):
        watch.look(shown, lambda: 6)
    shown.state, shown.curtailed = CircuitState.ACTIVE, None
    watch.look(shown, lambda: 7)
    assert kinds(marks) == ["circuit_waiting", "circuit_curtailed", "circuit_whole"]
    assert marks.after(0)[0].text == "circuit 7 to town waits: held up by r1-r2"
    assert marks.after(0)[2].text == "circuit 7 to town has all of 2 MW again, after 7 ms"
    assert not watch.look(shown, no_clock)


def test_a_circuit_is_whole_once_its_load_has_its_power_and_says_how_long_it_was_not() -> None:
    marks = Marks()
    watch = CircuitWatch(marks)
    shown = circuit(state=CircuitState.DEGRADED)
    shown.curtailed = Curtailed("source solar", 100 * NS_PER_S, 2e6, 1e6)
    # What it had lacked before is not of this time; a fault within it is.
    shown.missing = {"r4": MissingEnergy(10**11, fault_mj=10**9, curtailment_mj=4 * 10**9)}
    watch.look(shown, lambda: 100_001)
    shown.curtailed = Curtailed("what other sources have left", 105 * NS_PER_S, 2e6, 1.5e6)
    watch.look(shown, lambda: 105_000)
    # Nobody withholds anything any more, and it is still on its way.
    shown.curtailed = None
    for shown.state in (CircuitState.DEGRADED, CircuitState.REROUTING):
        watch.look(shown, lambda: 112_000)
    assert kinds(marks) == ["circuit_curtailed"]
    shown.state = CircuitState.ACTIVE
    shown.missing = {"r4": MissingEnergy(10**12, fault_mj=7 * 10**9, curtailment_mj=9 * 10**9)}
    watch.look(shown, lambda: 112_300)
    assert marks.after(1)[0].text == (
        "circuit 7 to town has all of 2 MW again, after 12.3 s in which it lacked 11 MJ"
    )
    assert not watch.look(shown, no_clock)


def test_a_circuit_is_not_whole_before_its_sink_has_told_of_a_short_cloud() -> None:
    marks = Marks()
    watch = CircuitWatch(marks)
    shown = circuit(state=CircuitState.DEGRADED)
    shown.curtail(CURTAILED)
    watch.look(shown, lambda: 5)
    shown.curtail(None)
    # That nobody withholds anything is known before the sink's word that it has less.
    for shown.state in (CircuitState.ACTIVE, CircuitState.DEGRADED):
        watch.look(shown, lambda: 900)
    assert kinds(marks) == ["circuit_curtailed", "circuit_starved"]
    shown.state, shown.withheld = CircuitState.ACTIVE, None
    watch.look(shown, lambda: 1_500)
    assert kinds(marks) == ["circuit_curtailed", "circuit_starved", "circuit_whole"]


def test_whoever_was_curtailed_and_has_to_wait_is_not_whole() -> None:
    marks = Marks()
    watch = CircuitWatch(marks)
    shown = circuit(state=CircuitState.DEGRADED)
    shown.curtailed = CURTAILED
    watch.look(shown, lambda: 5)
    shown.curtailed, shown.state = None, CircuitState.WAITING
    watch.look(shown, lambda: 6)
    shown.state = CircuitState.ACTIVE
    watch.look(shown, lambda: 7)
    assert kinds(marks) == ["circuit_curtailed", "circuit_waiting"]


def test_how_it_is_when_another_state_becomes_true_is_no_news() -> None:
    marks = Marks()
    watch = CircuitWatch(marks)
    waiting = circuit(state=CircuitState.WAITING)
    watch.begin([waiting, circuit(8)])
    assert not watch.look(waiting, lambda: 5)
    waiting.state = CircuitState.REROUTING
    watch.look(waiting, lambda: 6)
    waiting.state = CircuitState.FAILED
    watch.look(waiting, lambda: 7)
    assert kinds(marks) == ["circuit_failed"]


def test_a_mark_of_a_line_says_why_it_is_down() -> None:
    marks = Marks()
    downs: Counter[DownCause] = Counter()
    watch = ViewWatch(marks, downs)
    both = (DownCause.CARRIER_LOST, DownCause.CARRIER_LOST)
    up = view(LinkState.UP)
    watch.look(up, 5)
    watch.look(
        replace(up, links={"r1-r2": replace(up.links["r1-r2"], state=LinkState.DOWN, down=both)}), 6
    )
    assert [mark.text for mark in marks.after(0)] == ["line r1-r2 is down: no carrier"]
    assert downs == {DownCause.CARRIER_LOST: 1}


def test_what_is_taken_out_of_service_first_may_go_without_an_alarm() -> None:
    marks = Marks()
    watch = ViewWatch(marks, Counter())
    drained = view(LinkState.UP).with_admin(["r1"], AdminState.DRAINED)
    watch.look(drained, 5)
    watch.look(view(LinkState.DOWN, heard=False).with_admin(["r1"], AdminState.DRAINED), 6)
    watch.look(drained, 7)
    assert kinds(marks) == ["link_off", "router_off", "link_up", "router_back"]
    assert marks.newest_alarm == 0


@pytest.mark.parametrize("id_", ["r1", "r1-r2"])
def test_what_goes_while_it_is_still_being_drained_may_have_carried_power(id_: str) -> None:
    marks = Marks()
    watch = ViewWatch(marks, Counter())
    watch.look(view(LinkState.UP).with_admin([id_], AdminState.DRAINING), 5)
    watch.look(view(LinkState.DOWN, heard=False).with_admin([id_], AdminState.DRAINING), 6)
    assert kinds(marks) == ["link_down", "router_gone"]
    assert marks.newest_alarm == 2


@pytest.mark.parametrize(
    ("id_", "away"), [("r1", ["link_down", "router_gone"]), ("r1-r2", ["link_down"])]
)
def test_what_is_still_away_when_its_drain_ends_raises_an_alarm(id_: str, away: list[str]) -> None:
    marks = Marks()
    downs: Counter[DownCause] = Counter()
    watch = ViewWatch(marks, downs)
    heard = id_ != "r1"
    for at, (state, admin) in enumerate(
        (
            (LinkState.UP, AdminState.IN_SERVICE),
            (LinkState.UP, AdminState.DRAINING),
            (LinkState.UP, AdminState.DRAINED),
            (LinkState.DOWN, AdminState.DRAINED),
        )
    ):
        watch.look(view(state, heard=heard or state is LinkState.UP).with_admin([id_], admin), at)
    assert marks.newest_alarm == 0
    off = marks.newest
    watch.look(view(LinkState.DOWN, heard=heard), 8)
    since = [mark.kind.word for mark in marks.after(off)]
    assert sorted(since) == sorted(["in_service", *away])
    assert since.index("in_service") < since.index(away[-1])
    assert marks.newest_alarm == marks.newest
    assert downs.total() == 1
    watch.look(view(LinkState.DOWN, heard=heard, version=2), 9)
    watch.look(view(LinkState.UP), 10)
    back = [mark.kind.word for mark in marks.after(off + len(since))]
    assert back == ["link_up", "router_back"][: len(away)]


def test_a_drain_that_is_given_up_says_nothing_anew_of_what_went_meanwhile() -> None:
    marks = Marks()
    watch = ViewWatch(marks, Counter())
    watch.look(view(LinkState.UP).with_admin(["r1-r2"], AdminState.DRAINING), 5)
    watch.look(view(LinkState.DOWN).with_admin(["r1-r2"], AdminState.DRAINING), 6)
    watch.look(view(LinkState.DOWN), 7)
    assert kinds(marks) == ["link_down", "in_service"]


def test_what_is_drained_and_then_taken_away_for_good_is_not_missed() -> None:
    marks = Marks()
    watch = ViewWatch(marks, Counter())
    watch.look(view(LinkState.UP).with_admin(["r1"], AdminState.DRAINED), 5)
    watch.look(view(LinkState.DOWN, heard=False).with_admin(["r1"], AdminState.DRAINED), 6)
    watch.look(GridView(2), 7)
    assert kinds(marks) == ["link_off", "router_off"]


def view(state: LinkState, *, heard: bool = True, version: int = 1) -> GridView:
    link = LinkView("r1-r2", "r1", "r2", 0.4, 20e3, 300.0, 0.0, state)
    return GridView(version, {"r1": RouterView("r1", 0.97, 1, heard)}, {"r1-r2": link})


def test_what_comes_up_for_the_first_time_is_no_news_and_what_comes_back_is() -> None:
    marks = Marks()
    downs: Counter[DownCause] = Counter()
    watch = ViewWatch(marks, downs)
    for state, heard in (
        (LinkState.UNKNOWN, False),
        (LinkState.UP, True),
        (LinkState.DOWN, True),
        (LinkState.UNKNOWN, False),
        (LinkState.UP, True),
    ):
        watch.look(view(state, heard=heard), 5)
    assert kinds(marks) == ["link_down", "router_gone", "link_up", "router_back"]
    assert downs == {DownCause.UNKNOWN: 1}
    # The same view again costs nothing, and one that only says other figures says nothing.
    same = view(LinkState.UP)
    watch.look(same, 6)
    watch.look(same, 6)
    watch.look(replace(same, version=9), 6)
    assert len(kinds(marks)) == 4


@given(st.lists(st.integers(0, 2 * KEPT_MS), max_size=40), st.integers(0, 40))
def test_marks_are_kept_for_so_long_in_order(times: list[int], after: int) -> None:
    marks = Marks()
    for at_unix_ms in sorted(times):
        marks.add(at_unix_ms, Kind.LINK_DOWN, "l", "line l is down")
    kept = marks.after(0)
    assert [mark.n for mark in kept] == list(range(marks.newest - len(kept) + 1, marks.newest + 1))
    assert all(mark.at_unix_ms >= max(times) - KEPT_MS for mark in kept)
    assert marks.after(after) == [mark for mark in kept if mark.n > after]
    for at_unix_ms in times:
        since = marks.after(marks.since(at_unix_ms))
        assert since == [mark for mark in kept if mark.at_unix_ms >= at_unix_ms]


def test_no_more_are_kept_than_there_is_room_for() -> None:
    marks = Marks()
    for number in range(MOST_KEPT + 10):
        marks.add(1, Kind.CIRCUIT_WAITING, str(number), "")
    assert len(marks.after(0)) == MOST_KEPT
    assert marks.after(marks.newest) == []
    assert [mark.id for mark in chosen(marks.after(0), {"circuit_waiting"}, {"20"})] == ["20"]
