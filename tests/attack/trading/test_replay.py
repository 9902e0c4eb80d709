"""Replay: what was signed once, said again: later, elsewhere, as another call, or of another trade."""

import asyncio
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.attacks import KEYS, Street, repelled
from tests.support.ledgers import KEY, deposit, ledger
from tests.support.market_ports import Others, journal, runtime
from tests.support.market_receipts import settled
from tests.support.market_steps import CALLED, billed
from trading.client import receipts
from trading.core import tenders
from trading.core.settlement import LineKind
from trading.exchange.runtime import Runtime
from trading.exchange.services import turns
from trading.exchange.services.market import MarketService
from trading.exchange.services.turns import Pauses
from trading.ledger import verifying
from trading.ledger.keys import Domain, is_signed
from trading.ledger.mandates import sign
from trading.ledger.storage import MemoryStorage
from trading.reasons import Refused

pytestmark = pytest.mark.attack

Off = list[AbstractContextManager[object]]
EVES = ledger_pb2.Deposit(account="eve", nano=5)
ANY_MANDATE = "trading.exchange.mandates.is_mandated"


class Forgetful(Street):
    """Keeps no ids of orders; nonces only are left."""

    def takes(self, request: pb.CreateTendersRequest, now_ns: int = 0) -> int:
        for standing in self.market._desk.standings().values():
            standing.orders.clear()
        return super().takes(request, now_ns)


def said_twice(kind: type[Street]) -> bool:
    street = kind()
    request = street.asks(street.tender())
    return street.takes(request) + street.takes(request) > 1


def test_an_order_that_is_said_again_is_known_by_its_id() -> None:
    assert not said_twice(Street)


def test_an_order_that_is_said_again_is_known_by_its_nonce_once_its_id_is_forgotten() -> None:
    unchecked = patch.object(tenders, "_check_nonce", lambda *_: None)
    repelled(lambda: said_twice(Forgetful), lambda: [unchecked])


def test_what_a_pause_refused_unheard_is_not_taken_later(tmp_path: Path) -> None:
    """Of a party that asked for more than it may; whoever saw the request says it again once the pause is over."""

    async def attack() -> bool:
        directory = Path(mkdtemp(dir=tmp_path))
        others, street = Others(), Street()
        exchange = runtime(others, journal(directory))
        exchange.start()
        parts: Any = SimpleNamespace(runtime=exchange, mandates=street.mandates)
        service = MarketService(parts)
        request = street.asks(street.tender(meter_id="meter of ann"), party="ann", key="ann")
        service._pauses.note_hasty("ann")
        with patch.object(turns, "_MOST_WAITING", 0), pytest.raises(Refused):
            await service.CreateTenders(request, None)
        service._pauses = Pauses()
        (result,) = (await service.CreateTenders(request, None)).results
        await exchange.close()
        return result.HasField("order")

    async def nothing(*_: object) -> None:
        pass

    repelled(
        lambda: asyncio.run(attack()),
        lambda: [patch.object(Runtime, "use_nonce", nothing)],
    )


def test_a_word_is_good_at_one_market_only() -> None:
    def attack() -> bool:
        street, other = Street(), ledger()
        return street.takes(street.asks(street.tender(), log_id=other.log_id)) > 0

    repelled(attack, lambda: [patch(ANY_MANDATE, lambda *_: True)])


def test_a_word_is_good_as_one_call_only() -> None:
    """A deposit that the operator has signed is no withdrawal, though both say the same."""

    def attack() -> bool:
        street = Street()
        log_id = street.book.log_id
        asked = ledger_pb.DepositRequest(key="k", account="eve", nano=5)
        sign("Deposit", asked, "operator", 1, KEYS["operator"], log_id)
        again = ledger_pb.WithdrawRequest.FromString(asked.SerializeToString())
        try:
            street.mandates.check_operator("Withdraw", again)
        except Refused:
            return False
        return True

    def nameless(method: str, request: ledger_pb.DepositRequest) -> bytes:
        bare = type(request).FromString(request.SerializeToString())
        bare.mandate.signature = b""
        return bare.SerializeToString(deterministic=True)

    repelled(attack, lambda: [patch("trading.ledger.mandates.signed_bytes", nameless)])


def test_two_sessions_of_one_party_cannot_be_made_to_say_their_words_in_another_order() -> None:
    """The older word, that somebody has held back: the party has thought better of it since."""

    def attack() -> bool:
        street = Street()
        held_back, newer = street.asks(street.tender("a")), street.asks(street.tender("b"))
        street.takes(newer)
        return street.takes(held_back) > 0

    repelled(attack, lambda: [patch.object(tenders, "_check_nonce", lambda *_: None)])


def test_a_decision_that_came_too_early_decides_nothing_later() -> None:
    """The operator's, about a bill that nobody objected to; whoever saw it says it again when somebody does."""

    def attack() -> bool:
        market, trade_id = billed()
        (row,) = market.trades()

        def decide() -> None:
            with suppress(Refused):
                market.resolve("joe", 5, trade_id, row.trade.ends, "as it is", CALLED)

        decide()
        market.object_to("ann", 9, trade_id, LineKind.ENERGY, "my meter broke", CALLED)
        decide()
        return row.trade.is_decided

    repelled(attack, lambda: [patch.object(tenders, "_check_nonce", lambda *_: None)])


def test_an_entry_of_one_log_is_none_of_another() -> None:
    def attack() -> bool:
        mine, its = MemoryStorage(), MemoryStorage()
        ledger(mine).write("d", deposit("ann", 5))
        ledger(its).write("d", deposit("eve", 5))
        try:
            entries = [*list(mine.entries())[:1], *list(its.entries())[1:]]
            verifier = verifying.verify(entries, mine.head())
        except verifying.BadLog:
            return False
        return verifier.accounts.balance("eve") == 5

    def believed() -> Off:
        end = patch.object(verifying.Verifier, "end", lambda *_: ledger_pb2.TreeHead())
        return [patch.object(verifying, "is_signed", lambda *_: True), end]

    repelled(attack, believed)


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    """Bytes that the log's key has signed as something else are no entry."""

    def attack() -> bool:
        storage = MemoryStorage()
        book = ledger(storage)
        entry = ledger_pb2.Entry(seq=1, key="x", at_unix_ns=2_000, deposit=EVES)
        content = entry.SerializeToString(deterministic=True)
        signature = KEY.sign(Domain.WITNESSED, book.log_id, content)
        verifier = verifying.Verifier()
        for each in storage.entries():
            verifier.take(each)
        try:
            signed = ledger_pb2.SignedEntry(entry=content, key_id=KEY.key_id, signature=signature)
            verifier.take(signed)
        except verifying.BadLog:
            return False
        return True

    def of_any_kind(key: bytes, domain: Domain, *signed: bytes) -> bool:
        return any(is_signed(key, each, *signed) for each in Domain)

    repelled(attack, lambda: [patch.object(verifying, "is_signed", of_any_kind)])


def test_a_receipt_of_one_trade_is_none_of_another() -> None:
    def attack() -> bool:
        receipt: pb.Receipt = settled()[2]
        try:
            receipts.check_receipt(receipt, "t2", KEY.public_key)
        except receipts.BadReceipt:
            return False
        return True

    def without() -> Off:
        of_none = patch.object(receipts, "_check_subject", lambda *_: None)
        return [of_none, patch.object(receipts, "_terms", lambda *_: pb.TradeTerms())]

    repelled(attack, without)
