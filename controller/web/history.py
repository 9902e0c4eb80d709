"""The last quarter of an hour of power and of the map, kept whether or not anybody looks: who opens the page after a
fault sees what was before it.

Of circuits that changed only their ids are noted as they do. All is looked at every few seconds, and within a second
after an alarm, in turns; where nothing has changed, nothing is looked at.
"""

import asyncio
import gzip
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from controller.core.errors import Refusal
from controller.core.network.link import LinkState
from controller.core.network.view import GridView
from controller.core.questions import Questions
from controller.northbound.mark_feed import MarkFeed
from controller.northbound.turns import in_turns
from controller.runtime.runtime import Runtime
from controller.watching.marks import Severity
from controller.web.figures import Figures
from controller.web.map_history import KEPT_MS, Key, MapHistory, Values
from digitalgrid.supervision import start_task
from digitalgrid.units import MS_PER_S

# How often (s) figures and the map are kept; and how often it is asked whether there was an alarm.
EVERY_S = 5.0
_ALARM_EVERY_S = 1.0
# How long (s) one telling of the map does for all who ask.
_TOLD_FOR_S = 1.0
# Rows are much alike: more effort makes them hardly smaller.
_GZIP_LEVEL = 3

Second = tuple[int, float, float]


class History:
    """``seconds``: (unix ms, injected W, delivered W), the newest last. Nothing is kept while no state is known."""

    def __init__(self, runtime: Runtime, marks: MarkFeed) -> None:
        self._runtime = runtime
        self._marks = marks
        # Up to which marks the map was kept.
        self._marked = marks.newest
        self._changed: set[int] = set()
        self._figures = Figures()
        self._is_new = True
        self._view: GridView | None = None
        self.seconds: deque[Second] = deque()
        self.map = MapHistory()
        self._looking, self._telling = asyncio.Lock(), asyncio.Lock()
        self._told_at_s, self._told = 0.0, b""

    @contextmanager
    def kept(self) -> Iterator[None]:
        feeds = self._runtime.feeds
        with feeds.circuits.subscribed(self._changed.add), feeds.roles.subscribed(self._begin):
            task = start_task("history", self._run)
            try:
                yield
            finally:
                task.cancel()

    async def told(self) -> bytes:
        """The map of all that time, as gzip of JSON, made by a thread."""
        async with self._telling:
            now_s = asyncio.get_running_loop().time()
            if not self._told or now_s - self._told_at_s > _TOLD_FOR_S:
                # What happened a moment ago is in it.
                with suppress(Refusal):
                    await self.look()
                telling = self.map.telling(_unix_ms())
                self._told = await asyncio.to_thread(
                    lambda: gzip.compress(telling.json(), _GZIP_LEVEL, mtime=0)
                )
                self._told_at_s = now_s
            return self._told

    def _begin(self) -> None:
        """Another state is true."""
        self._is_new = True

    async def _run(self) -> None:
        while True:
            with suppress(Refusal):
                await self.look()
            await self._pause()

    async def _pause(self) -> None:
        for _ in range(round(EVERY_S / _ALARM_EVERY_S)):
            await asyncio.sleep(_ALARM_EVERY_S)
            if self._marks.has_alarm(self._marked):
                return

    async def look(self) -> None:
        """Refusal where no state is known."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        known = self._runtime.questions
        if self._is_new:
            self._is_new, self._view = False, None
            # What loads had in the state before they may have no more.
            self._figures = Figures(changed_sinks=self._figures.sinks)
            self._changed.update(known.circuits)
        figures, at_unix_ms = self._figures, self._since_unix_ms()
        changed = sorted(self._changed | figures.forgotten(known.circuits))
        self._changed.clear()

        def note(circuit_id: int) -> None:
            figures.note(circuit_id, known.circuits.get(circuit_id))

        async for _ in in_turns(changed, note):
            pass
        if changed or known.view is not self._view:
            await self._keep_map(known, figures, at_unix_ms)
        if figures is self._figures and not self._is_new:
            self._keep_second(figures.second())

    def _since_unix_ms(self) -> int:
        """Since when what is seen now may be so: an alarm that nobody has looked at yet, else now."""
        now_unix_ms = _unix_ms()
        alarms = (
            mark.at_unix_ms
            for mark in self._marks.after(self._marked)
            if mark.kind.severity is Severity.ALARM
        )
        self._marked = self._marks.newest
        # Not of long ago: what was then is not seen now.
        return max(next(alarms, now_unix_ms), now_unix_ms - int(EVERY_S * MS_PER_S))

    async def _keep_map(self, known: Questions, figures: Figures, at_unix_ms: int) -> None:
        self._view = known.view
        things: list[tuple[Key, Values]] = []
        sinks, figures.changed_sinks = figures.changed_sinks, set()
        async for some in in_turns(*self._things(known)):
            things += some
        things += [(("sinks", each), (dict(figures.sinks.get(each, {})),)) for each in sinks]
        self.map.take(at_unix_ms, things)

    def _things(self, known: Questions) -> tuple[list[Key], Callable[[Key], tuple[Key, Values]]]:
        """What is looked at, and how."""
        view = known.view
        fresh = self._runtime.look(lambda questions, now_ns: questions.fresh_router_ids(now_ns))

        def values(key: Key) -> tuple[Key, Values]:
            table, id_ = key
            match table:
                case "routers":
                    return key, (known.is_connected(id_), _admin(known, id_))
                case "links":
                    return key, _line(known, view, id_, fresh)
                case "sources":
                    reserved_w = known.reserved_at_source_w(id_)
                    return key, (round(reserved_w), round(known.standby_at_source_w(id_)))
                case _:
                    got_w = known.reserved_at_load_w(id_) - known.held_at_load_w(id_)
                    return key, (round(got_w),)

        tables: dict[str, Iterable[str]] = {
            "routers": view.routers,
            "links": view.links,
            "sources": view.sources,
            "loads": view.loads,
        }
        return [(table, each) for table, ids in tables.items() for each in ids], values

    def _keep_second(self, second: Second) -> None:
        self.seconds.append(second)
        while self.seconds[0][0] < second[0] - KEPT_MS:
            self.seconds.popleft()


def _line(known: Questions, view: GridView, link_id: str, fresh: frozenset[str]) -> Values:
    link = view.links[link_id]
    is_up = link.state is LinkState.UP and link.a in fresh and link.b in fresh
    return (
        round(known.reserved_on_link_a(link_id, link.a), 2),
        round(known.reserved_on_link_a(link_id, link.b), 2),
        is_up,
        not is_up and link.state is not LinkState.DOWN,
        _admin(known, link_id),
        round(known.standby_on_link_a(link_id, link.a), 2),
        round(known.standby_on_link_a(link_id, link.b), 2),
    )


def _admin(known: Questions, id_: str) -> str:
    """Empty for what is in service."""
    record = known.drains.get(id_)
    return record.state.value if record is not None else ""


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
