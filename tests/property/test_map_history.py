"""The map as it was: whatever changes, each moment that is kept is told as it was, and what is kept is bounded."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.web.map_history import KEPT_MS, Key, MapHistory, Values

KEYS: list[Key] = [("links", "a-b"), ("links", "b-c"), ("routers", "a"), ("loads", 'b"<\n')]
# What is looked at in one look: some things and how they are, and how long after the look before (ms).
Look = tuple[int, dict[Key, Values]]
LOOKS = st.lists(
    st.tuples(
        st.integers(0, KEPT_MS // 3),
        st.dictionaries(st.sampled_from(KEYS), st.tuples(st.integers(0, 3))),
    ),
    max_size=20,
)


def at(told: dict[str, Any], at_unix_ms: int) -> dict[Key, Values]:
    """As a reader makes it of the steps that were told."""
    known: dict[Key, Values] = {}
    for step in told["steps"]:
        if step["at_unix_ms"] <= at_unix_ms:
            for table in told["columns"]:
                known |= {(table, id_): tuple(rest) for id_, *rest in step.get(table, [])}
    return known


@settings(max_examples=60)
@given(LOOKS, st.integers(1, 12))
def test_each_moment_that_is_kept_is_told_as_it_was(looks: list[Look], most: int) -> None:
    history, now_ms = MapHistory(most), 1_000
    then: list[tuple[int, dict[Key, Values]]] = []
    known: dict[Key, Values] = {}
    for after_ms, things in looks:
        now_ms += after_ms
        known = known | things
        history.take(now_ms, things.items())
        then.append((now_ms, known))
        assert history.changes <= most
    told = json.loads(history.telling(now_ms).json())
    begins_ms = history.begins_unix_ms
    assert (begins_ms is None) == (not looks)
    for number, (at_ms, was) in enumerate(then):
        # Of several looks in one millisecond the last is what counts.
        is_last = number + 1 == len(then) or then[number + 1][0] > at_ms
        if begins_ms is not None and at_ms >= begins_ms and is_last:
            assert at(told, at_ms) == was
            # Until the next look, what was seen last is what is known.
            until_ms = then[number + 1][0] - 1 if number + 1 < len(then) else now_ms
            assert at(told, until_ms) == was


def test_what_is_at_rest_adds_nothing_and_its_map_stays_known() -> None:
    history = MapHistory()
    for look in range(1_000):
        history.take(look * 5_000, [(KEYS[0], (1.5, 0.0, True, False, ""))])
    # One step, that has become what all begins with.
    assert (history.changes, history.begins_unix_ms) == (0, 0)
    told = json.loads(history.telling(5_000_000).json())
    assert at(told, 5_000_000) == {KEYS[0]: (1.5, 0.0, True, False, "")}
