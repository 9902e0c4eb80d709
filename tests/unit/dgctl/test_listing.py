"""Listings: what is chosen, in which order, and what stands first where nobody says."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgctl.circuit_tables import CIRCUITS, rank
from dgctl.listing import Listing, ListingError, View, natural
from dgctl.market.lists import CLEARINGS, ORDERS, POSITIONS, TRADES
from dgctl.meter_tables import BOOKS
from dgctl.register_tables import REGISTERS
from dgctl.topology_tables import LINKS, LOADS, ROUTERS, SOURCES
from digitalgrid.columns import parts_text
from digitalgrid.market.v1 import market_pb2 as market_pb
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb

ACTIVE, WAITING = pb.CIRCUIT_STATE_ACTIVE, pb.CIRCUIT_STATE_WAITING


LISTINGS: tuple[Listing[Any], ...] = (
    *(CIRCUITS, LINKS, ROUTERS, SOURCES, LOADS, BOOKS, REGISTERS),
    *(ORDERS, CLEARINGS, TRADES, POSITIONS),
)


def circuit(circuit_id: int, **fields: object) -> pb.Circuit:
    given = {"state": ACTIVE, "sink_id": f"load{circuit_id}", **fields}
    return pb.Circuit(circuit_id=circuit_id, **given)  # type: ignore[arg-type]


CURTAILED = pb.Curtailment(by="source pv1", asked_w=2e6, granted_w=1e6)
NEW_YEAR_NS = 1_767_225_600 * NS_PER_S
SEVERAL = [
    circuit(1, power_w=5e6, loss_fraction=0.02),
    circuit(2, power_w=2e6, state=WAITING),
    circuit(
        3,
        power_w=1e6,
        loss_fraction=0.05,
        protection=pb.PROTECTION_LOST,
        created_unix_ns=NEW_YEAR_NS,
    ),
    circuit(10, power_w=350e3, state=pb.CIRCUIT_STATE_REROUTING),
    circuit(9, power_w=2e6, curtailed=CURTAILED, created_unix_ns=2 * NEW_YEAR_NS),
]


def ids(view: View[pb.Circuit]) -> list[int]:
    return [each.circuit_id for each in view.rows(SEVERAL)]


def text(view: View[pb.Circuit]) -> list[str]:
    table = parts_text([view.table(view.rows(SEVERAL))], io.StringIO())
    return [" ".join(line.split()) for line in table.splitlines()]


def test_who_needs_somebody_stands_first() -> None:
    assert ids(View(CIRCUITS)) == [2, 10, 3, 9, 1]
    down = pb.LinkState(link_id="b", up=False)
    drained = pb.LinkState(link_id="a2", up=True, admin=pb.AdminWord(state=pb.ADMIN_STATE_DRAINED))
    up = [pb.LinkState(link_id=each, up=True) for each in ("a10", "a9")]
    assert [each.link_id for each in View(LINKS).rows([*up, drained, down])] == [
        *("b", "a2", "a9", "a10")
    ]
    gone, late = pb.RouterState(router_id="r3"), pb.RouterState(router_id="r2", late_ms=900)
    late.connected = True
    well = pb.RouterState(router_id="r1", connected=True)
    assert [each.router_id for each in View(ROUTERS).rows([well, late, gone])] == ["r3", "r2", "r1"]


@given(st.lists(st.sampled_from(pb.CircuitState.values()), min_size=2))
def test_no_circuit_without_power_stands_behind_one_with_it(states: list[int]) -> None:
    given = [circuit(number + 1, state=each) for number, each in enumerate(states)]
    shown = View(CIRCUITS).rows(given)
    assert sorted(each.circuit_id for each in shown) == [each.circuit_id for each in given]
    assert [rank(each) for each in shown] == sorted(map(rank, given))


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (["power"], [10, 3, 2, 9, 1]),
        (["-power"], [1, 2, 9, 3, 10]),
        (["-power,-id"], [1, 9, 2, 3, 10]),
        (["power", "sink"], [10, 3, 2, 9, 1]),
        (["+Power, - id"], [10, 3, 9, 2, 1]),
        (["sink"], [1, 2, 3, 9, 10]),
        # Of none is it known: they stay as they are.
        (["missing"], [1, 2, 3, 10, 9]),
    ],
)
def test_rows_are_sorted_by_figures_and_by_texts_as_people_count(
    sort: list[str], expected: list[int]
) -> None:
    assert ids(View(CIRCUITS, sort=sort)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("state=waiting,rerouting", [2, 10]),
        ("state!=ACTIVE", [2, 10]),
        ("power>=2MW", [2, 9, 1]),
        ("power < 1 MW", [10]),
        ("power=2MW", [2, 9]),
        ("loss>2.5%", [3]),
        ("sink~OAD1", [10, 1]),
        ("sink=load1*", [10, 1]),
        ("missing=-", [2, 10, 3, 9, 1]),
        ("lost", [3]),
        ("granted<2MW", [10, 3, 9]),
        ("created>=2026-01-01", [3, 9]),
        ("created<2026-01-02T00:00Z", [3]),
        ("created=-", [2, 10, 1]),
    ],
)
def test_filters_take_words_figures_and_parts(word: str, expected: list[int]) -> None:
    assert ids(View(CIRCUITS, filters=[word])) == expected


def test_all_filters_must_hold() -> None:
    assert ids(View(CIRCUITS, filters=["power=2MW", "state=waiting"])) == [2]


def test_columns_are_those_that_are_named_in_that_order() -> None:
    shown = text(View(CIRCUITS, "sink,power,hold", ["-power"], ["power>=2MW"]))
    assert shown == ["sink power hold", "load1 5 MW 0", "load2 2 MW 0", "load9 2 MW 0"]


def test_what_has_no_figure_is_last_in_either_order() -> None:
    late = pb.RouterState(router_id="r1", late_ms=900)
    others = [pb.RouterState(router_id="r2"), pb.RouterState(router_id="r3", late_ms=100)]
    for sort, expected in (("late", ["r3", "r1", "r2"]), ("-late", ["r1", "r3", "r2"])):
        assert [
            each.router_id for each in View(ROUTERS, sort=[sort]).rows([late, *others])
        ] == expected


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"columns": "id,colour"}, "circuits have no column 'colour'; there are id, state, "),
        ({"sort": ["-size"]}, "circuits have no column 'size'"),
        ({"columns": ""}, "a column of circuits needs a name; there are id, state, "),
        ({"columns": "id, "}, "a column of circuits needs a name"),
        ({"columns": "id,state,Id"}, "column 'id' of circuits is named twice"),
        ({"columns": "power-after,power,after"}, "column 'after' of circuits is named twice"),
        ({"sort": [""]}, "a column of circuits needs a name"),
        ({"sort": ["-"]}, "a column of circuits needs a name"),
        ({"sort": ["power,"]}, "a column of circuits needs a name"),
        ({"sort": ["--loss"]}, "circuits have no column '-loss'"),
        ({"sort": ["+-loss"]}, "circuits have no column '-loss'"),
        ({"filters": ["size>3"]}, "circuits have no column 'size'"),
        ({"filters": ["power>big"]}, "column 'power': 'big' is no figure"),
        ({"filters": ["power>=1e999"]}, "column 'power': '1e999' is no figure"),
        (
            {"filters": ["interruptions>inf"]},
            "column 'interruptions': 'inf' is no figure",
        ),
        (
            {"filters": ["interruptions=nan"]},
            "column 'interruptions': 'nan' is no figure",
        ),
        ({"filters": ["created>noon"]}, "column 'created': 'noon' is no figure"),
        ({"filters": ["sink>a"]}, "column 'sink' of circuits has texts; compare by = or ~"),
        ({"filters": [" "]}, "a filter is empty"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ListingError, match="^" + said.replace("?", r"\?")):
        View(CIRCUITS, **wrong)


@pytest.mark.parametrize(
    ("sort", "expected"), [("price", [-1, 2, 9, 10, None]), ("-price", [10, 9, 2, -1, None])]
)
def test_clearings_go_by_their_lowest_price_and_last_are_those_without_one(
    sort: str, expected: list[int | None]
) -> None:
    clearings = [
        market_pb.Clearing(
            prices=[market_pb.MarketPrice(micro_per_kwh=each * 1_000_000) for each in prices]
        )
        for prices in ([10], [], [11, 2], [9], [-1])
    ]
    rows = View(CLEARINGS, sort=[sort]).rows(clearings)
    lowest = [[each.micro_per_kwh // 1_000_000 for each in row.prices] for row in rows]
    assert [min(prices, default=None) for prices in lowest] == expected
    cheap = View(CLEARINGS, filters=["price<9.5"]).rows(clearings)
    assert len(cheap) == 3 and View(CLEARINGS, filters=["price=-"]).rows(clearings) == [
        market_pb.Clearing()
    ]


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.kind)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400", ""])
def test_what_is_no_figure_is_refused_by_any_column(listing: Listing[Any], value: str) -> None:
    for column in listing.columns:
        with pytest.raises(ListingError):
            View(listing, filters=[f"{column.name}>={value}"])


@given(st.lists(st.text(max_size=6), max_size=6))
def test_texts_of_any_kind_have_an_order(texts: list[str]) -> None:
    keys = [natural(each) for each in texts]
    backwards = keys[::-1]
    assert sorted(keys) == sorted(backwards)
