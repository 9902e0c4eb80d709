"""The blocking client of a market."""

from collections.abc import Iterator

from digitalgrid.client.asking import BlockingClient, asked, streamed
from digitalgrid.market.v1 import ledger_pb2
from trading.client.calls import Connection, channel_options
from trading.client.conversations import MarketConversations
from trading.client.defaults import DEFAULT_MARKET, DEFAULT_TIMEOUT_S
from trading.client.signing import Signer


class MarketClient(BlockingClient[Connection, MarketConversations]):
    """Tenders, and looks at what became of it. Every call raises PowerError, within ``timeout_s`` of silence.

    ``signer`` is who tenders; who only reads needs none.

    ::

        with MarketClient(signer=Signer.of_file("ann", Path("ann.key"))) as client:
            interval = client.market().intervals[0].interval
            client.create_tenders([tender("buy", "load5", 700, 220_000, interval)])
    """

    def __init__(
        self,
        server: str = DEFAULT_MARKET,
        *,
        signer: Signer | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        super().__init__(server, timeout_s, Connection, channel_options)
        self._talk = MarketConversations(signer)

    market = asked(MarketConversations.market)
    create_tenders = asked(MarketConversations.create_tenders)
    create_tender = asked(MarketConversations.create_tender)
    cancel_tender = asked(MarketConversations.cancel_tender)
    set_forecast = asked(MarketConversations.set_forecast)
    list_tenders = asked(MarketConversations.list_tenders)
    wait_until_decided = asked(MarketConversations.wait_until_decided)
    book = asked(MarketConversations.book)
    preview_clearing = asked(MarketConversations.preview_clearing)
    list_clearings = asked(MarketConversations.list_clearings)
    watch_market = streamed(MarketConversations.watch_market)
    get_transaction = asked(MarketConversations.get_transaction)
    list_transactions = asked(MarketConversations.list_transactions)
    watch_transactions = streamed(MarketConversations.watch_transactions)
    list_positions = asked(MarketConversations.list_positions)
    get_settlement = asked(MarketConversations.get_settlement)
    get_receipt = asked(MarketConversations.get_receipt)
    open_dispute = asked(MarketConversations.open_dispute)
    resolve_dispute = asked(MarketConversations.resolve_dispute)
    balance = asked(MarketConversations.balance)
    deposit = asked(MarketConversations.deposit)
    withdraw = asked(MarketConversations.withdraw)
    refund = asked(MarketConversations.refund)
    rotate_key = asked(MarketConversations.rotate_key)
    get_meter = asked(MarketConversations.get_meter)
    register_meter = asked(MarketConversations.register_meter)
    release_meter = asked(MarketConversations.release_meter)
    head = asked(MarketConversations.head)
    consistency = asked(MarketConversations.consistency)

    def entries(self, from_seq: int, to_seq: int) -> Iterator[ledger_pb2.SignedEntry]:
        """Of the log, from one on, up to another and without it."""
        while from_seq < to_seq:
            some = self._hold(self._talk.some_entries(from_seq, to_seq))
            yield from some
            if not some:
                return
            from_seq += len(some)
