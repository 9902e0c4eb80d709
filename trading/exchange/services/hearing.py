"""Hearing: whether and when a signed call is heard. What was said before costs whoever signed it nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from digitalgrid.rate_limit import TokenBucket
from trading.core.orders import Meter
from trading.exchange.runtime import Runtime
from trading.exchange.services.turns import Pauses, host_of
from trading.reasons import MarketReason, Refused

# Tenders that a host may repeat each second, and at once: to read and answer one costs the loop some 30 us.
_REPEATS_PER_S, _REPEATS_BURST = 2_000.0, 8_192.0
# Hosts whose repeats are remembered: of more, whoever came first begins anew.
_MOST_HOSTS = 1_000


class Hearing:
    """One for all services: a party's calls are heard in their order, whichever they are."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pauses = Pauses(runtime.pass_over)
        self._repeats: dict[str, TokenBucket] = {}

    @asynccontextmanager
    async def turn(self, party: str, nonce: int) -> AsyncIterator[None]:
        """For a call that the party has signed, ``nonce`` the last of it; it is heard within. Raises Refused.

        A repeat waits for nobody and pauses nobody: whoever saw the request can send it as well.
        """
        if not self._runtime.is_newer(party, nonce):
            yield
            return
        async with self._pauses.over(party, nonce):
            try:
                yield
            except Refused as refused:
                self.note(party, refused)
                raise

    def note(self, party: str, refused: Refused) -> None:
        """Who was refused for its rate is heard slowly for a while. Only what is new is refused for that."""
        if refused.reason is MarketReason.RATE_LIMIT:
            self._pauses.note_hasty(party)

    def check_repeats(self, party: str, nonce: int, peer: str, tenders: int) -> None:
        """Of a batch that was heard before: who repeats it is not known, so its host pays. Raises Refused."""
        if self._runtime.is_newer(party, nonce):
            return
        host, now_ns = host_of(peer), self._runtime.now_ns()
        bucket = self._repeats.get(host)
        if bucket is None:
            if len(self._repeats) >= _MOST_HOSTS:
                del self._repeats[next(iter(self._repeats))]
            bucket = self._repeats[host] = TokenBucket(_REPEATS_PER_S, _REPEATS_BURST)
        if not bucket.take(now_ns, tenders):
            raise Refused(
                MarketReason.OVERLOADED,
                f"your host repeats more than {_REPEATS_PER_S:g} tenders a second; sign them anew, or try again",
            )

    async def use_nonce(self, party: str, nonce: int) -> None:
        """Of a word that the ledger hears. Raises Refused for one that was used, or is one too many."""
        async with self.turn(party, nonce):
            await self._runtime.use_nonce(party, nonce)

    def meter(self, public_key: bytes) -> Meter:
        """Raises Refused where none here has this key."""
        return self._runtime.market.moves.meter(public_key)

    async def begin_move(self, meter_public_key: bytes, *, leaves: bool) -> None:
        await self._runtime.begin_move(meter_public_key, leaves=leaves)

    def end_move(self, meter_public_key: bytes) -> None:
        self._runtime.end_move(meter_public_key)

    def is_open(self, trade_id: str) -> bool:
        return self._runtime.is_open(trade_id)
