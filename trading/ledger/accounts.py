"""Accounts: balances and escrows, as the entries of a ledger make them. Double entry: money is never made nor lost.

Pure, and the only file that changes a balance. Whoever writes an entry checks it here first, and whoever verifies a
log does the same again from the first entry on.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from digitalgrid.limits import MAX_INT64
from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.core.units import Nano
from trading.ledger.refusals import LedgerReason, LedgerRefused

# Characters of an account's name, a trade's id, or a key; longer ones would fill the log.
MAX_ID_CHARACTERS = 256
# Accounts with money in one escrow, and postings out of it at a time: a bill has some ten lines.
MAX_STAKES, MAX_POSTINGS = 16, 64
# Of SHA-256.
_HASH_BYTES = 32


class Escrow(msgspec.Struct):
    """What each account has in escrow for one trade, and from when on anybody may have it refunded."""

    stakes: dict[str, int]
    terms_hash: bytes
    refundable_unix_ns: int

    @property
    def total(self) -> Nano:
        return Nano(sum(self.stakes.values()))


class Accounts:
    """The state that a log's entries lead to. ``escrows`` are open; trades in ``closed`` never have one again."""

    def __init__(self) -> None:
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.escrows: dict[str, Escrow] = {}
        self.closed: set[str] = set()
        # Deposits less withdrawals.
        self.issued = 0

    def balance(self, account: str) -> Nano:
        """What is free to be spent."""
        return Nano(self.balances.get(account, 0))

    def locked(self, account: str) -> Nano:
        return Nano(sum(each.stakes.get(account, 0) for each in self.escrows.values()))

    @property
    def total(self) -> Nano:
        """All balances and escrows: what was issued, always."""
        return Nano(sum(self.balances.values()) + sum(e.total for e in self.escrows.values()))

    def apply(self, entry: pb.Entry) -> None:
        """Do what an entry says, all of it or nothing. Raises LedgerRefused for what it must not say."""
        body = entry.WhichOneof("body")
        match body:
            case "deposit":
                self._deposit(entry.deposit)
            case "withdrawal":
                self._withdraw(entry.withdrawal)
            case "transfer":
                self._transfer(entry.transfer)
            case "lock":
                self._lock(entry.lock, entry.at_unix_ns)
            case "payment":
                self._pay(entry.payment)
            case "close":
                self._close(entry.close)
            case "refund":
                self._refund(entry.refund, entry.at_unix_ns)
            case "commitment":
                _check_commitment(entry.commitment)
            case "genesis" | "log_key" | "registration" | "release":
                # Of the log, or of meters, and no money.
                return
            case _:
                raise LedgerRefused(LedgerReason.ENTRY_EMPTY, "an entry says nothing", "body")

    def _deposit(self, message: pb.Deposit) -> None:
        check_id(message.account, "account")
        _check_nano(message.nano)
        if self.issued + message.nano > MAX_INT64:
            raise LedgerRefused(
                LedgerReason.TOO_MUCH_MONEY,
                f"{self.issued} nanos are issued, and no more than {MAX_INT64} can be",
                "nano",
            )
        self.issued += message.nano
        self.balances[message.account] += message.nano

    def _withdraw(self, message: pb.Withdrawal) -> None:
        check_id(message.account, "account")
        _check_nano(message.nano)
        self._require(message.account, message.nano)
        self.issued -= message.nano
        self.balances[message.account] -= message.nano

    def _transfer(self, message: pb.Transfer) -> None:
        check_id(message.payer, "payer")
        check_id(message.payee, "payee")
        _check_nano(message.nano)
        self._require(message.payer, message.nano)
        self.balances[message.payer] -= message.nano
        self.balances[message.payee] += message.nano

    def _lock(self, message: pb.Lock, at_unix_ns: int) -> None:
        check_id(message.trade_id, "trade_id")
        if 0 < message.not_after_unix_ns < at_unix_ns:
            raise LedgerRefused(
                LedgerReason.TOO_LATE,
                f"the lock of trade {message.trade_id!r} came"
                f" {(at_unix_ns - message.not_after_unix_ns) / 1e9:.3g} s too late",
                "not_after_unix_ns",
            )
        if message.trade_id in self.escrows or message.trade_id in self.closed:
            raise LedgerRefused(
                LedgerReason.ESCROW_EXISTS,
                f"trade {message.trade_id!r} has an escrow, or had one",
                "trade_id",
            )
        if not 0 < len(message.stakes) <= MAX_STAKES:
            raise LedgerRefused(
                LedgerReason.TOO_MANY_STAKES,
                f"{len(message.stakes)} stakes; an escrow has 1 to {MAX_STAKES}",
                "stakes",
            )
        _check_hash(message.terms_hash, "terms_hash")
        stakes: defaultdict[str, int] = defaultdict(int)
        for stake in message.stakes:
            check_id(stake.account, "stakes.account")
            _check_nano(stake.nano, least=0)
            stakes[stake.account] += stake.nano
        for account, nano in stakes.items():
            self._require(account, nano)
        for account, nano in stakes.items():
            self.balances[account] -= nano
        self.escrows[message.trade_id] = Escrow(
            dict(stakes), message.terms_hash, message.refundable_unix_ns
        )

    def _pay(self, message: pb.Payment) -> None:
        escrow = self.escrow(message.trade_id)
        left = _left(escrow, message.postings)
        escrow.stakes = left
        self._credit(message.postings)

    def _close(self, message: pb.Close) -> None:
        check_id(message.trade_id, "trade_id")
        if message.trade_id not in self.escrows and message.trade_id not in self.closed:
            if any(posting.payer != posting.payee for posting in message.postings):
                raise _no_escrow(message.trade_id)
            # It never was, so that there is nothing to give back, and never will be.
            self.closed.add(message.trade_id)
            return
        escrow = self.escrow(message.trade_id)
        if message.evidence_hash:
            _check_hash(message.evidence_hash, "evidence_hash")
        left = _left(escrow, message.postings)
        if any(left.values()):
            raise LedgerRefused(
                LedgerReason.ESCROW_NOT_EMPTY,
                f"of the escrow of trade {message.trade_id!r} {sum(left.values())} nanos would be left;"
                " say whose they are",
                "postings",
            )
        self._end(message.trade_id)
        self._credit(message.postings)

    def _refund(self, message: pb.Refund, at_unix_ns: int) -> None:
        escrow = self.escrow(message.trade_id)
        if at_unix_ns < escrow.refundable_unix_ns:
            raise LedgerRefused(
                LedgerReason.NOT_REFUNDABLE_YET,
                f"the escrow of trade {message.trade_id!r} is kept for"
                f" {(escrow.refundable_unix_ns - at_unix_ns) / 1e9:.3g} s more",
                "trade_id",
            )
        self._end(message.trade_id)
        for account, nano in escrow.stakes.items():
            self.balances[account] += nano

    def _end(self, trade_id: str) -> None:
        del self.escrows[trade_id]
        self.closed.add(trade_id)

    def _credit(self, postings: Iterable[pb.Posting]) -> None:
        for posting in postings:
            self.balances[posting.payee] += posting.nano

    def escrow(self, trade_id: str) -> Escrow:
        """That is open. Raises LedgerRefused."""
        check_id(trade_id, "trade_id")
        escrow = self.escrows.get(trade_id)
        if escrow is None:
            raise _no_escrow(trade_id)
        return escrow

    def _require(self, account: str, nano: int) -> None:
        free = self.balances.get(account, 0)
        if free < nano:
            raise LedgerRefused(
                LedgerReason.BALANCE_TOO_LOW,
                f"account {account!r} has {free} nanos free, and {nano} are wanted",
                "account",
            )


def _left(escrow: Escrow, postings: Iterable[pb.Posting]) -> dict[str, int]:
    """What is left in escrow after these. Refused where it is more than there is."""
    left = dict(escrow.stakes)
    for count, posting in enumerate(postings, start=1):
        check_id(posting.payee, "postings.payee")
        _check_nano(posting.nano, least=0)
        if count > MAX_POSTINGS:
            raise LedgerRefused(
                LedgerReason.TOO_MANY_POSTINGS, f"more than {MAX_POSTINGS} postings", "postings"
            )
        has = left.get(posting.payer, 0)
        if has < posting.nano:
            raise LedgerRefused(
                LedgerReason.ESCROW_TOO_SMALL,
                f"{posting.payer!r} has {has} nanos in this escrow, and {posting.nano} are to be paid",
                "postings",
            )
        left[posting.payer] = has - posting.nano
    return left


def _no_escrow(trade_id: str) -> LedgerRefused:
    return LedgerRefused(
        LedgerReason.NO_ESCROW, f"there is no open escrow of trade {trade_id!r}", "trade_id"
    )


def _check_nano(nano: int, least: int = 1) -> None:
    if not least <= nano <= MAX_INT64:
        raise LedgerRefused(
            LedgerReason.NANO_OUT_OF_RANGE, f"{nano} nanos; {least} to {MAX_INT64}", "nano"
        )


def check_id(id_: str, field: str) -> None:
    """Refuse names that would fill the log, or command a terminal."""
    if not 0 < len(id_) <= MAX_ID_CHARACTERS or not id_.isprintable():
        raise LedgerRefused(
            LedgerReason.ID_MALFORMED,
            f"{field} must have 1 to {MAX_ID_CHARACTERS} characters that can be shown",
            field,
        )


def _check_hash(hash_: bytes, field: str) -> None:
    if len(hash_) != _HASH_BYTES:
        raise LedgerRefused(
            LedgerReason.HASH_MALFORMED, f"{field} has {len(hash_)} bytes; SHA-256 has 32", field
        )


def _check_commitment(message: pb.Commitment) -> None:
    check_id(message.kind, "kind")
    _check_hash(message.sha256, "sha256")
