"""MeterService: which meters trade here, by their own signed word in the log; the third layer against selling twice."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Protocol

from digitalgrid.market.v1 import ledger_pb2, market_pb2
from digitalgrid.market.v1 import meter_service_pb2 as pb
from digitalgrid.market.v1.meter_service_pb2_grpc import MeterServiceServicer
from trading.core.orders import Meter
from trading.exchange.mandates import Mandates
from trading.exchange.services.alone import Alone
from trading.exchange.services.ledger import LedgerThread
from trading.ledger.departures import log_of, named_keys, read_certificate, read_notice
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.registry import Stay
from trading.reasons import MarketReason, Refused


class Moving(Protocol):
    """What of the market moves of meters need: nonces, and that nothing of a meter is tendered meanwhile."""

    async def use_nonce(self, party: str, nonce: int) -> None:
        """Raises Refused for one that was used."""

    def meter(self, public_key: bytes) -> Meter:
        """Raises Refused where none here has this key."""

    async def begin_move(self, meter_public_key: bytes, *, leaves: bool) -> None:
        """Raises Refused where it may not leave. What is over for it is durable when this returns."""

    def end_move(self, meter_public_key: bytes) -> None: ...


class MeterService(MeterServiceServicer):
    """``known_logs``: of other exchanges, by id, with the newest key that each is known to have."""

    def __init__(
        self,
        ledger: LedgerThread,
        mandates: Mandates,
        market: Moving,
        meters: Mapping[str, Meter],
        known_logs: Mapping[bytes, bytes],
    ) -> None:
        self._ledger = ledger
        self._mandates = mandates
        self._market = market
        self._meters = meters
        self._keys = frozenset(each.public_key for each in meters.values())
        self._known_logs = known_logs
        self._alone = Alone()
        # A move goes on also where nobody waits for its answer any more: the log is being told.
        self._moves: set[asyncio.Task[Receipt]] = set()

    async def GetMeter(self, request: pb.GetMeterRequest, context: Any) -> pb.GetMeterResponse:
        meter = await self._asked(request)
        key = meter.public_key
        departure = await self._ledger.ask(lambda book: book.departure(key) if key else None)
        return pb.GetMeterResponse(standing=await self._standing(meter), departure=departure)

    async def RegisterMeter(
        self, request: pb.RegisterMeterRequest, context: Any
    ) -> pb.RegisterMeterResponse:
        party = self._mandates.party_of("RegisterMeter", request)
        registration = request.registration
        certificate = read_certificate(registration, self._mandates.log_id)
        meter = self._own(certificate.meter_public_key, party)
        if registration.HasField("departure"):
            self._check_known(registration.departure)
        entry = ledger_pb2.Entry(registration=registration)
        done = await self._move(meter, _key(registration.certificate), entry, request.mandate)
        return pb.RegisterMeterResponse(seq=done.seq, standing=await self._standing(meter))

    async def ReleaseMeter(
        self, request: pb.ReleaseMeterRequest, context: Any
    ) -> pb.ReleaseMeterResponse:
        party = self._mandates.party_of("ReleaseMeter", request)
        release = request.release
        notice = read_notice(release, self._mandates.log_id)
        meter = await self._removed(notice.meter_public_key)
        if meter is None:
            meter = self._own(notice.meter_public_key, party)
        entry = ledger_pb2.Entry(release=release)
        done = await self._move(meter, _key(release.notice), entry, request.mandate)
        departure = await self._ledger.ask(lambda book: book.departure(meter.public_key))
        standing = await self._standing(meter)
        return pb.ReleaseMeterResponse(seq=done.seq, standing=standing, departure=departure)

    async def _asked(self, request: pb.GetMeterRequest) -> Meter:
        """Raises Refused."""
        if request.public_key:
            removed = await self._removed(request.public_key)
            return removed or self._market.meter(request.public_key)
        meter = self._meters.get(request.meter_id)
        if meter is None:
            raise Refused(
                MarketReason.METER_NOT_YOURS, f"there is no meter {request.meter_id!r} here"
            )
        return meter

    async def _removed(self, public_key: bytes) -> Meter | None:
        """A meter that the log has had, and the market's file has no more, or by another key: whoever has its key can
        still take it elsewhere. Else it would be registered here for ever.
        """
        if public_key in self._keys:
            return None
        stay = await self._ledger.ask(lambda book: book.stay(public_key))
        return None if stay is None else Meter("", "", "", public_key=public_key)

    def _own(self, public_key: bytes, party: str) -> Meter:
        """The meter that a party may move. Raises Refused."""
        meter = self._market.meter(public_key)
        if party not in (meter.party, self._mandates.operator):
            raise Refused(
                MarketReason.METER_NOT_YOURS,
                f"party {party} has no meter with the key {public_key.hex()}",
            )
        return meter

    def _check_known(self, departure: ledger_pb2.MeterDeparture) -> None:
        """Anybody can make a log that releases whatever he likes: it must be an exchange's. Looked at before its party
        is heard, as it costs nothing; whether the proof holds, which does, the ledger looks at in its own thread.
        """
        log_id = log_of(departure)
        if log_id not in self._known_logs:
            raise Refused(
                MarketReason.LOG_UNKNOWN, f"no exchange with the log {log_id.hex()} is known here"
            )

    def _check_current(self, departure: ledger_pb2.MeterDeparture) -> None:
        """Its log may have given up the key that it ends with."""
        log_id = log_of(departure)
        known = self._known_logs[log_id]
        if known not in named_keys(departure):
            raise Refused(
                MarketReason.LOG_UNKNOWN,
                f"the log {log_id.hex()} has the key {known.hex()} by now, and the proof does not come to it",
            )

    def _check_heir(self, notice: ledger_pb2.MeterNotice) -> None:
        """A meter that went to a log which nobody has would come back nowhere: one digit can be wrong."""
        to = notice.to_log_id
        if to != self._mandates.log_id and to not in self._known_logs:
            raise Refused(
                MarketReason.LOG_UNKNOWN,
                f"no exchange with the log {to.hex() or 'of no id'} is known here, and no other could have the meter"
                " once it were released to that",
                "to_log_id",
            )

    async def _move(
        self, meter: Meter, key: str, entry: ledger_pb2.Entry, mandate: market_pb2.Mandate
    ) -> Receipt:
        move = asyncio.ensure_future(self._moved(meter, key, entry, mandate))
        self._moves.add(move)
        move.add_done_callback(self._forget)
        return await asyncio.shield(move)

    def _forget(self, move: asyncio.Task[Receipt]) -> None:
        self._moves.discard(move)
        with suppress(asyncio.CancelledError):
            move.exception()

    async def _moved(
        self, meter: Meter, key: str, entry: ledger_pb2.Entry, mandate: market_pb2.Mandate
    ) -> Receipt:
        public_key = meter.public_key
        async with self._alone.with_key(public_key.hex()):
            if await self._ledger.ask(lambda book: book.seq_of(key)) is None:
                await self._market.use_nonce(mandate.party, mandate.nonce)
                if entry.registration.HasField("departure"):
                    self._check_current(entry.registration.departure)
                if entry.HasField("release"):
                    self._check_heir(read_notice(entry.release, self._mandates.log_id))
                await self._market.begin_move(public_key, leaves=entry.HasField("release"))
            try:
                return await self._ledger.write(key, entry)
            except LedgerRefused as refused:
                if refused.reason is not LedgerReason.KEY_REUSED:
                    raise
                # The same words with another proof.
                raise Refused(
                    MarketReason.METER_REGISTERED,
                    "what the meter has signed stands in the log already",
                    "departure",
                ) from refused
            finally:
                self._market.end_move(public_key)

    async def _standing(self, meter: Meter) -> pb.MeterStanding:
        def stay_of(book: Ledger) -> Stay | None:
            return book.stay(meter.public_key) if meter.public_key else None

        standing = pb.MeterStanding(
            meter_id=meter.meter_id, public_key=meter.public_key, party=meter.party
        )
        stay = await self._ledger.ask(stay_of)
        if stay is not None:
            standing.epoch, standing.registered = stay.epoch, stay.lasts
            standing.registration_seq, standing.release_seq = stay.seq, stay.end_seq or 0
            standing.not_before_unix_ns = stay.not_before_unix_ns
            standing.released_unix_ns = stay.end_unix_ns
            standing.to_log_id = stay.to_log_id
        return standing


def _key(signed: bytes) -> str:
    """Of what a meter has signed: the same again is the same entry."""
    return f"meter/{sha256(signed).hexdigest()}"
