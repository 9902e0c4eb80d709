"""An operator that is called otherwise after a restart: trades that are open go on as they were agreed."""

import asyncio

from tests.support.ledgers import KEY, deposit
from tests.support.sagas import HELD, NOW_NS, TO_METERS, read, told, trade
from trading.core.trades import Begin, Close, Closed, Lock, Locked, Refusal, Times, Trade
from trading.exchange.ledger_port import LedgerPort
from trading.ledger.ledger import Ledger
from trading.ledger.refusals import LedgerReason
from trading.ledger.storage import MemoryStorage

MONEY = 10**10


def fail(error: Exception) -> None:
    raise error


async def opened(storage: MemoryStorage, operator: str) -> LedgerPort:
    port = LedgerPort(
        lambda: Ledger(storage, KEY, lambda: NOW_NS, "m"),
        lambda book, key: book.rotate(KEY, key),
        operator,
        b"secret",
        Times(),
        fail,
    )
    await port.open()
    return port


async def restarted(one: Trade) -> list[object]:
    """What comes of the same lock, asked again by an exchange that is called otherwise, and of the bill."""
    storage = MemoryStorage()
    before = await opened(storage, "operator")
    for account in ("ann", "bob", "operator"):
        await before.write(f"deposit/{account}", deposit(account, MONEY))
    lock = next(each for each in told(one, Begin(), HELD) if isinstance(each, Lock))
    assert await before.lock(lock, one) == Locked()
    await before.shut()
    after = await opened(storage, "renamed")
    answers: list[object] = [await after.lock(lock, one)]
    effects = told(one, *TO_METERS[2:], read(1050, 1000))
    close = next(each for each in effects if isinstance(each, Close))
    answers.append(await after.close(close, one))
    assert after.free("renamed") == 0
    answers.append(after.free("operator") > MONEY)
    await after.shut()
    return answers


def test_what_was_agreed_with_an_operator_is_paid_to_it_whatever_it_is_called_later() -> None:
    one = trade()
    one.operator = "operator"
    assert asyncio.run(restarted(one)) == [Locked(), Closed(), True]


def test_without_the_name_in_the_trade_a_renaming_would_be_the_end_of_it() -> None:
    locked, closed, is_paid = asyncio.run(restarted(trade()))
    assert isinstance(locked, Refusal) and locked.reason == LedgerReason.KEY_REUSED
    assert isinstance(closed, Refusal) and not is_paid
