"""Checking of a log offline: what a file of it comes to, or what is wrong with it and where."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from digitalgrid.market.v1 import ledger_pb2
from trading.client.witnessing import Seen, read_head
from trading.ledger.log_file import verify_file, write_copy
from trading.ledger.verifying import BadLog

__all__ = ["BadLog", "Checked", "check_log", "write_copy"]


class Checked(msgspec.Struct, frozen=True):
    """A log that is right. ``witnessed``: up to which size somebody is known to have seen it before."""

    log_id: str
    size: int
    at_unix_ns: int
    issued_nano: int
    locked_nano: int
    open_escrows: int
    balances_nano: dict[str, int]
    witnessed: int


def check_log(path: Path, witnessed: Sequence[Seen] = ()) -> Checked:
    """Every entry, signature and balance of a file, its head, and that it goes on from what witnesses have seen.

    Raises BadLog, and OSError where the file cannot be read.
    """
    heads: list[ledger_pb2.TreeHead] = [read_head(each) for each in witnessed]
    verifier = verify_file(path, heads)
    accounts = verifier.accounts
    balances = {name: nano for name, nano in sorted(accounts.balances.items()) if nano}
    return Checked(
        log_id=verifier.log_id.hex(),
        size=verifier.tree.size,
        at_unix_ns=verifier.last_unix_ns,
        issued_nano=accounts.issued,
        locked_nano=sum(each.total for each in accounts.escrows.values()),
        open_escrows=len(accounts.escrows),
        balances_nano=balances,
        witnessed=max((head.size for head in heads), default=0),
    )
