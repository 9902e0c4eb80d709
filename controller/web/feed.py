"""The page's feed: one journal of rows, marks and figures for all browsers, each of which is a place in it.

What changed is found and encoded once, as the budget of watching allows. A browser that comes back after a pause goes
on where it was; who was away for longer, or finds another state of the grid here, begins anew.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress

import msgspec

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.errors import Refusal
from controller.northbound.circuit_looks import CircuitLooks
from controller.northbound.services import Services
from controller.northbound.topology_codec import Key as PictureKey
from controller.northbound.topology_codec import Picture, is_urgent
from controller.northbound.turns import in_turns
from controller.watching.gate import Gate
from controller.watching.journal import Journal, Place
from controller.watching.marks import Mark
from controller.watching.meter_look import MeterLook
from controller.web.about import About
from controller.web.events import (
    MARKS,
    MEASURED,
    MOST_BYTES,
    NOW,
    SECONDS,
    EventId,
    Key,
    event,
    told,
)
from controller.web.figures import Figures, books, measured
from controller.web.history import History
from controller.web.rows import COLUMNS, TABLES, circuit_row, picture_row
from digitalgrid.supervision import start_task

# How long (s) what was told is kept when nobody is left who watches: browsers come back within seconds.
LINGER_S = 15.0
# How often (s) routers are asked for their meters while somebody watches, if the loop can afford it.
_METERS_S = 2.0
# How often (s) figures are told, by which a page knows that it is up to date.
_TICK_S = 1.0
_CIRCUITS = "circuits"
_READY = event("ready", {})
# What one message to one browser takes (s), all of it in the loop, as measured on loopback with a hundred of them.
_MESSAGE_S = 40e-6
# Of what happened before somebody looks.
_MOST_MARKS = 2048
_encode = msgspec.json.Encoder().encode


class PageFeed:
    """Server-sent events for all who watch; nothing is done while nobody does."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        meters: MeterLook,
        about: About,
        history: History,
        linger_s: float = LINGER_S,
    ) -> None:
        self._services = services
        self._linger_s = linger_s
        self._history = history
        self._runtime = runtime = services.runtime
        self._gate = gate
        self._about = about
        self._meters = meters
        self._looking = ExitStack()
        self._told: _Told | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._tallies = services.runtime.tallies
        self._roles = asyncio.Event()
        runtime.feeds.roles.subscribe(self._note_roles)

    def close(self) -> None:
        self._runtime.feeds.roles.unsubscribe(self._note_roles)
        self._end()

    async def events(
        self, last_event_id: str = "", packed: Callable[[bytes], bytes] = bytes
    ) -> AsyncGenerator[bytes]:
        """What a browser is told from now on, or since an event that it has had; ``packed`` as it takes it."""
        last = EventId.parsed(last_event_id)
        with self._watched():
            while True:
                roles = self._roles
                current = self._current()
                if current is None:
                    # Again and again, by which a page knows that somebody is there.
                    yield packed(event("hello", self._hello(resumed=False)))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_TICK_S):
                            await roles.wait()
                    continue
                async for some in self._of(current, last, packed):
                    yield some
                # Another state is true now, and this is the next thing that is told.
                last = EventId("", Place(0, 0))

    async def _of(
        self, current: "_Told", last: EventId | None, packed: Callable[[bytes], bytes]
    ) -> AsyncGenerator[bytes]:
        """What one state's journal has for one browser."""
        resumed = last is not None and current.goes_on_from(last)
        if last is not None and not resumed:
            self._tallies.web_resyncs += 1
        yield packed(event("hello", self._hello(resumed=resumed)))
        if not resumed:
            seconds, begins = list(self._history.seconds), self._history.map.begins_unix_ms
            yield packed(event(SECONDS, {"seconds": seconds, "map_begins_unix_ms": begins}))
        place = last.place if resumed and last is not None else Place(0, 0)
        # Until all circuits were looked at, figures are less than what there is.
        await current.filled.wait()
        yield packed(event(NOW, self._now(current.figures)))
        first = current.journal.end()
        while place.number < first.number:
            answer, place = current.answer(place)
            # What was to be told may have been forgotten meanwhile.
            if answer:
                yield packed(answer)
            # What is there at first is written in turns, and not charged to those who watch.
            await asyncio.sleep(0)
        yield packed(_READY)
        while await current.news_after(place):
            await self._gate.enter(lambda: current.journal.has_urgent(place))  # noqa: B023
            if not current.journal.reaches(place):
                return
            with self._gate.working() if current.is_to_make(place) else nullcontext():
                answer, place = current.answer(place)
                said = packed(answer) if answer else b""
            if said:
                yield self._gate.send(said, _MESSAGE_S)

    def _hello(self, *, resumed: bool) -> dict[str, object]:
        return {"columns": COLUMNS, "daemon": self._about.daemon(), "resumed": resumed}

    def _now(self, figures: Figures) -> bytes:
        return _encode(
            {
                **figures.now(),
                "books": books(self._meters.reading),
                "daemon": self._about.daemon(),
                "watchers": self._tallies.web_clients,
            }
        )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._tallies.web_clients += 1
        if self._tallies.web_clients == 1:
            self._looking.enter_context(self._meters.wanted(_METERS_S))
        if self._ending is not None:
            self._ending.cancel()
        try:
            yield
        finally:
            self._tallies.web_clients -= 1
            if not self._tallies.web_clients:
                self._looking.close()
                loop = asyncio.get_running_loop()
                self._ending = loop.call_later(self._linger_s, self._end)

    def _end(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self._told is not None:
            self._told.close()
            self._told = None

    def _current(self) -> "_Told | None":
        """None while the state is not known."""
        if self._told is None or not self._told.is_current:
            if self._told is not None:
                self._told.close()
                self._told = None
            try:
                self._told = _Told(self._services, self._gate, self._meters, self._now)
            except Refusal:
                return None
        return self._told

    def _note_roles(self) -> None:
        self._roles.set()
        self._roles = asyncio.Event()


class _Told:
    """What is told of one state, from the first browser to the last; another state has another. Refusal where none
    is known.
    """

    def __init__(
        self,
        services: Services,
        gate: Gate,
        meters: MeterLook,
        now: Callable[[Figures], bytes],
    ) -> None:
        self._runtime = runtime = services.runtime
        self._gate = gate
        self._questions = runtime.questions
        self._now = now
        self._meters = meters
        self.epoch = secrets.token_hex(4)
        self.journal: Journal[Key] = Journal()
        self.figures = Figures()
        self.filled = asyncio.Event()
        self._failed: set[int] = set()
        self._measured_unix_ms = 0
        # Answers to all who are at one place.
        self._answers: dict[Place, tuple[bytes, Place]] = {}
        self._news = asyncio.Event()
        self._woken_for = 0
        # Up to which marks are told, and which of them still are.
        self._marks = services.marks
        self._marked = self._marks.newest - _MOST_MARKS
        self._told_marks: deque[int] = deque()
        self._topology = services.looks
        self._topology.join(self)
        self._circuits = CircuitLooks(runtime, gate, self)
        runtime.feeds.roles.subscribe(self._wake)
        self._task = start_task("page-feed", self._run)

    @property
    def is_current(self) -> bool:
        return self._runtime.is_current(self._questions)

    def close(self) -> None:
        self._task.cancel()
        self._circuits.close()
        self._topology.leave(self)
        self._runtime.feeds.roles.unsubscribe(self._wake)
        self.filled.set()
        self._wake()

    def goes_on_from(self, last: EventId) -> bool:
        """Whether what follows is all that such a reader needs."""
        place = last.place
        known = last.epoch == self.epoch and max(place) <= self.journal.newest
        return known and self.filled.is_set() and self.journal.reaches(place)

    async def news_after(self, place: Place) -> bool:
        """False once this state is no longer what is true."""
        while self.is_current and self.journal.newest <= place.number:
            await self._news.wait()
        return self.is_current

    def is_to_make(self, place: Place) -> bool:
        """Whether nobody who was there has been told yet what follows a place."""
        return place not in self._answers

    def answer(self, place: Place) -> tuple[bytes, Place]:
        """What follows a place, the same bytes for all who are there."""
        if place not in self._answers:
            words, following = self.journal.after(place, MOST_BYTES)
            id_ = EventId(self.epoch, following)
            self._answers[place] = told(words, time.time_ns() // 1_000_000, id_), following
        return self._answers[place]

    # What is seen

    async def _run(self) -> None:
        await self._topology.be_current()
        async for _ in in_turns(list(self._questions.circuits), self._circuits.look_at):
            pass
        self.seen()
        self.filled.set()
        while True:
            await self._gate.enter(lambda: False)
            with self._gate.working():
                self._tick()
            await asyncio.sleep(_TICK_S)

    def _tick(self) -> None:
        for circuit_id in [each for each in self._failed if each not in self._questions.circuits]:
            self._circuits.forget(circuit_id)
            self.see_circuit(circuit_id, None, urgent=False)
        self._tell_marks()
        self._say((NOW, ""), self._now(self.figures))
        reading = self._meters.reading
        if reading is not None and reading.at_unix_ms != self._measured_unix_ms:
            self._measured_unix_ms = reading.at_unix_ms
            self._say((MEASURED, ""), _encode(measured(reading)))
        self._tell_news()

    def _tell_marks(self) -> None:
        """Those that are new, with whatever else is told: a cut line and its mark are one message."""
        for mark in self._marks.after(self._marked):
            self._say((MARKS, mark.n), _mark(mark), urgent=True)
            self._told_marks.append(mark.n)
        self._marked = self._marks.newest
        while len(self._told_marks) > _MOST_MARKS:
            self.journal.forget((MARKS, self._told_marks.popleft()))

    def see(self, key: PictureKey, before: Picture | None, now: Picture | None) -> None:
        kind, id_ = key
        if now is None:
            self.journal.say_gone((TABLES[kind], id_))
        else:
            self._say((TABLES[kind], id_), picture_row(now), urgent=is_urgent(before, now))

    def told(self, _lsdb_version: int) -> None:
        self._tell_marks()
        self._tell_news()

    def refuse(self, _refusal: Refusal) -> None:
        """Another state is about to be true; who watches begins anew with it."""
        self._wake()

    def see_circuit(self, circuit_id: int, circuit: Circuit | None, *, urgent: bool) -> None:
        """What has failed is shown for as long as it is remembered; what was released is gone."""
        self._failed.discard(circuit_id)
        self.figures.note(circuit_id, circuit)
        if circuit is None or circuit.state is CircuitState.WITHDRAWN:
            if self.journal.said((_CIRCUITS, circuit_id)) is not None:
                self.journal.say_gone((_CIRCUITS, circuit_id))
            return
        if circuit.state is CircuitState.FAILED:
            self._failed.add(circuit_id)
        self._say((_CIRCUITS, circuit_id), circuit_row(circuit), urgent=urgent)

    def seen(self) -> None:
        self._tell_marks()
        self._tell_news()

    def _say(self, key: Key, said: bytes, *, urgent: bool = False) -> None:
        if said != self.journal.said(key):
            self.journal.say(key, said, urgent=urgent)

    def _tell_news(self) -> None:
        """Nobody is woken for nothing: a hundred who look are half a millisecond."""
        if self.journal.newest != self._woken_for:
            self._woken_for = self.journal.newest
            self._wake()

    def _wake(self) -> None:
        self._answers.clear()
        self._news.set()
        self._news = asyncio.Event()


def _mark(mark: Mark) -> bytes:
    return _encode(
        {
            "n": mark.n,
            "at_unix_ms": mark.at_unix_ms,
            "kind": mark.kind.word,
            "id": mark.id,
            "severity": mark.kind.severity,
            "text": mark.text,
        }
    )
