"""A ledger: accounts and escrows whose every change is an entry of a signed, append-only Merkle log.

One writer at a time: each group of entries is checked, signed and stored with the head of the tree that it makes, in
one transaction; whoever wrote before must begin anew (fencing by the log's size).
"""

import secrets
from collections.abc import Callable, Sequence

import msgspec

from digitalgrid.garbage_collector import without_frames
from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.core.units import Nano
from trading.ledger.accounts import Accounts, check_id
from trading.ledger.departures import MAX_KEYS, has_room
from trading.ledger.forms import MAX_ENTRY_BYTES, bare
from trading.ledger.keys import Domain, SigningKey
from trading.ledger.merkle import Tree, leaf_hash
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.registry import Registry, Stay
from trading.ledger.storage import Appended, Fenced, Storage
from trading.ledger.verifying import NAMES_A_KEY, BadLog, Verifier

# Bytes that make a log another than all others.
_NONCE_BYTES = 16
# An entry is written under this key by the ledger itself; clients' keys do not begin so.
_OWN = "ledger/"
_ROTATION = f"{_OWN}key/"
# Where nobody gives it a key: what clients call theirs is never one of these.
_UNNAMED_ROTATION = f"{_OWN}unnamed-key/"


class Wanted(msgspec.Struct, frozen=True):
    """An entry that is to be written, under a key that counts once. ``needs``: the trade whose escrow must be open by
    then, if any must.
    """

    key: str
    entry: pb.Entry
    needs: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """An entry that stands in the log. ``is_new``: it does since this call."""

    seq: int
    leaf: bytes
    is_new: bool


class Ledger:
    """``now_unix_ns`` is the wall clock."""

    def __init__(
        self, storage: Storage, signer: SigningKey, now_unix_ns: Callable[[], int], name: str
    ) -> None:
        """Takes up a storage's log, or begins one. Raises :class:`~.verifying.BadLog` for one that was altered."""
        self._storage = storage
        self._signer = signer
        self._now_unix_ns = now_unix_ns
        self._tree = Tree()
        self._accounts = Accounts()
        self._registry = Registry()
        # Of entries that name the key by which those after them are signed.
        self._key_seqs: list[int] = []
        # What was applied could not be stored: this writer knows more than its log.
        self._is_spent = False
        self._last_unix_ns = 0
        self.log_id = b""
        head = storage.head()
        if head is None:
            self._found(name)
        else:
            self._take_up(head)

    def _found(self, name: str) -> None:
        genesis = pb.Genesis(
            public_key=self._signer.public_key, name=name, nonce=secrets.token_bytes(_NONCE_BYTES)
        )
        self._write_all([Wanted(f"{_OWN}genesis", pb.Entry(genesis=genesis))])

    def _take_up(self, head: pb.SignedTreeHead) -> None:
        """Signatures of entries are covered by that of the head: their hashes are beneath it.

        Another may be writing: what came after the head that was read is not read. Who reads so begins anew once he
        writes, as he is fenced.
        """
        verifier = Verifier(check_signatures=False)
        size = pb.TreeHead.FromString(head.head).size
        for entry in self._storage.entries(0, size):
            verifier.take(entry)
        verifier.end(head)
        has_more = next(iter(self._storage.entries(size, 1)), None) is not None
        if has_more and self._storage.head() == head:
            raise BadLog(f"the head is of {size} entries only", size)
        self._tree, self._accounts = verifier.tree, verifier.accounts
        self._registry.stays, self._key_seqs = verifier.registry.stays, verifier.key_seqs
        self.log_id, self._last_unix_ns = verifier.log_id, verifier.last_unix_ns
        if verifier.key_id != self._signer.key_id:
            raise LedgerRefused(
                LedgerReason.NOT_ITS_KEY, "this log is signed with another key than is given"
            )

    # Money

    def balance(self, account: str) -> Nano:
        """What an account has free."""
        return self._accounts.balance(account)

    def locked(self, account: str) -> Nano:
        """What an account has in escrows."""
        return self._accounts.locked(account)

    @property
    def total(self) -> Nano:
        """All that accounts have, free or in escrow."""
        return self._accounts.total

    def has_escrow(self, trade_id: str) -> bool:
        return trade_id in self._accounts.escrows

    def kept_ns(self, trade_id: str) -> int:
        """How long an open escrow is not refunded yet; below 0 where it could be before now. Raises LedgerRefused."""
        return self._accounts.escrow(trade_id).refundable_unix_ns - self._now_unix_ns()

    def stay(self, meter_public_key: bytes) -> Stay | None:
        """A meter's newest time with this log, if it was ever registered."""
        return self._registry.of(meter_public_key)

    @property
    def registered_keys(self) -> list[bytes]:
        """Of all meters that the log has."""
        return self._registry.keys

    def registered(self, meter_public_key: bytes) -> int | None:
        """Since when (ns) the log has the meter of a key; None where it has not."""
        stay = self.stay(meter_public_key)
        return None if stay is None or not stay.lasts else stay.not_before_unix_ns

    def write(self, key: str, entry: pb.Entry) -> Receipt:
        """One of :meth:`write_many`; raises LedgerRefused."""
        (done,) = self.write_many([Wanted(key, entry)])
        if isinstance(done, LedgerRefused):
            raise done
        return done

    def write_many(self, wanted: Sequence[Wanted]) -> list[Receipt | LedgerRefused]:
        """In order; each by itself is written or refused, and all become durable at once.

        A key that was written with the same body is a retry, and answered as before. Raises :class:`~.storage.Fenced`,
        after which this ledger is of no use any more.
        """
        own = [_own(each) for each in wanted]
        allowed = [each for each, why in zip(wanted, own, strict=True) if why is None]
        written = iter(self._write_all(allowed))
        return [next(written) if why is None else why for why in own]

    def _write_all(
        self, wanted: Sequence[Wanted], following: SigningKey | None = None
    ) -> list[Receipt | LedgerRefused]:
        """``following`` signs from the head on."""
        if self._is_spent:
            raise Fenced("this writer could not store what it wrote; take the log up anew")
        # A clock that was set back makes no entry older than those that stand before it.
        at_unix_ns = self._last_unix_ns = max(self._now_unix_ns(), self._last_unix_ns)
        first = self._tree.size
        self._is_spent = True
        made: list[Appended] = []
        seqs: dict[str, int] = {}
        done: list[Receipt | LedgerRefused] = []
        for each in wanted:
            key, entry = each.key, pb.Entry()
            entry.CopyFrom(each.entry)
            try:
                check_id(key, "key")
                seq = seqs.get(key, self._storage.seq_of(key))
                if seq is not None:
                    done.append(self._again(each, seq, first, made))
                    continue
                if each.needs:
                    self._accounts.escrow(each.needs)
                entry.seq, entry.key, entry.at_unix_ns = first + len(made), key, at_unix_ns
                content = _content(entry)
                self._accounts.apply(entry)
                self._registry.apply(entry, self.log_id)
            except LedgerRefused as refused:
                done.append(without_frames(refused))
                continue
            signed = self._sign(content)
            seqs[key] = entry.seq
            if entry.WhichOneof("body") in NAMES_A_KEY:
                self._key_seqs.append(entry.seq)
            leaf = leaf_hash(signed.entry)
            self._tree.append(leaf)
            made.append(Appended(key, signed))
            done.append(Receipt(entry.seq, leaf, is_new=True))
        if made:
            self._storage.append(
                first, made, self._sign_head(at_unix_ns, following or self._signer)
            )
        self._is_spent = False
        return done

    def _again(
        self, wanted: Wanted, seq: int, first: int, made: Sequence[Appended]
    ) -> Receipt | LedgerRefused:
        signed = made[seq - first].entry if seq >= first else self._stored(seq)
        before = pb.Entry.FromString(signed.entry)
        same = pb.Entry()
        same.CopyFrom(wanted.entry)
        same.seq, same.key, same.at_unix_ns = before.seq, before.key, before.at_unix_ns
        if same != before:
            return LedgerRefused(
                LedgerReason.KEY_REUSED, f"key {wanted.key!r} was used for another entry", "key"
            )
        return Receipt(seq, self._tree.leaf(seq), is_new=False)

    def _stored(self, seq: int) -> pb.SignedEntry:
        (signed,) = self._storage.entries(seq, 1)
        return signed

    def _sign(self, content: bytes) -> pb.SignedEntry:
        if not self.log_id:
            self.log_id = leaf_hash(content)
        signature = self._signer.sign(Domain.ENTRY, self.log_id, content)
        return pb.SignedEntry(entry=content, key_id=self._signer.key_id, signature=signature)

    def _sign_head(self, at_unix_ns: int, signer: SigningKey) -> pb.SignedTreeHead:
        head = pb.TreeHead(
            log_id=self.log_id,
            size=self._tree.size,
            root=self._tree.root(),
            at_unix_ns=at_unix_ns,
        ).SerializeToString(deterministic=True)
        signature = signer.sign(Domain.TREE_HEAD, self.log_id, head)
        return pb.SignedTreeHead(head=head, key_id=signer.key_id, signature=signature)

    def rotated(self, key: str) -> Receipt | None:
        """What :meth:`rotate` has written under a key, if it has."""
        seq = self._storage.seq_of(f"{_ROTATION}{key}")
        return None if seq is None else Receipt(seq, self._tree.leaf(seq), is_new=False)

    def check_room(self) -> None:
        """Raises LedgerRefused where it can have no other key any more."""
        if not has_room([self._stored(seq) for seq in self._key_seqs]):
            raise LedgerRefused(
                LedgerReason.TOO_MANY_KEYS,
                f"the log has had {len(self._key_seqs)} keys, and meters could not be proved to leave it if it had"
                " more; begin a market with another log",
            )

    def rotate(self, signer: SigningKey, key: str = "") -> Receipt:
        """Another key signs from now on; the present one says so. Under one ``key`` once; without any, each time.

        Raises LedgerRefused.
        """
        self.check_room()
        entry = pb.Entry(log_key=pb.LogKey(public_key=signer.public_key))
        under = f"{_ROTATION}{key}" if key else f"{_UNNAMED_ROTATION}{self._tree.size}"
        (done,) = self._write_all([Wanted(under, entry)], following=signer)
        if isinstance(done, LedgerRefused):
            raise done
        self._signer = signer
        return done

    # Proofs

    def head(self) -> pb.SignedTreeHead:
        head = self._storage.head()
        if head is None:
            raise LookupError("a ledger that has begun has a head")
        return head

    @property
    def public_key(self) -> bytes:
        """That signs by now."""
        return self._signer.public_key

    @property
    def keys_left(self) -> int:
        """How many others it can have at most."""
        return MAX_KEYS - len(self._key_seqs)

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._tree.size

    def root(self, size: int) -> bytes:
        """Of the tree of the first so many entries. Raises ValueError."""
        return self._tree.root(size)

    def entries(self, first: int, count: int) -> list[pb.SignedEntry]:
        """As they stand in the log, from ``first`` on."""
        return list(self._storage.entries(first, count))

    def seq_of(self, key: str) -> int | None:
        """Of the entry that was written under a key."""
        return self._storage.seq_of(key)

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """That an entry is in the log of this size; :func:`~.merkle.includes` checks it. Raises ValueError."""
        return self._tree.inclusion(seq, size)

    def consistency(self, earlier: int, size: int) -> list[bytes]:
        """That one size is the beginning of another; :func:`~.merkle.extends` checks it. Raises ValueError."""
        return self._tree.consistency(earlier, size)

    def departure(self, meter_public_key: bytes) -> pb.MeterDeparture | None:
        """The proof that a meter has left; None of one that is here, or never was."""
        stay = self._registry.of(meter_public_key)
        if stay is None or stay.end_seq is None:
            return None
        return pb.MeterDeparture(
            keys=[self._stored(seq) for seq in self._key_seqs],
            release=self._stored(stay.end_seq),
            inclusion=self.inclusion(stay.end_seq, self.size),
            head=self.head(),
        )

    def close(self) -> None:
        self._storage.close()


def _content(entry: pb.Entry) -> bytes:
    """As it is hashed and signed. Raises LedgerRefused for what could be written, and never read again."""
    content = bare(entry)
    if len(content) != entry.ByteSize():
        raise LedgerRefused(LedgerReason.ENTRY_MALFORMED, "an entry has fields that nobody knows")
    if len(content) > MAX_ENTRY_BYTES:
        raise LedgerRefused(
            LedgerReason.ENTRY_MALFORMED,
            f"an entry would be of {len(content)} bytes, and has {MAX_ENTRY_BYTES} at most",
        )
    return content


def _own(wanted: Wanted) -> LedgerRefused | None:
    """Why a client may not write this, if it is the ledger's own to say."""
    if wanted.key.startswith(_OWN):
        why, field = f"keys that begin with {_OWN!r} are the ledger's own", "key"
    elif wanted.entry.WhichOneof("body") in NAMES_A_KEY:
        why, field = "with which key a log is signed is the ledger's own to say", "body"
    else:
        return None
    return LedgerRefused(LedgerReason.NOT_FOR_CLIENTS, why, field)
