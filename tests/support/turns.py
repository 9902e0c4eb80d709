"""How long the loop works at something between two of its turns, in processor time."""

import asyncio
import ctypes
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

# What stalls nobody.
MAX_TURN_S = 0.020
# Room in small objects that stays mapped, so that no turn waits for new pages: on a virtual machine each was seen to
# take 7 to 12 us.
_OBJECT_BYTES, _OBJECTS, _KEPT_EACH = 480, 400_000, 500
T = TypeVar("T")


async def in_short_turns(
    begin: Callable[[], Coroutine[Any, Any, T]], most_s: float = MAX_TURN_S
) -> T:
    """What the work has for an answer, where the loop spends no more processor time on it between two of its turns.

    In one of a few tries: whatever else the machine is at only adds, by caches that are cold and pages to be had.
    """
    _keep_freed()
    kept = _pages_at_hand()
    for _ in range(4):
        longest_s, answer = await longest_turn_s(begin())
        if longest_s < most_s:
            return answer
    raise AssertionError(
        f"a turn took {longest_s * 1e3:.1f} ms, in each of several tries, with {len(kept)} pages at hand"
    )


def _pages_at_hand() -> list[bytes]:
    """Memory of which nearly all is free, and which the allocator cannot give back while the rest is held."""
    return [bytes(_OBJECT_BYTES) for _ in range(_OBJECTS)][::_KEPT_EACH]


async def longest_turn_s(work: Coroutine[Any, Any, T]) -> tuple[float, T]:
    longest_s = 0.0
    task = asyncio.ensure_future(work)
    before_s = time.thread_time()
    while not task.done():
        await asyncio.sleep(0)
        now_s = time.thread_time()
        longest_s = max(longest_s, now_s - before_s)
        before_s = now_s
    return longest_s, task.result()


def _keep_freed() -> None:
    """What messages were made in is had again by the next try (mallopt: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD); so it
    stays for the rest of the process."""
    libc = ctypes.CDLL(None)
    libc.mallopt(-1, 1 << 30)
    libc.mallopt(-3, 1 << 30)
