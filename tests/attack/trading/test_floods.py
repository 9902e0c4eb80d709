"""Floods: one party that asks for more than its share of the market's time, memory, or log."""

from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.rate_limit import TokenBucket
from tests.support.attacks import Street, repelled
from tests.support.ledgers import deposit, ledger
from tests.support.market_exchange import SETTINGS
from trading.core.orders import MAX_ID, MAX_TAGS
from trading.ledger.refusals import LedgerRefused
from trading.market.settings import MarketSettings
from trading.reasons import MarketReason

pytestmark = pytest.mark.attack


def settings(**rules: float) -> MarketSettings:
    return msgspec.structs.replace(SETTINGS, rules=msgspec.structs.replace(SETTINGS.rules, **rules))


def test_who_tenders_faster_than_he_may_waits() -> None:
    def attack() -> bool:
        street = Street(settings(tender_burst=10, tenders_per_s=1.0))
        request = street.asks(*(street.tender(f"{n}", wh=1) for n in range(50)))
        return street.takes(request) > 10

    repelled(attack, lambda: [patch.object(TokenBucket, "take", lambda *_: True)])


def test_who_fills_the_book_is_stopped_and_others_are_not() -> None:
    def filled(most: int) -> tuple[int, int]:
        street = Street(settings(orders_per_party=most))
        eves = street.takes(street.asks(*(street.tender(f"{n}", wh=1) for n in range(50))))
        anns = street.tender("a", meter_id="meter of ann")
        return eves, street.takes(street.asks(anns, party="ann", key="ann"))

    assert filled(10) == (10, 1)
    # The limit is the defence.
    assert filled(1_000) == (50, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"order_id": "x" * (MAX_ID + 1)}, MarketReason.ORDER_ID_UNFIT),
        ({"order_id": "\x1b[2J"}, MarketReason.ORDER_ID_UNFIT),
    ],
)
def test_words_that_would_fill_the_disk_or_command_a_terminal_are_not_kept(
    changed: dict[str, str], reason: MarketReason
) -> None:
    def attack() -> bool:
        street = Street()
        return street.takes(street.asks(street.tender(**changed))) > 0

    assert reason in Street().reasons(Street().asks(Street().tender(**changed)))
    repelled(attack, lambda: [patch("trading.core.orders._is_name", lambda *_: True)])


def test_tags_that_would_fill_the_disk_are_not_kept() -> None:
    def attack() -> bool:
        street = Street()
        tender = street.tender()
        tender.tags.extend(["t"] * (MAX_TAGS + 1))
        return street.takes(street.asks(tender)) > 0

    repelled(attack, lambda: [patch("trading.core.orders._check_size", lambda *_: None)])


def test_a_log_is_not_filled_by_names() -> None:
    def attack() -> bool:
        try:
            ledger().write("d", deposit("x" * 100_000, 1))
        except LedgerRefused:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.accounts.check_id", lambda *_: None)])


def test_a_log_is_not_filled_by_one_escrow() -> None:
    def attack() -> bool:
        book = ledger()
        stakes = [pb.Stake(account=f"a{number}") for number in range(10_000)]
        lock = pb.Lock(trade_id="t", terms_hash=bytes(32), stakes=stakes)
        try:
            book.write("l", pb.Entry(lock=lock))
        except LedgerRefused:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.accounts.MAX_STAKES", 10**9)])
