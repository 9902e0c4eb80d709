"""Comparing of logs: meters that two of them have at one time, which neither can tell alone."""

from collections.abc import Iterator
from enum import StrEnum
from math import inf

import msgspec

from trading.ledger.registry import Stay
from trading.ledger.verifying import BadLog, Verifier


class Fault(StrEnum):
    """What is wrong with a meter's two stays."""

    SAME_EPOCH = "under one epoch in both"
    SAME_TIME = "in both at one time"
    # One log has shown the other what it does not show us.
    NOT_THERE = "with the proof of a release that the log which it left does not have"
    # Not wrong perhaps, but not to be told.
    TOO_OLD = "with the proof of a release that is newer than this copy of the log which it left"


class Doubled(msgspec.Struct, frozen=True):
    """A meter, by its key, and what is wrong with its stays in the first and in the second log. None: with the other's
    alone.
    """

    public_key: bytes
    fault: Fault
    first: Stay | None
    second: Stay | None


def doubled(first: Verifier, second: Verifier) -> list[Doubled]:
    """Of two logs that were verified to their ends. Raises BadLog where both are of one, and not of one history."""
    if first.log_id == second.log_id:
        _check_one_history(first, second)
        return []
    found = [
        Doubled(public_key, fault, one, other)
        for public_key, stays in first.registry.stays.items()
        for one in stays
        for other in second.registry.stays.get(public_key, ())
        if (fault := _fault(one, other)) is not None
    ]
    found += [Doubled(key, fault, stay, None) for key, stay, fault in _unproved(first, second)]
    found += [Doubled(key, fault, None, stay) for key, stay, fault in _unproved(second, first)]
    return sorted(found, key=lambda each: (each.public_key, each.fault))


def _check_one_history(first: Verifier, second: Verifier) -> None:
    size = min(first.tree.size, second.tree.size)
    if first.tree.root(size) != second.tree.root(size):
        raise BadLog(
            f"both are of the log {first.log_id.hex()}, and their first {size} entries differ: its key has"
            " signed two histories"
        )


def _fault(one: Stay, other: Stay) -> Fault | None:
    if one.epoch == other.epoch:
        return Fault.SAME_EPOCH
    begin_unix_ns = max(one.not_before_unix_ns, other.not_before_unix_ns)
    return Fault.SAME_TIME if begin_unix_ns < min(_end(one), _end(other)) else None


def _end(stay: Stay) -> float:
    return inf if stay.lasts else stay.end_unix_ns


def _unproved(of: Verifier, left: Verifier) -> Iterator[tuple[bytes, Stay, Fault]]:
    """Stays of meters that came by the proof of a release which the log that they ``left`` has nothing of."""
    for public_key, stays in of.registry.stays.items():
        for stay in stays:
            proof = stay.came
            if proof is None or proof.notice.log_id != left.log_id:
                continue
            if proof.size > left.tree.size:
                yield public_key, stay, Fault.TOO_OLD
            elif left.tree.root(proof.size) != proof.root:
                yield public_key, stay, Fault.NOT_THERE
