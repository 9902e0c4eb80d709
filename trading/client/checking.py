"""Checking of a log offline: what a file of it comes to, or what is wrong with it and where."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from digitalgrid.market.v1 import ledger_pb2
from trading.client.witnessing import Seen, read_head
from trading.ledger.comparing import doubled
from trading.ledger.log_file import verify_file, write_copy
from trading.ledger.registry import Stay
from trading.ledger.verifying import BadLog

__all__ = ["BadLog", "Checked", "Comparison", "Found", "check_log", "compare_logs", "write_copy"]


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
    # That are registered with it by now.
    meters: int = 0


class Found(msgspec.Struct, frozen=True):
    """A meter that is not in one log at a time, by its key; its registrations in both, by their entries' numbers (None:
    it is the other's that is wrong).
    """

    meter: str
    what: str
    epochs: tuple[int | None, int | None]
    entries: tuple[int | None, int | None]


class Comparison(msgspec.Struct, frozen=True):
    """Of two logs that are right by themselves: how many meters both have had, and what is wrong with any."""

    log_ids: tuple[str, str]
    both: int
    found: tuple[Found, ...]


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
        meters=verifier.registry.count,
    )


def compare_logs(first: Path, second: Path) -> Comparison:
    """Checks two logs, and looks for meters that both have at one time. Raises BadLog, which names what is wrong with
    either, and OSError.
    """
    one, other = verify_file(first), verify_file(second)
    found = [
        Found(
            each.public_key.hex(),
            each.fault,
            (_of(each.first, "epoch"), _of(each.second, "epoch")),
            (_of(each.first, "seq"), _of(each.second, "seq")),
        )
        for each in doubled(one, other)
    ]
    both = len(one.registry.stays.keys() & other.registry.stays.keys())
    return Comparison((one.log_id.hex(), other.log_id.hex()), both, tuple(found))


def _of(stay: Stay | None, field: str) -> int | None:
    return None if stay is None else int(getattr(stay, field))
