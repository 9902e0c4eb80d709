"""Verification of a log, offline and from its first entry: hashes, signatures, order, balances, meters, and the head.

It shares no code with whoever writes but the tree, accounts, registry and the form of entries. What is wrong is named
with its entry.
"""

from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from digitalgrid.errors import ExplainedError
from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.accounts import Accounts
from trading.ledger.forms import MAX_ENTRY_BYTES, bare
from trading.ledger.keys import PUBLIC_KEY_BYTES, Domain, is_signed, key_id_of
from trading.ledger.merkle import Tree, leaf_hash
from trading.ledger.refusals import LedgerRefused
from trading.ledger.registry import Registry

NAMES_A_KEY = ("genesis", "log_key")


class BadLog(ExplainedError):
    """A log that is not what its writer signed. ``seq`` is the first entry of which that can be said, if any."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(f"entry {seq}: {message}" if seq is not None else message)
        self.seq = seq


class Verifier:
    """Takes a log entry by entry. Without ``check_signatures`` only that of the head is looked at, which covers all."""

    def __init__(self, *, check_signatures: bool = True) -> None:
        self._check_signatures = check_signatures
        self._public_key = b""
        self._keys: set[str] = set()
        self.last_unix_ns = 0
        self.tree = Tree()
        self.accounts = Accounts()
        self.registry = Registry(check_signatures=check_signatures)
        # Of entries that name the key by which those after them are signed.
        self.key_seqs: list[int] = []
        self.log_id = b""

    @property
    def key_id(self) -> bytes:
        """Of the key that signs by now."""
        return key_id_of(self._public_key)

    def take(self, signed: pb.SignedEntry) -> pb.Entry:
        """The next entry. Raises BadLog."""
        seq = self.tree.size
        entry = _parsed(signed, seq)
        self._check_place(entry, seq)
        if seq == 0:
            self._begin(signed, entry)
        if self._check_signatures:
            self._check_signature(signed, seq)
        try:
            self.accounts.apply(entry)
            self.registry.apply(entry, self.log_id)
        except LedgerRefused as refused:
            raise BadLog(f"it says what must not be: {refused}", seq) from refused
        if entry.HasField("log_key"):
            self._public_key = entry.log_key.public_key
        if entry.WhichOneof("body") in NAMES_A_KEY:
            self.key_seqs.append(seq)
        self._keys.add(entry.key)
        self.last_unix_ns = entry.at_unix_ns
        self.tree.append(leaf_hash(signed.entry))
        return entry

    def _begin(self, signed: pb.SignedEntry, entry: pb.Entry) -> None:
        if len(entry.genesis.public_key) != PUBLIC_KEY_BYTES:
            raise BadLog("a log begins with its key", 0)
        self._public_key = entry.genesis.public_key
        self.log_id = leaf_hash(signed.entry)

    def _check_place(self, entry: pb.Entry, seq: int) -> None:
        if entry.seq != seq:
            raise BadLog(f"it says that it is entry {entry.seq}: one is missing, or moved", seq)
        if entry.HasField("genesis") != (seq == 0):
            raise BadLog("a log begins with its key, and never again", seq)
        if entry.at_unix_ns < self.last_unix_ns:
            raise BadLog("it is older than the entry before it", seq)
        if entry.key in self._keys:
            raise BadLog(f"its key {entry.key!r} was used before", seq)

    def _check_signature(self, signed: pb.SignedEntry, seq: int) -> None:
        if signed.key_id != self.key_id:
            raise BadLog("it is signed with another key than signs here", seq)
        if not is_signed(
            self._public_key, Domain.ENTRY, self.log_id, signed.entry, signed.signature
        ):
            raise BadLog("its signature is not good: it was altered, or forged", seq)

    def end(self, signed: pb.SignedTreeHead) -> pb.TreeHead:
        """All entries were taken; this is the head that they are to make. Raises BadLog."""
        head = self.read_head(signed)
        if head.size != self.tree.size:
            raise BadLog(
                f"the head is of {head.size} entries, and {self.tree.size} are there: it was cut short"
                if head.size > self.tree.size
                else f"there are {self.tree.size} entries, and the head is of {head.size} only"
            )
        if head.root != self.tree.root():
            raise BadLog("the entries are not those that the head was signed for")
        return head

    def read_head(self, signed: pb.SignedTreeHead) -> pb.TreeHead:
        """A head that the log's key has signed. Raises BadLog."""
        if signed.key_id != self.key_id or not is_signed(
            self._public_key, Domain.TREE_HEAD, self.log_id, signed.head, signed.signature
        ):
            raise BadLog("the signature of the head is not good: it was altered, or forged")
        try:
            head = pb.TreeHead.FromString(signed.head)
        except DecodeError as error:
            raise BadLog(f"the head cannot be read: {error}") from error
        if head.log_id != self.log_id:
            raise BadLog("the head is of another log")
        return head

    def compare(self, seen: pb.TreeHead) -> None:
        """A head that somebody has seen before is to be the beginning of this log. Raises BadLog."""
        if seen.log_id != self.log_id:
            raise BadLog("what was witnessed is of another log")
        if seen.size > self.tree.size:
            raise BadLog(
                f"{seen.size} entries were witnessed, and {self.tree.size} are there: it was cut short"
            )
        if self.tree.root(seen.size) != seen.root:
            raise BadLog(
                f"the first {seen.size} entries are not those that were witnessed: history was rewritten"
            )


def verify(
    entries: Iterable[pb.SignedEntry],
    head: pb.SignedTreeHead | None,
    seen: Sequence[pb.TreeHead] = (),
    begun: Verifier | None = None,
) -> Verifier:
    """The whole log, and that it goes on from all heads that were seen before. Raises BadLog.

    ``begun`` has taken the first entries.
    """
    verifier = begun or Verifier()
    for entry in entries:
        verifier.take(entry)
    if head is None or not verifier.tree.size:
        raise BadLog("there is no head, or no entry: this is no log")
    verifier.end(head)
    for each in sorted(seen, key=lambda head: head.size):
        verifier.compare(each)
    if verifier.accounts.total != verifier.accounts.issued:
        raise BadLog("money was made or lost")
    return verifier


def _parsed(signed: pb.SignedEntry, seq: int) -> pb.Entry:
    if len(signed.entry) > MAX_ENTRY_BYTES:
        raise BadLog(f"it is of {len(signed.entry)} bytes, and none is of so many", seq)
    try:
        entry = pb.Entry.FromString(signed.entry)
    except DecodeError as error:
        raise BadLog(f"it cannot be read: {error}", seq) from error
    if bare(entry) != signed.entry:
        raise BadLog("its bytes are not those that its fields have", seq)
    return entry
