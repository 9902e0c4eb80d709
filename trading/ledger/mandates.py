"""Mandates: whoever tells a market to change something signs it. What is signed, by whom, and whether it is good.

A signature is over the domain, the log's id, the name of the call, and the request in deterministic bytes with
``mandate.signature`` empty: it is good for no other market, call or content. That no request is taken twice is for its
nonce, or its id, to see to.
"""

from typing import Protocol, TypeVar

from digitalgrid.market.v1 import market_pb2 as pb
from trading.ledger.keys import Domain, SigningKey, is_signed


class Mandated(Protocol):
    @property
    def mandate(self) -> pb.Mandate: ...

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802 - protobuf's name


Request = TypeVar("Request", bound=Mandated)


def signed_bytes(method: str, request: Mandated) -> bytes:
    """What a mandate's signature is over, beside the domain and the log's id. ``method``: as ``CreateTenders``."""
    signature = request.mandate.signature
    request.mandate.signature = b""
    try:
        return method.encode() + b"\x00" + request.SerializeToString(deterministic=True)
    finally:
        request.mandate.signature = signature


def sign(
    method: str, request: Request, party: str, nonce: int, key: SigningKey, log_id: bytes
) -> Request:
    """The request itself, with its mandate."""
    mandate = request.mandate
    mandate.party, mandate.nonce = party, nonce
    mandate.signature = key.sign(Domain.ORDER, log_id, signed_bytes(method, request))
    return request


def is_mandated(method: str, request: Mandated, public_key: bytes, log_id: bytes) -> bool:
    """Whether whoever has the key that belongs to ``public_key`` has asked for exactly this, here."""
    message = signed_bytes(method, request)
    return is_signed(public_key, Domain.ORDER, log_id, message, request.mandate.signature)
