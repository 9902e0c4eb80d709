"""Double spending: of energy that a meter has once, and of money that an account has once."""

import threading
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from controller.core.admission.route_finder import RouteFinder
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.attacks import MONEY, Street, repelled
from tests.support.grids import diamond
from tests.support.ledgers import Clock, close, deposit, ledger, lock, refund
from tests.support.market_settings import MOST_WH
from tests.support.races import Locks, locked, run
from tests.support.sagas import HELD, told, trade
from tests.support.simulated_network import SimulatedNetwork
from trading.core import trades
from trading.core.positions import Position, Positions
from trading.core.trades import Begin, Lock, TradeEvent
from trading.ledger.accounts import Accounts, Escrow
from trading.ledger.ledger import Ledger
from trading.ledger.refusals import LedgerRefused
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.storage import MemoryStorage

pytestmark = pytest.mark.attack

Steps = Callable[[Ledger], None]


def test_a_thousand_sells_of_one_meter_sell_no_more_than_it_gives() -> None:
    """Each of ten Wh, of a meter that gives a hundred such."""

    def attack() -> bool:
        street = Street()
        for number in range(10):
            names = [f"{number}/{each}" for each in range(100)]
            street.takes(street.asks(*(street.tender(name, wh=10) for name in names)))
        position = street.market.positions.of("meter of eve", street.interval)
        return position.sold + position.open_sold > MOST_WH

    def any_amount(*_: object) -> int:
        return 10**9

    repelled(attack, lambda: [patch.object(Positions, "most", any_amount)])


def test_what_is_bought_back_and_can_still_be_undone_is_not_sold_again() -> None:
    """Eve sells all that she has, buys some back, and sells that: if the second trade fails, she owes too much."""

    def attack() -> bool:
        street = Street()
        sells = street.tender("s", wh=MOST_WH)
        back = street.tender("b", wh=500, side=1, limit_micro_per_kwh=100_000)
        again = street.tender("again", wh=500)
        street.takes(street.asks(sells))
        street.takes(street.asks(back))
        return street.takes(street.asks(again)) > 0

    # As if an order to buy were a trade that nobody can undo.
    freed = property(lambda position: position.sold + position.open_sold - position.open_bought)
    repelled(attack, lambda: [patch.object(Position, "most_injected", freed)])


def is_money_asked_for(network: SimulatedNetwork, market: str) -> bool:
    """A market that has sold 5 MW of the same source asks the network for them, as its trade does."""
    request = PowerRequest(f"{market}-1/1", "town", 5e6, ("solar",), hold_ms=60_000)
    answer: TradeEvent = HELD
    try:
        network.request(request)
    except Refusal as refused:
        answer = trades.Refusal(refused.reason, str(refused))
    return any(isinstance(asked, Lock) for asked in told(trade(), Begin(), answer))


def test_of_two_exchanges_that_sell_one_source_the_second_is_refused_before_any_money() -> None:
    """Neither sees what the other has sold; of both the network is asked."""

    def attack() -> bool:
        network = SimulatedNetwork.running(diamond())
        assert is_money_asked_for(network, "street")
        return is_money_asked_for(network, "town")

    def endless(finder: RouteFinder, source_ids: Collection[str], circuit_id: int = 0) -> Any:
        return dict.fromkeys(source_ids, 1e12)

    repelled(attack, lambda: [patch.object(RouteFinder, "available_w", endless)])


def race(path: Path) -> bool:
    """Two writers of one ledger, each with 500 locks of a nano, of an account that has 100."""
    with closing(SqliteStorage(path)) as storage:
        ledger(storage).write("deposit", deposit("ann", 100))
    races = [Locks(name, str(path), "ann", 500) for name in ("a", "b")]
    threads = [threading.Thread(target=run, args=(each,)) for each in races]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return locked(path, "ann") > 100


def test_a_thousand_locks_of_one_balance_lock_no_more_than_there_is(tmp_path: Path) -> None:
    paths = iter([tmp_path / "defended", tmp_path / "not"])
    nothing_is_asked = patch.object(Accounts, "_require", lambda *_: None)
    repelled(lambda: race(next(paths)), lambda: [nothing_is_asked])


def paid_twice(steps: Steps) -> Callable[[], bool]:
    """Whether more comes out of an escrow of 10 than was in it."""

    def attack() -> bool:
        book = ledger(MemoryStorage(), Clock(1_000))
        book.write("deposit", deposit("ann", 10))
        book.write("lock", lock("t", ann=10))
        try:
            steps(book)
        except LedgerRefused:
            return False
        return book.total > 10 or book.balance("ann") + book.balance("bob") > 10

    return attack


def escrow_stays(accounts: Accounts, trade_id: str) -> None:
    """The end of an escrow is not noted."""


@pytest.mark.parametrize(
    "second", [close("t", ("ann", "bob", 10)), close("t", ("ann", "eve", 10)), refund("t")]
)
@pytest.mark.parametrize("first", [close("t", ("ann", "bob", 10)), refund("t")])
def test_an_escrow_is_emptied_once(first: pb.Entry, second: pb.Entry) -> None:
    def steps(book: Ledger) -> None:
        book.write("first", first)
        book.write("second", second)

    repelled(paid_twice(steps), lambda: [patch.object(Accounts, "_end", escrow_stays)])


def test_a_trade_that_was_settled_has_no_second_escrow() -> None:
    """The same bill would be paid again, of what the payer has meanwhile."""

    def attack() -> bool:
        book = ledger()
        book.write("deposit", deposit("ann", 20))
        try:
            for number in ("1", "2"):
                book.write(f"lock {number}", lock("t", ann=10))
                book.write(f"close {number}", close("t", ("ann", "bob", 10)))
        except LedgerRefused:
            return False
        return book.balance("bob") > 10

    def forgetful(accounts: Accounts, trade_id: str) -> None:
        del accounts.escrows[trade_id]

    repelled(attack, lambda: [patch.object(Accounts, "_end", forgetful)])


def test_a_payment_takes_no_more_out_of_an_escrow_than_there_is() -> None:
    def steps(book: Ledger) -> None:
        book.write("close", close("t", ("ann", "bob", 10), ("ann", "ann", 10)))

    def enough(escrow: Escrow, postings: object) -> dict[str, int]:
        return {}

    repelled(paid_twice(steps), lambda: [patch("trading.ledger.accounts._left", enough)])


def test_a_deposit_that_is_asked_for_twice_comes_in_once() -> None:
    def attack() -> bool:
        book = ledger()
        for _ in range(2):
            book.write("deposit/monday", deposit("eve", 10))
        return book.balance("eve") > 10

    repelled(attack, lambda: [patch.object(MemoryStorage, "seq_of", lambda *_: None)])


def test_orders_of_one_party_cannot_cost_more_than_it_has() -> None:
    """A key that was stolen moves no more in an interval than lies on the account."""

    def attack() -> bool:
        street = Street()
        for number in range(100):
            buys = street.tender(f"{number}", side=1, wh=10, limit_micro_per_kwh=9_000_000)
            street.takes(street.asks(buys))
        return street.market.orders.committed("eve") > MONEY

    def endless(book: Ledger, account: str) -> int:
        return 10**15

    repelled(attack, lambda: [patch.object(Ledger, "balance", endless)])
