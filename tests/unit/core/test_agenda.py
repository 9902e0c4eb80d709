"""What is due when, against a plain dictionary."""

import hypothesis.strategies as st
from hypothesis import given

from controller.core.programming.agenda import Agenda

STEPS = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 9)), max_size=300)


@given(STEPS)
def test_the_earliest_is_at_hand_whatever_was_set_anew_or_dropped(
    steps: list[tuple[int, int | None]],
) -> None:
    agenda: Agenda[int] = Agenda()
    due: dict[int, int] = {}
    for key, due_ns in steps:
        if due_ns is None:
            agenda.drop(key)
            due.pop(key, None)
        else:
            agenda.set(key, due_ns)
            due[key] = due_ns
        assert agenda.next_ns() == min(due.values(), default=None)
        now = [each for each in due if due[each] <= 4]
        assert sorted(agenda.due(4)) == sorted(now)
        assert [due[each] for each in agenda.due(4)] == sorted(due[each] for each in now)
        assert all((each in agenda) == (each in due) for each in range(6))
