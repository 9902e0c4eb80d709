"""Signing of mandates: a party's key, and nonces that only grow, whatever threads ask."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from trading.ledger.key_files import read_key
from trading.ledger.keys import SigningKey
from trading.ledger.mandates import Request, sign

__all__ = ["Signer", "read_key"]


class Signer:
    """Signs as ``party``. Nonces are the time (ns since 1970), so that several programs of one party can take turns."""

    def __init__(
        self, party: str, key: SigningKey, now_unix_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.party = party
        self._key = key
        self._now_unix_ns = now_unix_ns
        self._next_nonce = 0
        self._lock = threading.Lock()

    @classmethod
    def of_file(cls, party: str, path: Path) -> "Signer":
        """Raises BadKeyFile, or OSError, for a file that holds no key."""
        return cls(party, read_key(path))

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, method: str, request: Request, log_id: bytes, nonces: int = 1) -> Request:
        """The request itself, with its mandate, which uses up so many nonces."""
        with self._lock:
            nonce = max(self._next_nonce, self._now_unix_ns())
            self._next_nonce = nonce + nonces
        return sign(method, request, self.party, nonce, self._key, log_id)
