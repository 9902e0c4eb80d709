"""Load shedding: no more calls are let in than can be answered in time, and of one client no more than its share; the
others are told when to retry.

What waits costs memory and its caller's patience, and what is let in must still meet its deadline. A client is a
connection: one that floods leaves the rest of the places to others.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from controller.core.errors import Refusal
from digitalgrid.reasons import Reason


@dataclass(frozen=True, slots=True)
class Places:
    """How many calls of a kind may be under way at a time, in all and of one client."""

    most: int
    most_of_one: int


# In all, a third of a second's work at the rate of single durable admissions.
CALLS = Places(512, 128)
# Each holds what has changed since it last read, which is bounded by what there is.
WATCHES = Places(4096, 1024)
# Health checks and reflection: places of their own, so that whoever looks after the controller is not told that it is
# ill while it is only busy.
CHECKS = Places(128, 32)
CHECK_STREAMS = Places(1024, 256)


class LoadGate:
    """Counts what is under way at one server, and in ``rejected`` by kind what was turned away."""

    def __init__(
        self,
        calls: Places = CALLS,
        watches: Places = WATCHES,
        checks: Places = CHECKS,
        check_streams: Places = CHECK_STREAMS,
        rejected: Counter[str] | None = None,
    ) -> None:
        counted = rejected if rejected is not None else Counter()
        self._calls = _Counted("calls", calls, counted)
        self._watches = _Counted("watches", watches, counted)
        self._checks = _Counted("health checks", checks, counted)
        self._check_streams = _Counted("health watches", check_streams, counted)

    @contextmanager
    def call(self, client: str, *, is_check: bool = False) -> Iterator[None]:
        """Refusal where there are too many already; ``client`` is the address of a connection."""
        counted = self._checks if is_check else self._calls
        counted.enter(client)
        try:
            yield
        finally:
            counted.leave(client)

    @contextmanager
    def watch(self, client: str, *, is_check: bool = False) -> Iterator[None]:
        """As :meth:`call`, for what goes on until somebody ends it."""
        counted = self._check_streams if is_check else self._watches
        counted.enter(client)
        try:
            yield
        finally:
            counted.leave(client)


class _Counted:
    """Calls of one kind that are under way; of clients only those that have some."""

    def __init__(self, kind: str, places: Places, rejected: Counter[str]) -> None:
        self._kind = kind
        self._places = places
        self._rejected = rejected
        self._count = 0
        self._of_client: dict[str, int] = {}

    def enter(self, client: str) -> None:
        own = self._of_client.get(client, 0)
        if own >= self._places.most_of_one:
            raise self._overloaded(
                f"{own} {self._kind} of this client are under way, which is all that one may have"
            )
        if self._count >= self._places.most:
            raise self._overloaded(
                f"{self._count} {self._kind} are under way, which is all that this controller takes"
            )
        self._count += 1
        self._of_client[client] = own + 1

    def leave(self, client: str) -> None:
        self._count -= 1
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]

    def _overloaded(self, message: str) -> Refusal:
        self._rejected[self._kind] += 1
        return Refusal(Reason.OVERLOADED, f"{message}; try again in a moment")
