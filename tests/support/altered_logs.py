"""A copy of a log with something altered in it, read from there on by who has taken what comes before.

To read a log of a thousand entries for each of its two million bits would take days; what comes before the altered one
is the same each time.
"""

import io
from collections.abc import Iterator

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, ledger
from tests.support.log_files import fill
from trading.ledger import log_file
from trading.ledger.keys import Domain
from trading.ledger.storage import MemoryStorage
from trading.ledger.verifying import BadLog, Verifier


class Copy:
    """Of a log of ``2 * trades + 2`` entries. ``pieces``: the bytes of each entry with its length, and of the end."""

    def __init__(self, trades: int) -> None:
        self.storage = MemoryStorage()
        self.book = ledger(self.storage)
        fill(self.book, trades)
        head = self.storage.head()
        assert head is not None
        self.head = head
        self.entries = list(self.storage.entries())
        self.pieces = [_written([each]) for each in self.entries]
        self.end = _written([], head)

    def states(self) -> Iterator[tuple[int, Verifier]]:
        """Each entry's number, and who has taken all before it; last the end's."""
        verifier = Verifier()
        for seq, entry in enumerate(self.entries):
            yield seq, verifier
            verifier.take(entry)
        yield len(self.entries), verifier

    def head_of(self, size: int) -> pb.SignedTreeHead:
        """As the log has signed it when it had so many entries."""
        root = self.book.root(size)
        head = pb.TreeHead(log_id=self.book.log_id, size=size, root=root, at_unix_ns=1_000)
        content = head.SerializeToString(deterministic=True)
        signature = KEY.sign(Domain.TREE_HEAD, self.book.log_id, content)
        return pb.SignedTreeHead(head=content, key_id=KEY.key_id, signature=signature)

    def rest(self, seq: int) -> bytes:
        """From an entry on."""
        return b"".join(self.pieces[seq:]) + self.end


def _written(entries: list[pb.SignedEntry], head: pb.SignedTreeHead | None = None) -> bytes:
    """Without what a copy begins with, and without an end where no head is given."""
    file = io.BytesIO()
    log_file.write_copy(file, entries, head or pb.SignedTreeHead())
    content = file.getvalue().removeprefix(log_file.MAGIC)
    return content if head is not None or not entries else content.removesuffix(_written([]))


def flipped(content: bytes, bit: int) -> bytes:
    altered = bytearray(content)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def found(verifier: Verifier, seq: int, content: bytes) -> BadLog:
    """What is said of the rest of a log that is this. Whoever has taken a first entry has not, if it is refused."""
    reader = log_file.CopyReader(io.BytesIO(content), seq)
    with pytest.raises(BadLog) as caught:
        log_file.verify_rows(reader, (), verifier if seq else Verifier())
    return caught.value
