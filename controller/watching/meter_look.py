"""The slow look at meters: routers are asked for their books now and then, once for all who want to know, and only
while somebody does.

What is measured is kept apart from what is reserved: energies of the whole network since routers were made, which never
run backwards though routers restart, and the power between two looks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from controller.core.network.view import GridView
from digitalgrid.supervision import start_task
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_S
from digitalgrid.v1.power_link_pb2 import RouterMeters

# The meters of the routers that answered, and the ids of those that did not.
ReadMeters = Callable[[], Awaitable[tuple[list[RouterMeters], list[str]]]]

# What the books of one router take of the loop (s): 50 us, or 190 us with a hundred circuits, to be read, checked and
# added up, and as much again in gRPC, at most, for the question and the answer.
_ROUTER_S = 400e-6
# Routers whose books are added up in one turn of the loop, at 15 us each.
_AT_ONCE = 128
# Routers that are known no more and whose books are kept by name.
MOST_FORGOTTEN = 4096
# Of the loop's time: apart from the budget of watching, which must not be owed for seconds by one large look.
_SHARE = 0.01


class Energies(NamedTuple):
    """Of a router, or of all of them, in millijoules; each only grows."""

    injected_mj: int = 0
    delivered_mj: int = 0
    line_loss_mj: int = 0
    converter_loss_mj: int = 0
    dissipated_mj: int = 0
    lost_to_faults_mj: int = 0
    lost_in_transit_mj: int = 0

    @classmethod
    def of(cls, meters: RouterMeters) -> "Energies":
        return cls(
            sum(each.injected_mj for each in meters.sources),
            sum(each.delivered_mj for each in meters.loads),
            sum(each.line_loss_mj for each in meters.links),
            meters.converter_loss_mj,
            meters.dissipated_mj,
            sum(each.lost_to_faults_mj for each in meters.links),
            sum(each.lost_in_transit_mj for each in meters.links),
        )

    def plus(self, other: "Energies") -> "Energies":
        return Energies(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: "Energies") -> "Energies":
        return Energies(*(a - b for a, b in zip(self, other, strict=True)))


class Flow(NamedTuple):
    """What a link carried between two looks, as its ends measured what left them (A)."""

    a_to_b_a: float
    b_to_a_a: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What all routers together have measured, by the last books of each. ``powers_w`` are of the kinds of Energies, of
    those routers that were read twice; ``missing_ids`` did not answer. Zero, or a bug: ``imbalance_mj``;
    ``oversubscribed`` instants, at which anything bore more than it is built for; and by how much a loss differed from
    its formula.
    """

    at_unix_ms: int
    totals: Energies
    buffered_mj: int
    imbalance_mj: int
    powers_w: tuple[float, ...]
    flows: dict[str, Flow]
    missing_ids: tuple[str, ...]
    oversubscribed: int
    formula_deviation_mj: float


class _Books(NamedTuple):
    """What was last read of a router; ``former`` is what it had counted before it lost its books."""

    boot_id: int
    time_ns: int
    energies: Energies
    buffered_mj: int
    imbalance_mj: int
    sent_mj: dict[str, int]
    former: Energies
    # With those of its former lives, of which a router itself knows nothing.
    oversubscribed: int
    counted_oversubscribed: int
    formula_deviation_mj: float


class MeterBooks:
    """Adds up what routers say of their meters, look by look."""

    def __init__(self) -> None:
        # Whoever answered last comes last; of many that are forgotten only the sum is kept.
        self._books: dict[str, _Books] = {}
        self._merged = Energies()
        self._begin()

    def _begin(self) -> None:
        self._powers_w = [0.0] * len(Energies._fields)
        # By link and the router that sends.
        self._sent_w: dict[tuple[str, str], float] = {}

    def note(self, meters: RouterMeters) -> None:
        """One router's books, of the look that goes on."""
        before = self._books.pop(meters.router_id, None)
        now = self._books[meters.router_id] = _books(meters, before)
        if before is None or before.boot_id != now.boot_id or now.time_ns <= before.time_ns:
            return
        # Millijoules in so many nanoseconds, as watts.
        per_mj_w = NS_PER_S / (now.time_ns - before.time_ns) / MILLIJOULES_PER_J
        for index, grown_mj in enumerate(now.energies.minus(before.energies)):
            self._powers_w[index] += grown_mj * per_mj_w
        for link_id, sent_mj in now.sent_mj.items():
            grown_mj = sent_mj - before.sent_mj.get(link_id, 0)
            self._sent_w[link_id, meters.router_id] = grown_mj * per_mj_w

    def _merge_forgotten(self, view: GridView) -> None:
        """Strangers may come under ever other ids: beyond a number, those that are silent for the longest lose their
        names. One that came back would count anew.
        """
        beyond = len(self._books) - len(view.routers) - MOST_FORGOTTEN
        forgotten = (each for each in tuple(self._books) if each not in view.routers)
        for router_id in islice(forgotten, max(0, beyond)):
            gone = self._books.pop(router_id)
            self._merged = self._merged.plus(gone.energies).plus(gone.former)

    def conclude(self, missing_ids: Iterable[str], view: GridView) -> Reading:
        """The look is over; routers that did not answer count as they last did, those that are forgotten too."""
        self._merge_forgotten(view)
        known = self._books.values()
        totals = self._merged
        for books in known:
            totals = totals.plus(books.energies).plus(books.former)
        reading = Reading(
            at_unix_ms=time.time_ns() // 1_000_000,
            totals=totals,
            buffered_mj=sum(books.buffered_mj for books in known),
            imbalance_mj=sum(abs(books.imbalance_mj) for books in known),
            powers_w=tuple(self._powers_w),
            flows=_flows(self._sent_w, view),
            missing_ids=tuple(missing_ids),
            oversubscribed=sum(books.oversubscribed for books in known),
            formula_deviation_mj=max((books.formula_deviation_mj for books in known), default=0.0),
        )
        self._begin()
        return reading


def _books(meters: RouterMeters, before: _Books | None) -> _Books:
    energies, former = Energies.of(meters), Energies()
    if before is not None:
        former = before.former
        if any(now < then for now, then in zip(energies, before.energies, strict=True)):
            # It was made anew, without its books.
            former = former.plus(before.energies)
    received_mj = sum(each.received_mj for each in meters.links)
    sent_mj = {each.link_id: each.sent_mj for each in meters.links if not each.former}
    into_mj = received_mj + energies.injected_mj
    out_mj = sum(each.sent_mj for each in meters.links) + energies.delivered_mj
    kept_mj = energies.converter_loss_mj + energies.dissipated_mj + meters.buffered_mj
    counted = meters.oversubscribed_instants
    counted += sum(each.oversubscribed_instants for each in meters.links)
    return _Books(
        meters.boot_id,
        meters.time_ns,
        energies,
        meters.buffered_mj,
        # A full meter shows too little, and says so.
        0 if meters.saturated else into_mj - out_mj - kept_mj,
        sent_mj,
        former,
        _oversubscribed_in_all(counted, before),
        counted,
        meters.max_formula_deviation_mj,
    )


def _oversubscribed_in_all(counted: int, before: _Books | None) -> int:
    """Instants since the router was first read, and before that as many as it says: it counts from its start on."""
    if before is None:
        return counted
    since = counted - before.counted_oversubscribed
    return before.oversubscribed + (since if since >= 0 else counted)


def _flows(sent_w: dict[tuple[str, str], float], view: GridView) -> dict[str, Flow]:
    flows = {}
    for link_id in {link_id for link_id, _ in sent_w}:
        link = view.links.get(link_id)
        if link is not None and link.voltage_v:
            sent_a = (sent_w.get((link_id, end), 0.0) / link.voltage_v for end in (link.a, link.b))
            flows[link_id] = Flow(*sent_a)
    return flows


def _least_interval_s(routers: int) -> float:
    return _ROUTER_S * routers / _SHARE


class MeterLook:
    """One for a daemon. Who wants readings says how often by :meth:`wanted`; they come no oftener than the loop can
    afford.
    """

    def __init__(self, read: ReadMeters, view: Callable[[], GridView]) -> None:
        self._read = read
        self._view = view
        self._books = MeterBooks()
        # The newest; None before the first, and once nobody has wanted any for a while.
        self.reading: Reading | None = None
        self._wanted: list[float] = []
        self._change = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def wanted(self, interval_s: float) -> Iterator[None]:
        """Look as often while this lasts; the first look is at once."""
        self._wanted.append(interval_s)
        self._change.set()
        if self._task is None:
            self._task = start_task("meter-look", self._run)
        try:
            yield
        finally:
            self._wanted.remove(interval_s)
            if not self._wanted and self._task is not None:
                self._task.cancel()
                self._task = None

    def least_interval_s(self, routers: int) -> float:
        """How often so many routers are looked at, by what is wanted and what the loop can afford."""
        return max(_least_interval_s(routers), min(self._wanted, default=0.0))

    async def news(self) -> Reading:
        """The next reading."""
        await self._news.wait()
        if self.reading is None:
            raise RuntimeError("a look was told without a reading")
        return self.reading

    async def _run(self) -> None:
        while True:
            begun_s = time.monotonic()
            meters, missing_ids = await self._read()
            for number, each in enumerate(meters, 1):
                self._books.note(each)
                if number % _AT_ONCE == 0:
                    # The next turn is for others.
                    await asyncio.sleep(0)
            self.reading = self._books.conclude(missing_ids, self._view())
            self._news.set()
            self._news = asyncio.Event()
            await self._pause(begun_s, _least_interval_s(len(meters)))

    async def _pause(self, begun_s: float, least_s: float) -> None:
        """Until the next look is due, for who wants most of them; who comes meanwhile may want more."""
        while True:
            self._change.clear()
            due_s = begun_s + max(least_s, min(self._wanted, default=0.0))
            try:
                async with asyncio.timeout(due_s - time.monotonic()):
                    await self._change.wait()
            except TimeoutError:
                return
