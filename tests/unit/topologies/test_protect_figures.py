"""What the run of protected circuits says of itself: a missed limit is named, books that do not balance fail it."""

import pytest

from topologies.demo.books import Books
from topologies.demo.protect_figures import CARRIER, MOVE, ProtectFigures, Trial

SOUND = Books(0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0, 0)


def test_a_trial_is_kept_where_the_median_and_the_worst_are() -> None:
    assert Trial("line cut", CARRIER, missing_ms=[0.0, 2.0, 20.0]).kept
    assert Trial("planned move", MOVE, missing_ms=[0.0003]).kept, "a few millijoules of rounding"
    assert not Trial("line cut", CARRIER, missing_ms=[0.0, 2.1, 3.0]).kept
    assert not Trial("line cut", CARRIER, missing_ms=[0.0, 0.0, 20.1]).kept
    assert not Trial("line cut", CARRIER).kept, "nothing was measured"


@pytest.mark.parametrize(("after_s", "missed"), [(9.9, 0), (10.1, 1), (None, 1)])
def test_that_all_are_protected_soon_after_they_are_asked_for_is_looked_at(
    after_s: float | None, missed: int
) -> None:
    said = list(ProtectFigures(protected_after_s=after_s).missed())
    assert said == ["not all protected within 10 s of their request"] * missed


def test_what_is_missed_is_said_and_only_what_breaks_a_law_fails() -> None:
    moved = Trial("planned move", MOVE, missing_ms=[0.0, 0.0, 26.2], ready_s=2.0)
    away = Trial(
        "line cut", CARRIER, controlled=False, missing_ms=[1.0], unguarded_ms=[40.0, 500.0]
    )
    figures = ProtectFigures("local", 9, 2, 4.0, [moved, away], [0, 3], 1, SOUND)
    assert list(figures.missed()) == [
        "planned move: p50 0.0, max 26.2 ms, more than p50 0, max 2 ms",
        "line cut, no controller: 2 more circuits had no standby ready that does without it, and lacked up to 500.0 ms",
        "line cut, no controller: not protected again within 10 s",
        "a controller that returned saw 3 hops otherwise than routers run",
        "circuits_lost: 1",
    ]
    assert figures.broken() == []
    figures.trials.append(Trial("source lost", CARRIER, controlled=False, unguarded_ms=[300.0]))
    assert figures.broken() == [
        "source lost, no controller: nothing measured, as no circuit had a standby ready that does without it"
    ]
    assert ProtectFigures().broken() != [], "books that were never read"
    assert figures.to_json()["trials"][1]["controller"] == "away"
