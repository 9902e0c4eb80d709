"""A market through crashes at any commit, lost calls, refusals of the network and cancels: nothing is left over."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from tests.support.cases import cases
from tests.support.market_digest import digest
from tests.support.market_exchange import ExchangeWorld
from tests.support.market_settings import PARTIES
from trading.core.settlement import LineKind, Party
from trading.core.trades import Resolved, Revoke, State, Trade
from trading.exchange.entries import Entries, Queue
from trading.ledger.ledger import Wanted
from trading.ledger.refusals import LedgerRefused
from trading.market import calendar
from trading.reasons import MarketReason

SEEDS = cases("HISTORIES", 30)


@pytest.fixture(autouse=True)
def a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of clearings of thousands, in which other things, and crashes, come between."""
    monkeypatch.setattr(calendar, "MAX_PER_TURN", 2)


def history(seed: int, steps: int = 400) -> ExchangeWorld:
    world = ExchangeWorld(seed)
    for _ in range(int(world.rng.integers(50, steps))):
        world.step()
    world.finish()
    return world


def check_nothing_is_left(world: ExchangeWorld) -> None:
    book, market = world.ledger.book, world.market
    assert book.total == world.total
    assert world.has_ended()
    assert not any(book.has_escrow(trade_id) for trade_id in world.states)
    assert {each.state for each in world.controller.circuits.values()} <= {"gone"}
    assert all(states[-1].ended for states in world.states.values())
    assert not list(market.orders.rows()) and not list(market.trades())
    assert not market.positions.rows()
    assert all(market.orders.committed(party) == 0 for party in PARTIES)
    assert not any(s.orders or s.open_orders for s in market._desk.standings().values())
    for record in world.journal.orders.values():
        assert record.open_wh == 0
        trades = [
            each.trade
            for each in world.journal.trades.values()
            if record.order.seq in (each.trade.buy_seq, each.trade.sell_seq)
        ]
        undone = (State.REJECTED, State.EXPIRED, State.CANCELLED)
        kept = sum(each.terms.wh for each in trades if each.state not in undone)
        assert kept == record.matched_wh


def test_every_trade_ends_once_and_nothing_is_left_of_orders_positions_circuits_and_escrows(
    record_property: Callable[[str, object], None],
) -> None:
    ends: Counter[State] = Counter()
    refusals: Counter[str] = Counter()
    crashes = barred = rounds = locks = 0
    for seed in SEEDS:
        world = history(seed)
        check_nothing_is_left(world)
        crashes += world.crashes
        # Of each it was looked, when it was locked, whether its circuit is held.
        locks += sum(key.endswith("/lock") for key in world.ledger.written)
        refusals += world.refusals
        ends.update(states[-1] for states in world.states.values())
        barred += sum(each.trade.is_barred for each in world.journal.trades.values())
        rounds = max([rounds, *(each.round for each in world.journal.clearings.values())])
    assert crashes > len(SEEDS) and barred > len(SEEDS) and locks > len(SEEDS)
    for name, count in (("trades", ends.total()), ("locks", locks), ("crashes", crashes)):
        record_property(name, count)
    if len(SEEDS) >= 20:
        assert set(ends) == {state for state in State if state.ended}
        assert rounds >= 3


def test_what_is_journalled_is_all_that_a_market_knows() -> None:
    compared = 0
    # Then one in which of two matches of the same orders one is refused while the other, a smaller one, is on its way;
    # and one in which a party's last word was refused.
    for seed in (*SEEDS[: len(SEEDS) // 3], 166, 649):
        world = ExchangeWorld(seed)
        for _ in range(150):
            world.step()
            if not world.unwritten:
                assert digest(world.restarted()) == digest(world.market), seed
                compared += 1
    assert compared > 10 * len(SEEDS)


class Clouds(ExchangeWorld):
    """Now and then somebody says that a meter gives little."""

    def step(self, *, may_begin: bool = True) -> None:
        if may_begin and self.rng.random() < 0.1:
            party = str(self.rng.choice(PARTIES))
            intervals = self.settings.rules.open_intervals(self.now_ns)
            start_ns = intervals[int(self.rng.integers(len(intervals)))].start_ns
            most, meter_id = int(self.rng.integers(600)), f"meter of {party}"
            self.tendered += 1
            self.do(
                lambda now_ns: self.market.forecast(
                    party, self.tendered, meter_id, start_ns, most, now_ns
                )
            )
        super().step(may_begin=may_begin)


def test_nothing_is_offered_beyond_a_forecast_whatever_is_refused_or_forgotten() -> None:
    ended = beyond = 0
    for seed in SEEDS:
        world = Clouds(seed)
        for _ in range(200):
            world.step()
            if not world.unwritten:
                assert digest(world.restarted()) == digest(world.market), seed
            beyond += any(
                position.sold > world.market.positions._forecasts.get(key, position.sold)
                for key, position in world.market.positions.rows().items()
            )
        world.finish()
        check_nothing_is_left(world)
        assert not world.market.positions._forecasts
        ended += sum(each.reason == MarketReason.FORECAST for each in world.journal.orders.values())
    # Also where more had been sold already.
    assert ended > len(SEEDS) and beyond > len(SEEDS)


class Quarrels(ExchangeWorld):
    """Somebody objects to each bill, and whoever decides finds half of them right as they are."""

    def step(self, *, may_begin: bool = True) -> None:
        for row in list(self.market.trades()):
            trade = row.trade
            if trade.state is State.BILLED:
                self._object(trade)
            elif trade.state is State.DISPUTED:
                missed = trade.missed if trade.buy_seq % 2 else ()
                self.tell(trade.trade_id, Resolved(trade.ends, missed))
        super().step(may_begin=may_begin)


def test_of_fees_too_no_nano_is_lost_and_all_are_the_operators() -> None:
    kinds: Counter[str] = Counter()
    # Of odd ones bills wait for objections.
    for seed in range(1, 2 * len(SEEDS), 2):
        world = Quarrels(seed)
        for _ in range(200):
            world.step()
        world.finish()
        check_nothing_is_left(world)
        for record in world.journal.trades.values():
            bill = record.trade.settlement
            kinds.update(line.kind.value for line in (() if bill is None else bill.lines))
            assert bill is None or all(
                line.payee is Party.OPERATOR and line.payer is record.trade.objected_by
                for line in bill.lines
                if line.kind is LineKind.FEE
            )
    assert kinds["fee"] > len(SEEDS) // 10


@pytest.mark.parametrize("how", range(3))
def test_a_crash_at_any_commit_loses_nothing(how: int) -> None:
    """Before the commit, after it, and once what it asks for has been asked: each of a history, one after another."""
    commits = 1
    at = 0
    while at < commits:
        at += 1
        world = ExchangeWorld(7, lost=0.0, crash_at=at, crash_how=how)
        for _ in range(60):
            world.step()
        world.finish()
        commits = max(commits, world.commits)
        check_nothing_is_left(world)
    assert commits > 20


def test_a_revocation_that_leaves_what_waits_for_the_disk_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Queue, "_call_back", lambda queue, trade_id: None)
    with pytest.raises(AssertionError, match="signed after it was revoked"):
        for seed in range(100):
            history(seed)


def test_a_revocation_that_needs_the_money_as_its_signature_does_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revoke = Entries.revoke

    def with_money(entries: Entries, asked: Revoke, trade: Trade) -> Wanted:
        return msgspec.structs.replace(revoke(entries, asked, trade), needs=asked.trade_id)

    monkeypatch.setattr(Entries, "revoke", with_money)
    with pytest.raises(LedgerRefused, match="no open escrow"):
        for seed in range(100):
            history(seed)
