"""Fake contracts: orders that their party never gave, and trades that were never agreed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from tests.support.attacks import Street, repelled
from tests.support.ledgers import KEY
from tests.support.market_receipts import settled
from tests.support.market_settings import SETTINGS
from trading.client.receipts import BadReceipt, check_receipt
from trading.core.tenders import Desk
from trading.core.units import MicroPerKwh
from trading.market.outcome import Clear, Cleared
from trading.mechanisms import verify as judging
from trading.mechanisms.call import CallAuction
from trading.mechanisms.mechanism import Match
from trading.mechanisms.network import no_network

pytestmark = pytest.mark.attack

TWO_OPEN = msgspec.structs.replace(SETTINGS.rules, ahead=2)
ANY_MANDATE = "trading.exchange.mandates.is_mandated"


def test_a_forged_signature_makes_no_order() -> None:
    def attack() -> bool:
        street = Street()
        request = street.asks(street.tender())
        request.mandate.signature = bytes(64)
        return street.takes(request) > 0

    repelled(attack, lambda: [patch(ANY_MANDATE, lambda *_: True)])


def test_a_good_signature_of_another_key_makes_no_order() -> None:
    def attack() -> bool:
        street = Street()
        victim = street.tender(meter_id="meter of ann")
        return street.takes(street.asks(victim, party="ann", key="eve")) > 0

    repelled(attack, lambda: [patch(ANY_MANDATE, lambda *_: True)])


@pytest.mark.parametrize("field", ["wh", "limit_micro_per_kwh", "interval", "side"])
def test_an_order_that_is_altered_on_its_way_is_none(field: str) -> None:
    def attack() -> bool:
        street = Street(msgspec.structs.replace(SETTINGS, rules=TWO_OPEN))
        request = street.asks(street.tender())
        (tender,) = request.tenders
        if field == "interval":
            tender.interval.start_unix_ns += tender.interval.length_ns
        elif field == "side":
            tender.side = pb.SIDE_BUY
        else:
            setattr(tender, field, getattr(tender, field) // 2)
        return street.takes(request) > 0

    repelled(attack, lambda: [patch(ANY_MANDATE, lambda *_: True)])


def test_nobody_sells_from_the_meter_of_another() -> None:
    def attack() -> bool:
        street = Street()
        return street.takes(street.asks(street.tender(meter_id="meter of bob"))) > 0

    def any_meter(desk: Desk, tender: object) -> object:
        return Street().market.meters["meter of bob"]

    repelled(attack, lambda: [patch.object(Desk, "_meter_of", any_meter)])


def test_terms_that_are_not_those_that_the_money_was_locked_for_prove_nothing() -> None:
    def attack() -> bool:
        receipt = settled()[2]
        terms = pb.TradeTerms.FromString(receipt.terms)
        terms.wh *= 2
        receipt.terms = terms.SerializeToString(deterministic=True)
        try:
            proved = check_receipt(receipt, "t1", KEY.public_key)
        except BadReceipt:
            return False
        return proved.terms == terms

    repelled(attack, lambda: [patch("trading.client.receipts._is_hash_of", lambda *_: True)])


def test_a_commitment_of_another_trade_is_no_agreement() -> None:
    """In the same log, and good there."""

    def attack() -> bool:
        book, _, _ = settled()
        _, _, other = settled(book, "t2")
        receipt = settled(book, "t3")[2]
        receipt.entries[1].CopyFrom(other.entries[1])
        receipt.head, receipt.head_signature = other.head, other.head_signature
        try:
            return len(check_receipt(receipt, "t3", KEY.public_key).entries) == 3
        except BadReceipt:
            return False

    def without() -> list[AbstractContextManager[object]]:
        checks = ("_check_subject", "_check_agreed")
        off = [patch(f"trading.client.receipts.{each}", lambda *_: None) for each in checks]
        return [*off, patch("trading.client.receipts.includes", lambda *_: True)]

    repelled(attack, without)


def beyond_the_limit(match: Match) -> Match:
    return msgspec.structs.replace(match, buyer_price=MicroPerKwh(match.buyer_price + 1))


def below_what_the_seller_takes(match: Match) -> Match:
    return msgspec.structs.replace(match, seller_price=MicroPerKwh(match.seller_price - 1))


@pytest.mark.parametrize("lies", [beyond_the_limit, below_what_the_seller_takes])
def test_a_mechanism_that_lies_matches_nobody_as_he_never_tendered(
    lies: Callable[[Match], Match],
) -> None:
    """A plug-in of others decides who trades; what it says is checked by what knows no mechanism."""

    def attack() -> bool:
        street = Street(msgspec.structs.replace(SETTINGS, mechanisms=("call",)))
        buys = street.tender("b", side=pb.SIDE_BUY, meter_id="meter of ann")
        street.takes(street.asks(street.tender("s")))
        street.takes(street.asks(buys, party="ann", key="ann"))
        start_ns = street.interval.start_ns
        asked: list[Clear] = []
        for now_ns in range(0, start_ns, NS_PER_S):
            effects = street.market.tick(now_ns).effects
            asked += [each for each in effects if isinstance(each, Clear)]
        orders, network = asked[0].orders, no_network()
        honest = CallAuction().clear(orders, network, seed=0)
        (match,) = honest.matches
        lie = msgspec.structs.replace(honest, matches=(lies(match),))
        answer = Cleared(lie, tuple(judging.verify(orders, network, lie)), 1)
        street.market.cleared(start_ns, asked[0].round, answer, start_ns - NS_PER_S)
        return any(True for _ in street.market.trades())

    repelled(attack, lambda: [patch.object(judging, "verify", lambda *_: [])])
