"""The sharing rule of a shortage keeps its promises for any claims."""

from hypothesis import given
from hypothesis import strategies as st

from digitalgrid.sharing import Claim, rank, share_out

WATTS = st.integers(0, 1000).map(float)


@st.composite
def ranked(draw: st.DrawFn) -> list[tuple[int, Claim]]:
    """Claims with their hold priorities, in the order in which they are served."""
    claims = draw(st.lists(st.tuples(st.integers(0, 3), WATTS, WATTS), max_size=12))
    found = [
        (priority, Claim(asked_w, min(asked_w, floor_w))) for priority, asked_w, floor_w in claims
    ]
    order = sorted(range(len(found)), key=lambda index: rank(found[index][0], index))
    return [found[index] for index in order]


def shares(available_w: float, claims: list[tuple[int, Claim]]) -> list[float]:
    return share_out(available_w, [claim for _, claim in claims])


@given(ranked(), WATTS)
def test_no_more_is_granted_than_there_is_or_than_is_asked_and_nothing_is_left_while_any_lacks(
    claims: list[tuple[int, Claim]], available_w: float
) -> None:
    granted = shares(available_w, claims)
    assert sum(granted) == min(available_w, sum(claim.asked_w for _, claim in claims))
    assert all(
        0.0 <= share_w <= claim.asked_w for share_w, (_, claim) in zip(granted, claims, strict=True)
    )


@given(ranked(), WATTS)
def test_floors_are_kept_while_they_fit(
    claims: list[tuple[int, Claim]], available_w: float
) -> None:
    granted = shares(available_w, claims)
    if sum(claim.floor_w for _, claim in claims) <= available_w:
        assert all(
            share_w >= claim.floor_w for share_w, (_, claim) in zip(granted, claims, strict=True)
        )


@given(ranked(), WATTS)
def test_while_one_lacks_nobody_of_a_lower_class_has_more_than_the_floor(
    claims: list[tuple[int, Claim]], available_w: float
) -> None:
    granted = list(zip(shares(available_w, claims), claims, strict=True))
    for share_w, (priority, claim) in granted:
        if share_w < claim.asked_w:
            assert all(
                other_w <= other.floor_w for other_w, (lower, other) in granted if lower < priority
            )


@given(ranked(), WATTS)
def test_of_a_class_at_most_one_stands_between_floor_and_full_power(
    claims: list[tuple[int, Claim]], available_w: float
) -> None:
    granted = list(zip(shares(available_w, claims), claims, strict=True))
    for priority in range(4):
        between = [
            share_w
            for share_w, (own, claim) in granted
            if own == priority and claim.floor_w < share_w < claim.asked_w
        ]
        assert len(between) <= 1


@given(ranked(), WATTS, WATTS)
def test_more_for_all_is_less_for_nobody(
    claims: list[tuple[int, Claim]], available_w: float, more_w: float
) -> None:
    before = shares(available_w, claims)
    after = shares(available_w + more_w, claims)
    assert all(now_w >= was_w for was_w, now_w in zip(before, after, strict=True))
