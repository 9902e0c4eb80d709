"""Readings of both ends: what counts where one is missing, late, backwards or contradicts the other.

==============================  ==================================================  =================================
what was read                   what counts                                         where it is tried
==============================  ==================================================  =================================
both ends, loss as by formula   the sink's                                          what_counts_of_two_ends
the sink only                   the sink's                                          what_counts_of_two_ends
the source only                 the formula backwards, as an estimate; twice the    what_counts_of_two_ends;
                                time to object                                      test_objections, waits_twice_as_long
none, and the sink had said     what it had said last, as an estimate; nobody is    no_end_ever_speaks;
something before it fell silent blamed for the rest, and twice the time to object   test_objections, never_comes
none ever                       nothing is paid for, nobody is blamed               test_settlement, no_meter_saw
none now, but one before        what was said once stays said                       never_taken_back
more arrives than was sent, or  what neither end denies is paid at once, the rest   what_neither_end_denies;
another loss than the formula's is disputed                                         test_settlement, test_saga
one that runs backwards         the last before it; kept as evidence                a_register_counts_on
one that repeats, or comes late the last before it; kept as evidence                a_register_counts_on
of another boot of the router   it goes on from what was kept; a fall is backwards  a_register_counts_on
0 of both ends                  0, which is not the same as none                    what_counts_of_two_ends
a moved circuit                 the sum over its generations                        sum_over_its_generations
beyond what a circuit carries   none: nobody metered that                           test_controller_port, test_deciding
==============================  ==================================================  =================================
"""

import pytest

from trading.core.readings import (
    Ends,
    Estimate,
    Oddity,
    Quality,
    Reading,
    all_said,
    evidence_of,
    trail_of,
)
from trading.core.units import MJ_PER_WH, Millijoule

# A path that injects 1.05 for 1 delivered.
PPM = 1_050_000


def read(wh: float, boot_id: int = 1, seq: int = 1) -> Reading:
    return Reading(boot_id, seq, Millijoule(round(wh * MJ_PER_WH)))


def ends(source: float | None, sink: float | None) -> Ends:
    return Ends(
        [] if source is None else [read(source)],
        [] if sink is None else [read(sink)],
        PPM,
    )


@pytest.mark.parametrize(
    ("source", "sink", "delivered", "quality", "disputed"),
    [
        (1050, 1000, 1000, Quality.BOTH_ENDS, False),
        # Within half a percent and a Wh of the path's formula.
        (1050, 995, 995, Quality.BOTH_ENDS, False),
        (1050, 1005, 1005, Quality.BOTH_ENDS, False),
        (1050, 990, 990, Quality.BOTH_ENDS, True),
        (1050, 1011, 1011, Quality.BOTH_ENDS, True),
        # More arrives than was sent.
        (1000, 1001, 1001, Quality.BOTH_ENDS, True),
        (None, 1000, 1000, Quality.SINK_ONLY, False),
        (1050, None, 1000, Quality.SOURCE_ONLY, False),
        (None, None, 0, Quality.UNREAD, False),
        (0, 0, 0, Quality.BOTH_ENDS, False),
    ],
)
def test_what_counts_of_two_ends(
    source: float | None,
    sink: float | None,
    delivered: float,
    quality: Quality,
    disputed: bool,
) -> None:
    evidence = evidence_of([ends(source, sink)])
    assert evidence.delivered == delivered * MJ_PER_WH
    assert (evidence.quality, evidence.is_disputed) == (quality, disputed)
    assert evidence.is_estimated == (quality >= Quality.SOURCE_ONLY)
    assert evidence.windows == 1 + evidence.is_estimated
    assert evidence.is_metered == (quality is not Quality.UNREAD)
    # What was said before is needed only where no end has spoken.
    before = Estimate(Millijoule(7 * MJ_PER_WH), PPM)
    assert (evidence_of([ends(source, sink)], before) == evidence) == evidence.is_metered
    assert evidence.undisputed <= evidence.delivered


def test_of_a_contradiction_what_neither_end_denies_is_undisputed() -> None:
    over = evidence_of([ends(1050, 1100)])
    assert over.is_disputed and over.undisputed == 1000 * MJ_PER_WH
    under = evidence_of([ends(1050, 600)])
    assert under.is_disputed and under.undisputed == 600 * MJ_PER_WH


def test_a_circuit_that_moved_is_the_sum_over_its_generations() -> None:
    both = evidence_of([ends(525, 500), ends(525, 500)])
    assert (both.delivered, both.quality) == (1000 * MJ_PER_WH, Quality.BOTH_ENDS)
    # The worst of them says how sure the sum is.
    partly = evidence_of([ends(525, 500), ends(None, None), ends(None, 200)])
    assert (partly.delivered, partly.quality) == (700 * MJ_PER_WH, Quality.UNREAD)
    assert evidence_of([]).quality is Quality.UNREAD


@pytest.mark.parametrize(
    ("generations", "last", "delivered", "injected"),
    [
        ([], 300, 300, 315),
        ([(None, None)], 300, 300, 315),
        # Of all generations together: what one of them has said is within it.
        ([(525, 500), (None, None)], 600, 600, 630),
        ([(525, 500), (None, None)], 400, 500, 525),
        ([(525, None), (None, None)], 0, 500, 525),
    ],
)
def test_where_no_end_ever_speaks_what_the_sink_said_before_counts_as_an_estimate(
    generations: list[tuple[float | None, float | None]],
    last: float,
    delivered: float,
    injected: float,
) -> None:
    said = Estimate(Millijoule(round(last * MJ_PER_WH)), PPM)
    found = evidence_of([ends(*each) for each in generations], said)
    assert (found.delivered, found.undisputed) == (delivered * MJ_PER_WH,) * 2
    assert (found.injected, found.quality) == (injected * MJ_PER_WH, Quality.LAST_READING)
    assert found.is_estimated and not found.is_metered and found.windows == 2


@pytest.mark.parametrize(
    "generations",
    [
        # What the first had in its buffers came out of the second.
        [(105, 90), (105, 110)],
        [(1_050_000, 999_900), (1_050, 1_100)],
        # A standby that was filled, and never delivered.
        [(262_500, 250_000), (50, 0)],
        [(262_500, 250_010), (0, 0)],
    ],
)
def test_what_passes_from_a_generation_into_another_is_no_contradiction(
    generations: list[tuple[float, float]],
) -> None:
    found = evidence_of([ends(*each) for each in generations])
    assert not found.is_disputed
    assert found.undisputed == found.delivered == sum(out for _, out in generations) * MJ_PER_WH
    # But what is lacking of all together is one.
    source, sink = generations[0]
    assert evidence_of([ends(source, sink * 0.9), *(ends(*e) for e in generations[1:])]).is_disputed


def test_a_millijoule_more_than_was_sent_is_a_matter_of_rounding_and_a_wh_is_not() -> None:
    sent = Millijoule(250_000 * MJ_PER_WH)
    for more, is_disputed in ((1, False), (MJ_PER_WH, False), (MJ_PER_WH + 1, True)):
        arrived = Millijoule(sent + more)
        both = Ends([Reading(1, 1, sent)], [Reading(1, 1, arrived)], 1_000_000)
        assert evidence_of([both]).is_disputed == is_disputed


def test_only_of_generations_that_both_ends_speak_of_the_sums_are_compared() -> None:
    found = evidence_of([ends(105, 90), ends(105, 110), ends(None, 300), ends(210, None)])
    assert not found.is_disputed and found.quality is Quality.SOURCE_ONLY
    assert found.delivered == 700 * MJ_PER_WH
    found = evidence_of([ends(105, 50), ends(None, 300)])
    assert found.is_disputed and found.undisputed == 350 * MJ_PER_WH


def test_what_was_said_of_a_generation_is_added_to_and_never_taken_back() -> None:
    first = [Ends([read(5)], [], PPM, generation=1), Ends([], [read(3)], PPM, generation=2)]
    later = [
        Ends([], [read(4)], PPM, generation=1),
        Ends([], [read(3), read(6, seq=2)], PPM, 2),
    ]
    for said in (all_said(first, later), all_said(all_said(first, later), later)):
        assert [each.generation for each in said] == [1, 2]
        assert [len(each.source) for each in said] == [1, 0]
        assert [len(each.sink) for each in said] == [1, 2]
    assert all_said(first, []) == all_said([], first) == tuple(first)


@pytest.mark.parametrize(
    ("readings", "last", "odd"),
    [
        ([read(5), read(7, seq=2)], 7, []),
        ([read(5), read(5)], 5, [Oddity.REPEATED]),
        ([read(5), read(9)], 5, [Oddity.REPEATED]),
        ([read(5, seq=2), read(6, seq=1)], 5, [Oddity.OUT_OF_ORDER]),
        ([read(5), read(4, seq=2), read(6, seq=3)], 6, [Oddity.BACKWARDS]),
        # A router that started anew goes on from what it had kept.
        ([read(5), read(6, boot_id=2)], 6, []),
        ([read(5), read(0, boot_id=2), read(7, boot_id=1, seq=2)], 7, [Oddity.BACKWARDS]),
        ([], None, []),
    ],
)
def test_a_register_counts_on_and_what_does_not_is_kept_as_evidence(
    readings: list[Reading], last: float | None, odd: list[Oddity]
) -> None:
    trail = trail_of(readings)
    assert (None if trail.last is None else trail.last.register) == (
        None if last is None else last * MJ_PER_WH
    )
    assert [oddity for _, oddity in trail.odd] == odd
    found = evidence_of([Ends([], readings, PPM)])
    assert found.odd == len(odd)
