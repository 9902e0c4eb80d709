"""Refusals of a ledger: what of an entry must not be, one meaning each."""

from enum import StrEnum

from trading.reasons import MarketReason


class LedgerReason(StrEnum):
    """Why an entry is not written."""

    ENTRY_EMPTY = "ENTRY_EMPTY"
    # In no form that a log has: too long, or with fields that nobody knows.
    ENTRY_MALFORMED = "ENTRY_MALFORMED"
    ID_MALFORMED = "ID_MALFORMED"
    HASH_MALFORMED = "HASH_MALFORMED"
    NANO_OUT_OF_RANGE = "NANO_OUT_OF_RANGE"
    TOO_MUCH_MONEY = "TOO_MUCH_MONEY"
    TOO_MANY_STAKES = "TOO_MANY_STAKES"
    TOO_MANY_POSTINGS = "TOO_MANY_POSTINGS"
    # Less is free than is wanted.
    BALANCE_TOO_LOW = "BALANCE_TOO_LOW"
    ESCROW_EXISTS = "ESCROW_EXISTS"
    # There is none, or it was closed.
    NO_ESCROW = "NO_ESCROW"
    ESCROW_TOO_SMALL = "ESCROW_TOO_SMALL"
    ESCROW_NOT_EMPTY = "ESCROW_NOT_EMPTY"
    NOT_REFUNDABLE_YET = "NOT_REFUNDABLE_YET"
    TOO_LATE = "TOO_LATE"
    # The key was used for something else.
    KEY_REUSED = "KEY_REUSED"
    # As many as the proof of a meter's release can have: what more there were would keep all meters here for ever.
    TOO_MANY_KEYS = "TOO_MANY_KEYS"
    # Only the ledger itself says with which key it signs.
    NOT_FOR_CLIENTS = "NOT_FOR_CLIENTS"
    NOT_ITS_KEY = "NOT_ITS_KEY"


class LedgerRefused(Exception):
    """Nothing was written. ``field`` is what is wrong. What is wrong of a meter has the market's reasons."""

    def __init__(self, reason: LedgerReason | MarketReason, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
