"""The transition tables, every state with every event."""

from itertools import product

import pytest

from controller.core.circuits.circuit import (
    TRANSITIONS,
    Circuit,
    CircuitEvent,
    CircuitState,
    Constraints,
)
from controller.core.circuits.generation import (
    FIRST_PHASES,
    LAST_PHASES,
    PHASES,
    Generation,
    Phase,
    PhaseEvent,
)
from controller.core.circuits.route import Route
from controller.core.network.admin import (
    ADMIN_TRANSITIONS,
    AdminEvent,
    AdminState,
    AdminWords,
    DrainRecord,
)
from digitalgrid.model import CircuitGeneration


def circuit(state: CircuitState) -> Circuit:
    return Circuit(1, "request", "town", (), Constraints(), 1e6, state=state)


@pytest.mark.parametrize(("state", "event"), list(product(CircuitState, CircuitEvent)))
def test_every_event_in_every_state_moves_as_the_table_says_or_is_refused(
    state: CircuitState, event: CircuitEvent
) -> None:
    subject = circuit(state)
    if (state, event) in TRANSITIONS:
        subject.apply(event, "because")
        assert (subject.state, subject.reason) == (TRANSITIONS[state, event], "because")
    else:
        with pytest.raises(ValueError, match=f"circuit 1: {event.value!r} is not possible"):
            subject.apply(event)
        assert subject.state is state


def test_what_has_ended_stays_so() -> None:
    ended = {state for state in CircuitState if state.ended}
    assert ended == {CircuitState.WITHDRAWN, CircuitState.FAILED}
    assert not [state for state, _ in TRANSITIONS if state in ended]


def test_every_state_that_has_not_ended_can_be_released_once_it_is_reserved() -> None:
    for state in set(CircuitState) - {CircuitState.REQUESTED, CircuitState.WITHDRAWING}:
        possible = (state, CircuitEvent.RELEASED) in TRANSITIONS
        assert possible is not state.ended


def test_an_end_can_be_reached_from_everywhere() -> None:
    for state in CircuitState:
        reached, more = set(), {state}
        while more:
            reached |= more
            more = {to for (at, _), to in TRANSITIONS.items() if at in reached} - reached
        assert any(each.ended for each in reached)
        if not state.ended and state is not CircuitState.WITHDRAWING:
            assert CircuitState.ACTIVE in reached


def test_only_measured_power_makes_a_circuit_active() -> None:
    into_active = {event for (_, event), to in TRANSITIONS.items() if to is CircuitState.ACTIVE}
    assert into_active == {CircuitEvent.ACTUATED, CircuitEvent.REVERTED, CircuitEvent.SWITCHED}


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, PhaseEvent)))
def test_every_event_in_every_phase_moves_as_the_table_says_or_is_refused(
    phase: Phase, event: PhaseEvent
) -> None:
    route = Route("pv", "town", ("r1",), (), (1e6,), 1e6, (0.97,))
    subject = Generation(CircuitGeneration(1, 1), 1, route, phase)
    if (phase, event) in PHASES:
        subject.apply(event)
        assert subject.phase is PHASES[phase, event]
    else:
        with pytest.raises(ValueError, match=f"{event.value!r} is not possible in phase"):
            subject.apply(event)
        assert subject.phase is phase


def test_every_phase_is_reached_and_left() -> None:
    reached = set(FIRST_PHASES)
    for _ in Phase:
        reached |= {to for (at, _), to in PHASES.items() if at in reached}
    assert reached == set(Phase)
    leaves = {at for (at, _), to in PHASES.items() if to is not at} | set(LAST_PHASES)
    assert leaves == set(Phase)


def move(words: AdminWords, event: AdminEvent) -> None:
    if event is AdminEvent.DRAIN:
        words.drain(DrainRecord("r3-r5", AdminState.DRAINING))
    else:
        words.apply("r3-r5", event)


@pytest.mark.parametrize(("state", "event"), list(product(AdminState, AdminEvent)))
def test_every_event_moves_a_link_or_router_as_the_table_says_or_is_refused(
    state: AdminState, event: AdminEvent
) -> None:
    words = AdminWords()
    if state is not AdminState.IN_SERVICE:
        words.adopt([DrainRecord("r3-r5", state)])
    if (state, event) in ADMIN_TRANSITIONS:
        move(words, event)
        assert words.state("r3-r5") is ADMIN_TRANSITIONS[state, event]
    else:
        with pytest.raises(ValueError, match=f"r3-r5: {event.value!r} is not possible"):
            move(words, event)
        assert words.state("r3-r5") is state
