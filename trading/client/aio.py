"""The asyncio client of a market."""

from collections.abc import AsyncGenerator

from digitalgrid.client.asking_async import AsyncClient, awaited, streamed
from digitalgrid.market.v1 import ledger_pb2
from trading.client.calls import Connection, channel_options
from trading.client.conversations import MarketConversations
from trading.client.defaults import DEFAULT_MARKET, DEFAULT_TIMEOUT_S
from trading.client.signing import Signer


class AsyncMarketClient(AsyncClient[Connection, MarketConversations]):
    """Tenders from an asyncio loop; the calls are those of :class:`MarketClient`, awaited.

    ::

        async with AsyncMarketClient(signer=Signer.of_file("ann", Path("ann.key"))) as client:
            interval = (await client.market()).intervals[0].interval
            await client.create_tenders([tender("buy", "load5", 700, 220_000, interval)])
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

    market = awaited(MarketConversations.market)
    create_tenders = awaited(MarketConversations.create_tenders)
    create_tender = awaited(MarketConversations.create_tender)
    cancel_tender = awaited(MarketConversations.cancel_tender)
    set_forecast = awaited(MarketConversations.set_forecast)
    list_tenders = awaited(MarketConversations.list_tenders)
    wait_until_decided = awaited(MarketConversations.wait_until_decided)
    book = awaited(MarketConversations.book)
    preview_clearing = awaited(MarketConversations.preview_clearing)
    list_clearings = awaited(MarketConversations.list_clearings)
    watch_market = streamed(MarketConversations.watch_market)
    get_transaction = awaited(MarketConversations.get_transaction)
    list_transactions = awaited(MarketConversations.list_transactions)
    watch_transactions = streamed(MarketConversations.watch_transactions)
    list_positions = awaited(MarketConversations.list_positions)
    get_settlement = awaited(MarketConversations.get_settlement)
    get_receipt = awaited(MarketConversations.get_receipt)
    open_dispute = awaited(MarketConversations.open_dispute)
    resolve_dispute = awaited(MarketConversations.resolve_dispute)
    balance = awaited(MarketConversations.balance)
    deposit = awaited(MarketConversations.deposit)
    withdraw = awaited(MarketConversations.withdraw)
    refund = awaited(MarketConversations.refund)
    rotate_key = awaited(MarketConversations.rotate_key)
    get_meter = awaited(MarketConversations.get_meter)
    register_meter = awaited(MarketConversations.register_meter)
    release_meter = awaited(MarketConversations.release_meter)
    head = awaited(MarketConversations.head)
    consistency = awaited(MarketConversations.consistency)

    async def entries(self, from_seq: int, to_seq: int) -> AsyncGenerator[ledger_pb2.SignedEntry]:
        """Of the log, from one on, up to another and without it."""
        while from_seq < to_seq:
            some = await self._hold(self._talk.some_entries(from_seq, to_seq))
            for entry in some:
                yield entry
            if not some:
                return
            from_seq += len(some)
