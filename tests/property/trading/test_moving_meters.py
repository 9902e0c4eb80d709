"""Meters that move from market to market while these trade and crash: one market at a time sells what one gives."""

from functools import partial

import pytest

from tests.property.trading.test_market import check_nothing_is_left
from tests.support.cases import cases
from tests.support.market_settings import PARTIES
from tests.support.moving_markets import MovingWorld
from trading.core.positions import Positions
from trading.ledger.comparing import doubled
from trading.ledger.ledger import Ledger
from trading.ledger.verifying import Verifier, verify
from trading.market import calendar
from trading.market.moves import Moves

SEEDS = cases("HISTORIES", 30)


@pytest.fixture(autouse=True)
def a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of clearings of thousands, in which other things, and crashes, come between."""
    monkeypatch.setattr(calendar, "MAX_PER_TURN", 2)


def history(seed: int) -> MovingWorld:
    world = MovingWorld(seed)
    for _ in range(int(world.rng.integers(50, 400))):
        world.step()
    world.finish()
    return world


def verified(book: Ledger) -> Verifier:
    return verify(book.entries(0, book.size), book.head())


def test_no_meter_is_in_two_logs_nor_sells_in_one_that_it_has_left() -> None:
    moves = kept = lost = refused = 0
    for seed in SEEDS:
        world = history(seed)
        check_nothing_is_left(world)
        assert doubled(verified(world.ledger.book), verified(world.elsewhere)) == []
        moves, kept, lost = moves + world.moves, kept + world.kept, lost + world.lost_moves
        refused += world.refusals["METER_NOT_REGISTERED"]
    assert min(moves, kept, refused) > len(SEEDS)
    assert lost or len(SEEDS) < 20


@pytest.mark.parametrize("missing", ["the question whether it is busy", "the rest meanwhile"])
def test_what_keeps_a_meter_from_selling_twice_is_needed(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "the rest meanwhile":
        monkeypatch.setattr(Moves, "settled", lambda moves, registered: registered)
    else:
        monkeypatch.setattr(Positions, "busy", lambda *_: None)
    with pytest.raises(AssertionError, match="is sold here and elsewhere"):
        for seed in range(100):
            history(seed)


def test_an_order_that_was_cancelled_is_back_after_a_crash_where_its_meter_did_not_wait_for_the_journal() -> (
    None
):
    """So who lets a meter leave waits until all that is over for it is durable."""
    for waits in (True, False):
        world = MovingWorld(1, lost=0.0)
        party = PARTIES[1]
        while not world.market.orders.committed(party):
            world.tender()
        while world.unwritten:
            world.commit()
        for row in list(world.market.orders.rows()):
            order = row.order
            world.do(partial(world.market.cancel, order.party, 10**6 + order.seq, order.order_id))
        world.begin_move(party)
        while waits and world.unwritten:
            world.commit()
        world.end_move(party)
        world.crash()
        if waits:
            world.check()
        else:
            with pytest.raises(AssertionError, match="is sold here and elsewhere"):
                world.check()
