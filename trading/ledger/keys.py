"""Signatures of a ledger: Ed25519 (RFC 8032) over a domain, the log's id and the bytes: none is good elsewhere."""

from enum import Enum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# Of Ed25519.
PUBLIC_KEY_BYTES = 32


class Domain(Enum):
    """What is signed. A signature of one kind is none of another."""

    ENTRY = b"dg-market-v1/entry\x00"
    TREE_HEAD = b"dg-market-v1/tree-head\x00"
    WITNESSED = b"dg-market-v1/witnessed\x00"
    # What parties and the operator ask of a market.
    ORDER = b"dg-market-v1/order\x00"
    # What a meter's own key says of where it is registered.
    METER_REGISTRATION = b"dg-market-v1/meter-registration\x00"
    METER_RELEASE = b"dg-market-v1/meter-release\x00"


def key_id_of(public_key: bytes) -> bytes:
    return sha256(public_key).digest()[:8]


class SigningKey:
    """Whoever has it can write in its owner's name. Kept in a file that nobody else may read."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def new(cls) -> "SigningKey":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_seed(cls, seed: bytes) -> "SigningKey":
        """Of its 32 secret bytes; raises ValueError for another number."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def seed(self) -> bytes:
        """The secret."""
        return self._private.private_bytes_raw()

    def sign(self, domain: Domain, log_id: bytes, message: bytes) -> bytes:
        return self._private.sign(domain.value + log_id + message)


def is_signed(
    public_key: bytes, domain: Domain, log_id: bytes, message: bytes, signature: bytes
) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, domain.value + log_id + message)
    except (InvalidSignature, ValueError):
        return False
    return True
