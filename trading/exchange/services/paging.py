"""Pages of listings (AIP-158): how many at a time, and tokens, which are where the last page ended."""

from collections.abc import Callable, Reversible, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from trading.exchange.services.turns import another_turn
from trading.reasons import MarketReason, Refused

# Where nobody says how many, and at most.
_USUAL, MOST = 100, 1_000
# Bytes after which an answer ends: half of the 4 MiB that gRPC's clients take where nobody tells them otherwise, which
# leaves room for the last message.
_MOST_BYTES = 2 * 1024 * 1024
# Bytes that are made in one turn, in which nobody else is heard: some milliseconds.
_TURN_BYTES = 16 * 1024
# Rows that are looked through in one turn: a part of a millisecond.
TURN_ROWS = 2_000
# A number of a page token, at most: databases take no greater one.
_MAX_INT64 = 2**63 - 1
R = TypeVar("R")
M = TypeVar("M", bound=Message)


def page_size(asked: int, usual: int = _USUAL) -> int:
    """Raises Refused."""
    if asked < 0:
        raise Refused(MarketReason.PAGE_UNKNOWN, f"page_size is {asked}", "page_size")
    return min(asked, MOST) or usual


async def newest(rows: Reversible[R], is_wanted: Callable[[R], bool], count: int) -> list[R]:
    """The last of ``rows`` that are wanted, the last first; others are heard meanwhile."""
    found: list[R] = []
    for looked, row in enumerate(reversed(rows), start=1):
        if is_wanted(row):
            found.append(row)
            if len(found) == count:
                break
        if looked % TURN_ROWS == 0:
            await another_turn()
    return found


async def fitting(
    records: Sequence[R], made: Callable[[R], M], size: int, place: Callable[[R], tuple[int, ...]]
) -> tuple[list[M], str]:
    """Messages of as many records as one answer holds, one at least, and the token of what comes after them.

    Others are heard meanwhile.
    """
    messages: list[M] = []
    page_bytes = turn_bytes = 0
    for record in records:
        messages.append(made(record))
        message_bytes = messages[-1].ByteSize()
        page_bytes, turn_bytes = page_bytes + message_bytes, turn_bytes + message_bytes
        if page_bytes >= _MOST_BYTES:
            break
        if turn_bytes >= _TURN_BYTES:
            turn_bytes = 0
            await another_turn()
    is_all = len(messages) == len(records) < size
    return messages, "" if is_all else token_of(*place(records[len(messages) - 1]))


def token_of(*place: int) -> str:
    return ".".join(map(str, place))


def place_of(token: str, length: int) -> tuple[int, ...] | None:
    """None of the first page. Raises Refused."""
    if not token:
        return None
    parts = token.split(".")
    is_ours = len(parts) == length and all(
        part.isascii() and part.isdigit() and len(part) < 20 and int(part) <= _MAX_INT64
        for part in parts
    )
    if not is_ours:
        raise Refused(MarketReason.PAGE_UNKNOWN, "page_token is none of this list", "page_token")
    return tuple(map(int, parts))
