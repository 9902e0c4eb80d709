"""Replay: what was signed once, said again: later, elsewhere, as another call, or of another trade."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.attacks import KEYS, Street, repelled
from tests.support.ledgers import KEY, deposit, ledger
from tests.support.market_ports import Others, journal, runtime
from tests.support.market_receipts import settled
from tests.support.market_settings import SETTINGS
from tests.support.market_steps import CALLED, billed
from trading.client import receipts
from trading.core import tenders
from trading.core.settlement import LineKind
from trading.exchange.runtime import Runtime
from trading.exchange.services import turns
from trading.exchange.services.hearing import Hearing
from trading.exchange.services.market import MarketService
from trading.exchange.services.turns import Pauses
from trading.ledger import verifying
from trading.ledger.keys import Domain, is_signed
from trading.ledger.mandates import sign
from trading.ledger.storage import MemoryStorage
from trading.market.disputes import Objection
from trading.reasons import MarketReason, Refused

pytestmark = pytest.mark.attack

Off = list[AbstractContextManager[object]]
EVES = ledger_pb2.Deposit(account="eve", nano=5)
HERE = SimpleNamespace(peer=lambda: "ipv4:192.0.2.1:1")
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


@asynccontextmanager
async def served(directory: Path, street: Street) -> AsyncIterator[tuple[MarketService, Hearing]]:
    """A service whose parties are those of the street; its journal is gone afterwards."""
    exchange = runtime(Others(), journal(Path(mkdtemp(dir=directory))))
    exchange.start()
    parts: Any = SimpleNamespace(runtime=exchange, mandates=street.mandates)
    hearing = Hearing(exchange)
    yield MarketService(parts, hearing), hearing
    await exchange.close()


def anns(street: Street, order_id: str) -> pb.CreateTendersRequest:
    tender = street.tender(order_id, meter_id="meter of ann", wh=1)
    return street.asks(tender, party="ann", key="ann")


async def tells(service: MarketService, request: pb.CreateTendersRequest) -> str:
    """Why it is refused; nothing where it is an order."""
    try:
        (result,) = (await service.CreateTenders(request, HERE)).results
    except Refused as refused:
        # Of all of it, and of no tender.
        assert refused.reason is MarketReason.RATE_LIMIT
        return str(refused.reason)
    return result.refusal.reason


def test_what_a_pause_refused_unheard_is_taken_neither_later_nor_instead_of_what_waited(
    tmp_path: Path,
) -> None:
    """Of a party that asked for more than it may; whoever saw the request says it again once the pause is over."""

    async def attack() -> bool:
        street = Street()
        one, two, more, again = (anns(street, each) for each in ("a", "b", "c", "d"))
        async with served(tmp_path, street) as (service, hearing):
            hearing.note("ann", Refused(MarketReason.RATE_LIMIT, ""))
            with patch.object(turns, "_MOST_WAITING", 2), patch.object(turns, "_PAUSE_S", 0.01):
                calls = [asyncio.ensure_future(tells(service, each)) for each in (one, two, more)]
                assert await asyncio.gather(*calls) == ["", "", "RATE_LIMIT"]
            replayed = await tells(service, more)
            assert await tells(service, again) == ""
        return replayed == ""

    repelled(
        lambda: asyncio.run(attack()),
        lambda: [patch.object(Runtime, "pass_over", lambda *_: None)],
    )


def test_whoever_repeats_what_a_party_has_said_does_not_silence_it() -> None:
    """Neither its tenders nor its other words; without its key, and however often."""
    rules = msgspec.structs.replace(SETTINGS.rules, tender_burst=10, tenders_per_s=1.0)
    slow = msgspec.structs.replace(SETTINGS, rules=rules)

    def attack() -> bool:
        street = Street(slow)
        said = anns(street, "a")
        assert street.takes(said) == 1
        street.market.cancel("ann", 500, "a", 0)
        seen = [said, street.asks(street.tender(meter_id="none"), party="ann", key="ann")]
        for each in seen * 50:
            street.reasons(each)
            with suppress(Refused):
                street.market.cancel("ann", 500, "a", 0)
            with suppress(Refused):
                street.market.use_nonce("ann", 500, 0)
        if street.takes(anns(street, "b")) < 1:
            return True
        try:
            street.market.cancel("ann", 100_000, "b", 0)
        except Refused:
            return True
        return False

    def unread() -> Off:
        always = patch.object(tenders.Desk, "is_newer", lambda *_: True)
        return [always, patch.object(tenders, "_check_nonce", lambda *_: None)]

    repelled(attack, unread)


def test_whoever_repeats_what_a_party_has_said_takes_none_of_the_places_where_it_waits(
    tmp_path: Path,
) -> None:
    async def attack() -> bool:
        street = Street()
        said, newer = anns(street, "a"), anns(street, "b")
        async with served(tmp_path, street) as (service, hearing):
            assert await tells(service, said) == ""
            hearing.note("ann", Refused(MarketReason.RATE_LIMIT, ""))
            with patch.object(turns, "_MOST_WAITING", 2), patch.object(turns, "_PAUSE_S", 0.01):
                calls = [asyncio.ensure_future(tells(service, said)) for _ in range(10)]
                await asyncio.sleep(0)
                mine = await tells(service, newer)
                assert {*await asyncio.gather(*calls)} <= {"", "RATE_LIMIT", "STALE_NONCE"}
        return mine != ""

    def all_wait() -> Off:
        always = patch.object(Runtime, "is_newer", lambda *_: True)
        return [always, patch.object(Pauses, "_admit", crowded)]

    def crowded(_: Pauses, party: str, nonce: int, theirs: Any) -> None:
        if theirs.calls >= turns._MOST_WAITING:
            raise Refused(MarketReason.RATE_LIMIT, "")
        theirs.calls += 1

    repelled(lambda: asyncio.run(attack()), all_wait)


def test_a_copy_of_what_waits_is_stale_by_each_tender_and_what_waits_is_taken(
    tmp_path: Path,
) -> None:
    """Clients sign such a batch anew, as they do where it was heard behind a newer one."""

    async def story() -> list[str]:
        street = Street()
        waiting = anns(street, "a")
        async with served(tmp_path, street) as (service, hearing):
            hearing.note("ann", Refused(MarketReason.RATE_LIMIT, ""))
            with patch.object(turns, "_PAUSE_S", 0.01):
                calls = [asyncio.ensure_future(tells(service, waiting)) for _ in range(3)]
                return await asyncio.gather(*calls)

    assert asyncio.run(story()) == ["", "STALE_NONCE", "STALE_NONCE"]


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
        market.object_to("ann", 9, trade_id, Objection(LineKind.ENERGY, "my meter broke"), CALLED)
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
