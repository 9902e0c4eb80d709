"""What attacks are made on: a market that knows its parties by their keys, beside a ledger. And how one is judged."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from typing import Any

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.ledgers import Clock, deposit, ledger
from tests.support.market_settings import SETTINGS
from trading.client.calls import tender
from trading.client.signing import Signer
from trading.core.orders import Tender
from trading.exchange.mandates import Mandates
from trading.exchange.services.codec import tenders_from_pb
from trading.ledger.keys import SigningKey
from trading.market.market import Market
from trading.market.records import OrderRecord
from trading.market.settings import MarketSettings
from trading.reasons import MarketReason, Refused

KEYS = {
    name: SigningKey.of_seed(bytes(31) + bytes([number]))
    for number, name in enumerate(("operator", "ann", "bob", "eve"), start=1)
}
MONEY = 10**9


def repelled(
    attack: Callable[[], bool], without: Callable[[], Iterable[AbstractContextManager[Any]]]
) -> None:
    """``attack`` says whether it has succeeded. It must not; and without its defence it must, or it is none."""
    assert not attack(), "the attack succeeds"
    with ExitStack() as off:
        for defence in without():
            off.enter_context(defence)
        assert attack(), "this is no attack: it fails without its defence too"


class Street:
    """A market where meters give and take alike, open for one interval or more. Each party has money, and a key."""

    def __init__(self, settings: MarketSettings = SETTINGS) -> None:
        self.book = ledger(clock=Clock())
        for party in KEYS:
            self.book.write(f"deposit/{party}", deposit(party, MONEY))
        self.market = Market(settings)
        self.market.resume(0)
        self.mandates = self.at(self.book.log_id)
        self.interval, *_ = settings.rules.open_intervals(0)
        # By the clock there, which stands at 0; each request has room for a batch.
        self._nonces = count(0, 1_000)

    @staticmethod
    def at(log_id: bytes) -> Mandates:
        keys = {name: key.public_key for name, key in KEYS.items()}
        return Mandates(keys, "operator", log_id)

    def tender(self, order_id: str = "o", **changed: Any) -> pb.Tender:
        """Eve's, at her meter."""
        interval = pb.Interval(
            start_unix_ns=self.interval.start_ns, length_ns=self.interval.length_ns
        )
        made = tender("sell", "meter of eve", 100, 200_000, interval, order_id=order_id)
        for name, value in changed.items():
            setattr(made, name, value)
        return made

    def asks(
        self, *tenders: pb.Tender, party: str = "eve", key: str = "eve", log_id: bytes = b""
    ) -> pb.CreateTendersRequest:
        """Signed with ``key`` as ``party``."""
        request = pb.CreateTendersRequest(tenders=tenders)
        signer = Signer(party, KEYS[key], lambda: next(self._nonces))
        return signer.sign("CreateTenders", request, log_id or self.book.log_id, len(tenders))

    def takes(self, request: pb.CreateTendersRequest, now_ns: int = 0) -> int:
        """How many orders a request makes, as the market's service takes it."""
        try:
            self.mandates.party_of("CreateTenders", request)
        except Refused as refused:
            assert refused.reason is MarketReason.BAD_SIGNATURE
            return 0
        tenders = self._read(request)
        known = {row.order.seq for row in self.market.orders.rows()}
        self.market.create(tenders, now_ns, mandate_holds=True, free=self.book.balance)
        return len({row.order.seq for row in self.market.orders.rows()} - known)

    def reasons(self, request: pb.CreateTendersRequest) -> set[str]:
        """Why tenders are not taken; of a request whose mandate holds."""
        tenders = self._read(request)
        outcome = self.market.create(tenders, 0, mandate_holds=True, free=self.book.balance)
        return {each.reason for each in outcome.answer if not isinstance(each, OrderRecord)}

    def _read(self, request: pb.CreateTendersRequest) -> list[Tender]:
        return [each for each in tenders_from_pb(request) if isinstance(each, Tender)]
