"""Meters that have keys, and what these say of which market's log has them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TypeVar

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from tests.support.attacks import KEYS
from tests.support.ledgers import Clock
from tests.support.market_settings import SETTINGS
from trading.client.moving import registration_of, release_of
from trading.core.orders import Meter
from trading.exchange.mandates import Mandates
from trading.exchange.services.meters import MeterService
from trading.ledger.keys import Domain, SigningKey
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.mandates import Request, sign
from trading.ledger.storage import MemoryStorage
from trading.market.market import Market

T = TypeVar("T")
METER, OTHER_METER = (SigningKey.of_seed(bytes(30) + bytes([9, each])) for each in (1, 2))


def log(number: int, clock: Clock | None = None) -> Ledger:
    """Of an exchange, with a key of its own."""
    key = SigningKey.of_seed(bytes(30) + bytes([8, number]))
    return Ledger(MemoryStorage(), key, clock or Clock(), f"log {number}")


def standing(book: Ledger, key: SigningKey = METER) -> meter_pb.MeterStanding:
    """As a market tells it."""
    said = meter_pb.MeterStanding(meter_id="roof", public_key=key.public_key)
    stay = book.stay(key.public_key)
    if stay is not None:
        said.epoch, said.released_unix_ns = stay.epoch, stay.end_unix_ns
    return said


def registration(
    book: Ledger, departure: pb.MeterDeparture | None = None, key: SigningKey = METER
) -> pb.MeterRegistration:
    return registration_of(standing(book, key), key, book.log_id, departure, now_unix_ns=1_000)


def release(book: Ledger, to: bytes = b"", key: SigningKey = METER) -> pb.MeterRelease:
    return release_of(standing(book, key), key, book.log_id, to)


def register(
    book: Ledger, departure: pb.MeterDeparture | None = None, key: SigningKey = METER
) -> None:
    """Raises LedgerRefused."""
    entry = pb.Entry(registration=registration(book, departure, key))
    book.write(f"registration {book.size}", entry)


def depart(book: Ledger, to: bytes = b"", key: SigningKey = METER) -> pb.MeterDeparture:
    """The proof that it has left. Raises LedgerRefused."""
    book.write(f"release {book.size}", pb.Entry(release=release(book, to, key)))
    departure = book.departure(key.public_key)
    assert departure is not None
    return departure


def resigned(certificate: pb.MeterCertificate, key: SigningKey) -> pb.MeterRegistration:
    """What a meter would have signed of a certificate that is another."""
    content = certificate.SerializeToString(deterministic=True)
    signature = key.sign(Domain.METER_REGISTRATION, certificate.log_id, content)
    return pb.MeterRegistration(certificate=content, signature=signature)


class Here:
    """A ledger without a thread of its own, beside a market whose only meter with a ``key`` is eve's."""

    def __init__(self, book: Ledger, key: SigningKey = METER) -> None:
        self.book = book
        meters = tuple(
            msgspec.structs.replace(each, public_key=key.public_key)
            if each.party == "eve"
            else each
            for each in SETTINGS.meters
        )
        self.market = Market(msgspec.structs.replace(SETTINGS, meters=meters))
        self.market.resume(0)

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        await asyncio.sleep(0)
        return question(self.book)

    async def write(self, key: str, entry: pb.Entry) -> Receipt:
        await asyncio.sleep(0)
        return self.book.write(key, entry)

    async def rotate(self, key: str) -> Receipt:
        raise NotImplementedError

    async def use_nonce(self, party: str, nonce: int) -> None:
        self.market.use_nonce(party, nonce, 0)

    def meter(self, public_key: bytes) -> Meter:
        return self.market.moves.meter(public_key)

    async def begin_move(self, meter_public_key: bytes, *, leaves: bool) -> None:
        self.market.moves.begin(meter_public_key, 0, leaves=leaves)

    def end_move(self, meter_public_key: bytes) -> None:
        self.market.moves.end(meter_public_key)


class Served(MeterService):
    """A service with all that it stands on within reach."""

    def __init__(self, here: Here, known_logs: Mapping[bytes, bytes]) -> None:
        self.here, self.book = here, here.book
        mandates = Mandates(
            {name: key.public_key for name, key in KEYS.items()}, "operator", here.book.log_id
        )
        meters = here.market.meters
        super().__init__(here, mandates, here, meters, known_logs)
        self.nonces = count(1)

    def said(self, method: str, request: Request, party: str = "eve") -> Request:
        """Signed by a party."""
        key = KEYS[party]
        return sign(method, request, party, next(self.nonces), key, self.book.log_id)


def served(
    book: Ledger | None = None, known: Iterable[Ledger] = (), key: SigningKey = METER
) -> Served:
    """Of an exchange that knows others by their logs and by the keys that these have by now."""
    logs = {each.log_id: each.public_key for each in known}
    return Served(Here(book or log(5), key), logs)


def asked(
    service: Served, departure: pb.MeterDeparture | None = None, party: str = "eve"
) -> meter_pb.RegisterMeterResponse:
    """Eve's meter is to trade there. Raises Refused."""
    request = meter_pb.RegisterMeterRequest(registration=registration(service.book, departure))
    signed = service.said("RegisterMeter", request, party)
    return asyncio.run(service.RegisterMeter(signed, None))
