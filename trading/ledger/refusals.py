"""Refusals of a ledger: what of an entry must not be, one meaning and one gRPC status each.

``python -m trading.ledger.refusals`` prints them as the table in docs/trading.md.
"""

from digitalgrid.reasons import ExplainedReason, RefusalCode, reasons_table
from trading.reasons import MarketReason

_INVALID = RefusalCode.INVALID_ARGUMENT
_NOT_FOUND = RefusalCode.NOT_FOUND
_EXISTS = RefusalCode.ALREADY_EXISTS
_DENIED = RefusalCode.PERMISSION_DENIED
_PRECONDITION = RefusalCode.FAILED_PRECONDITION
_EXHAUSTED = RefusalCode.RESOURCE_EXHAUSTED


class LedgerReason(ExplainedReason):
    """Why an entry is not written."""

    BALANCE_TOO_LOW = (
        "BALANCE_TOO_LOW",
        _PRECONDITION,
        "less is free on an account than is to be locked, or to leave",
        "deposit money, or wait until trades are paid",
    )
    NO_ESCROW = (
        "NO_ESCROW",
        _NOT_FOUND,
        "the trade has no escrow, or it was closed",
        "see how the trade has ended: `dgctl market explain`",
    )
    NOT_REFUNDABLE_YET = (
        "NOT_REFUNDABLE_YET",
        _PRECONDITION,
        "the escrow of the trade is kept for a while yet",
        "ask again when its time is over; the message says when",
    )
    TOO_LATE = (
        "TOO_LATE",
        _PRECONDITION,
        "money was to be locked when the hold of the circuit could end any moment",
        "none: the trade is undone, and its orders are over",
    )
    ESCROW_EXISTS = (
        "ESCROW_EXISTS",
        _EXISTS,
        "the trade has an escrow, or had one",
        "none: a trade has one, ever",
    )
    ESCROW_TOO_SMALL = (
        "ESCROW_TOO_SMALL",
        _INVALID,
        "more is to be paid than an account has in the escrow",
        "pay what there is",
    )
    ESCROW_NOT_EMPTY = (
        "ESCROW_NOT_EMPTY",
        _INVALID,
        "something would be left of an escrow that is closed",
        "say whose the rest is",
    )
    KEY_REUSED = (
        "KEY_REUSED",
        _EXISTS,
        "something else was written under the key",
        "choose another key; the same may be repeated",
    )
    TOO_MUCH_MONEY = (
        "TOO_MUCH_MONEY",
        _EXHAUSTED,
        "all accounts together would have more than 64 bits hold",
        "deposit less",
    )
    # As many as the proof of a meter's release can have: what more there were would keep all meters here for ever.
    TOO_MANY_KEYS = (
        "TOO_MANY_KEYS",
        _EXHAUSTED,
        "the log has had as many keys as a meter can take along when it leaves",
        "begin another market, or keep the key",
    )
    NOT_FOR_CLIENTS = (
        "NOT_FOR_CLIENTS",
        _DENIED,
        "a client says with which key the log is signed, or uses a key of the ledger's own",
        "choose a key that does not begin with `ledger/`",
    )
    NOT_ITS_KEY = (
        "NOT_ITS_KEY",
        _INVALID,
        "the log is signed with another key than the ledger has",
        "restore `log.key` and `ledger.sqlite` of one time",
    )
    NANO_OUT_OF_RANGE = (
        "NANO_OUT_OF_RANGE",
        _INVALID,
        "an amount is below what moves, or above what 64 bits hold",
        "give whole nanos, 1 at least",
    )
    ID_MALFORMED = (
        "ID_MALFORMED",
        _INVALID,
        "a name is empty, too long, or has characters that no terminal can show",
        "give 1 to 256 printable characters",
    )
    HASH_MALFORMED = (
        "HASH_MALFORMED",
        _INVALID,
        "a hash is not of 32 bytes",
        "give a SHA-256",
    )
    TOO_MANY_STAKES = (
        "TOO_MANY_STAKES",
        _INVALID,
        "an escrow is of nobody, or of more accounts than a trade has",
        "name 1 to 16 stakes",
    )
    TOO_MANY_POSTINGS = (
        "TOO_MANY_POSTINGS",
        _INVALID,
        "a payment has more postings than a bill has lines",
        "give 64 at most",
    )
    ENTRY_EMPTY = ("ENTRY_EMPTY", _INVALID, "an entry says nothing", "say what is to be written")
    ENTRY_MALFORMED = (
        "ENTRY_MALFORMED",
        _INVALID,
        "an entry is in no form that a log has: too long, or with fields that nobody knows",
        "use this version's protos",
    )


class LedgerRefused(Exception):
    """Nothing was written. ``field`` is what is wrong. What is wrong of a meter has the market's reasons."""

    def __init__(self, reason: LedgerReason | MarketReason, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


if __name__ == "__main__":
    print(reasons_table(LedgerReason))  # noqa: T201 - `python -m` pastes it into the documentation
