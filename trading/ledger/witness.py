"""A witness: remembers the newest head of a log, and signs another only where that goes on from it.

A log that shows one history to some and another to others (split view) is found out by whoever compares what witnesses
have signed. Pure; who keeps what it remembers is for the edge.
"""

from collections.abc import Callable, Sequence

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.keys import Domain, SigningKey, is_signed, key_id_of
from trading.ledger.merkle import EMPTY_ROOT, extends
from trading.ledger.verifying import BadLog


class Witnessed(msgspec.Struct, frozen=True):
    """A head with the witness's signature beside the log's."""

    head: bytes
    key_id: bytes
    signature: bytes


class Witness:
    """Of one log, which it knows by its key and id. ``seen`` is what it remembers from before."""

    def __init__(
        self,
        log_id: bytes,
        log_public_key: bytes,
        signer: SigningKey,
        seen: pb.TreeHead | None = None,
    ) -> None:
        self._log_id = log_id
        self._log_public_key = log_public_key
        self._signer = signer
        self._seen = seen or pb.TreeHead(log_id=log_id, root=EMPTY_ROOT)

    @property
    def seen(self) -> pb.TreeHead:
        """The newest head that it has signed; of no entries before the first."""
        return self._seen

    def follow(self, signed: pb.SignedEntry) -> None:
        """Another key signs this log from now on, as an entry of the present one says. Raises BadLog."""
        entry = pb.Entry.FromString(signed.entry)
        good = signed.key_id == key_id_of(self._log_public_key) and is_signed(
            self._log_public_key, Domain.ENTRY, self._log_id, signed.entry, signed.signature
        )
        if not good or not entry.HasField("log_key"):
            raise BadLog("that is no word of this log's key about another", entry.seq)
        self._log_public_key = entry.log_key.public_key

    def sign(
        self,
        signed: pb.SignedTreeHead,
        consistency: Callable[[int, int], Sequence[bytes]],
    ) -> Witnessed:
        """Raises BadLog for a head that the log's key has not signed, or that does not go on from what was seen.

        ``consistency`` asks the log for its proof, from one size to another.
        """
        good = signed.key_id == key_id_of(self._log_public_key) and is_signed(
            self._log_public_key, Domain.TREE_HEAD, self._log_id, signed.head, signed.signature
        )
        if not good:
            raise BadLog("the signature of the head is not good")
        head = pb.TreeHead.FromString(signed.head)
        if head.size < self._seen.size:
            raise BadLog(f"a head of {head.size} entries after one of {self._seen.size}")
        proof = consistency(self._seen.size, head.size)
        if not extends(self._seen.size, self._seen.root, head.size, head.root, proof):
            raise BadLog(
                f"the log of {head.size} entries does not go on from the {self._seen.size} that were seen"
            )
        self._seen = head
        signature = self._signer.sign(Domain.WITNESSED, self._log_id, signed.head)
        return Witnessed(signed.head, self._signer.key_id, signature)
