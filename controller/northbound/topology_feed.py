"""The stream of topology changes: the difference is worked out and encoded once for all watchers, as the budget allows.

A watcher is owed what changed since it last read. Lines and routers that come, go, or change their state are told at
once; what is reserved follows from looks at the whole network, in turns.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

from controller.core.errors import Refusal
from controller.core.network.view import GridView
from controller.northbound.topology_codec import Key, Kind, Picture, is_urgent, keys_of, pictures
from controller.rpc.encoding import field
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from controller.watching.journal import Journal, Place
from digitalgrid.supervision import start_task
from digitalgrid.v1 import northbound_pb2 as pb

# Conflation (s): what is reserved within this time is told together.
PACE_S = 0.05
# Pictures that are taken in one turn of the loop, at 5 to 20 us each.
_AT_ONCE = 128
# Of an answer with changes alone: well below the 4 MiB that gRPC's clients take if nobody says otherwise.
_MOST_BYTES = 1024 * 1024
# The number of WatchTopologyResponse.topology.
_TOPOLOGY = pb.WatchTopologyResponse.TOPOLOGY_FIELD_NUMBER
_VERSION: Key = (Kind.VERSION, "")


class TopologyFeed:
    """Serialised WatchTopologyResponses for all who watch; nothing is done while nobody does."""

    def __init__(self, runtime: Runtime, gate: Gate) -> None:
        self._runtime = runtime
        self._gate = gate
        self._watchers = 0
        # Those who wait for their first view.
        self._coming = 0
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._looked_at_s = 0.0
        # Something may have changed; so may the network itself; there is something to tell.
        self._noted, self._view_noted = asyncio.Event(), asyncio.Event()
        self._news = asyncio.Event()
        # What kept the newest look from seeing anything, if anything did.
        self._refusal: Refusal | None = None
        self._forget()

    def _forget(self) -> None:
        self._journal: Journal[Key] = Journal()
        self._pictures: dict[Key, Picture] = {}
        self._view = GridView(version=0)
        self._lsdb_version = 0
        # Answers to all who are at one place, and the whole with the number of the newest word in it.
        self._answers: dict[Place, tuple[bytes, Place]] = {}
        self._whole = b""
        self._whole_number = 0

    async def watch(self, *, changes_only: bool) -> AsyncGenerator[bytes]:
        """The whole now, then what changes, or the whole again after each change."""
        with self._watched():
            await self._be_current()
            self._check()
            place = self._journal.end()
            yield self._all()
            while True:
                await self._news_after(place)
                await self._gate.enter(lambda: self._journal.has_urgent(place))  # noqa: B023
                answer, place = self._after(place, changes_only=changes_only)
                yield self._gate.send(answer)

    async def _be_current(self) -> None:
        """Whoever comes sees all that it was told by others before, and waits for no budget."""
        self._coming += 1
        self._gate.look_again()
        try:
            async with self._looking:
                if self._noted.is_set() or self._refusal is not None:
                    await self._look()
        finally:
            self._coming -= 1

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._watchers += 1
        if self._watchers == 1:
            self._begin()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._end()

    def _begin(self) -> None:
        feeds = self._runtime.feeds
        feeds.roles.subscribe(self._note_view)
        feeds.topology.subscribe(self._note_view)
        # Reservations are part of the view, and change with the circuits that hold them.
        feeds.circuits.subscribe(self._note_circuit)
        self._noted.set()
        self._task = start_task("topology-feed", self._run)

    def _end(self) -> None:
        feeds = self._runtime.feeds
        feeds.roles.unsubscribe(self._note_view)
        feeds.topology.unsubscribe(self._note_view)
        feeds.circuits.unsubscribe(self._note_circuit)
        if self._task is not None:
            self._task.cancel()
        self._refusal = None
        self._view_noted.clear()
        self._forget()

    # What is told

    def _check(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    async def _news_after(self, place: Place) -> None:
        while self._journal.newest == place.number and self._refusal is None:
            await self._news.wait()
        self._check()

    def _after(self, place: Place, *, changes_only: bool) -> tuple[bytes, Place]:
        if not changes_only or not self._journal.reaches(place):
            return self._all(), self._journal.end()
        if place not in self._answers:
            words, following = self._journal.after(place, _MOST_BYTES)
            topology = self._topology(word.said for word in words if word.said is not None)
            gone = [word.key for word in words if word.said is None]
            self._answers[place] = topology + _partial(gone), following
        return self._answers[place]

    def _all(self) -> bytes:
        if self._whole_number != self._journal.newest:
            said = (self._journal.said(key) for key in sorted(self._journal.present()))
            self._whole = self._topology(each for each in said if each is not None)
            self._whole_number = self._journal.newest
        return self._whole

    def _topology(self, said: Iterable[bytes]) -> bytes:
        begin = pb.Topology(lsdb_version=self._lsdb_version).SerializeToString()
        return field(_TOPOLOGY, b"".join((begin, *said)))

    # What is looked at

    def _note_circuit(self, _circuit_id: int) -> None:
        self._noted.set()

    def _note_view(self) -> None:
        self._view_noted.set()
        self._noted.set()
        self._gate.look_again()

    async def _run(self) -> None:
        while True:
            await self._noted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._looked_at_s + PACE_S):
                    await self._view_noted.wait()
            await self._gate.enter(self._is_urgent)
            if self._view_noted.is_set():
                self._look_at_view()
            else:
                async with self._looking:
                    await self._look()

    def _is_urgent(self) -> bool:
        return self._coming > 0 or self._view_noted.is_set()

    def _look_at_view(self) -> None:
        """At what is another link or router than it was: soon done, however many there are."""
        self._view_noted.clear()
        try:
            known = self._runtime.questions
        except Refusal as refusal:
            self._refuse(refusal)
            return
        with self._gate.working():
            before, self._view = self._view, known.view
            self._take(_other_keys(before, self._view))
            self._tell(known.lsdb_version)

    async def _look(self) -> None:
        """At all of it, by turns; what changes meanwhile is noted anew."""
        self._noted.clear()
        try:
            known = self._runtime.questions
            keys = iter({**dict.fromkeys(keys_of(known.view)), **dict.fromkeys(self._pictures)})
            while some := list(islice(keys, _AT_ONCE)):
                if not self._coming:
                    await self._gate.enter(self._is_urgent)
                if self._view_noted.is_set():
                    self._look_at_view()
                with self._gate.working():
                    self._take(some)
                # The next turn is for others.
                await asyncio.sleep(0)
        except Refusal as refusal:
            self._refuse(refusal)
        except BaseException:
            # Whoever watched has gone in the middle of it.
            self._noted.set()
            raise
        else:
            self._tell(self._runtime.questions.lsdb_version)
            self._looked_at_s = asyncio.get_running_loop().time()

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._wake()

    def _take(self, keys: Iterable[Key]) -> None:
        """Say of each what it is, if that is not what was said before."""
        for key, picture in self._runtime.look(partial(pictures, keys=keys)):
            before = self._pictures.get(key)
            if before == picture:
                continue
            if picture is None:
                del self._pictures[key]
                self._journal.say_gone(key)
                continue
            self._pictures[key] = picture
            said = pb.Topology()
            picture.add_to(said)
            encoded = said.SerializeToString()
            if encoded != self._journal.said(key):
                self._journal.say(key, encoded, urgent=is_urgent(before, picture))

    def _tell(self, lsdb_version: int) -> None:
        self._refusal = None
        if lsdb_version != self._lsdb_version:
            self._lsdb_version = lsdb_version
            # Every answer has it; this is but a reason for one.
            self._journal.say(_VERSION, b"")
        self._answers.clear()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _other_keys(before: GridView, now: GridView) -> list[Key]:
    """Routers and links that are other objects than before, which all are that changed; and links at such routers."""
    routers = _others(before.routers, now.routers)
    links = _others(before.links, now.links)
    if routers:
        links |= {key for key, link in now.links.items() if {link.a, link.b} & routers}
    return [*((Kind.ROUTER, each) for each in routers), *((Kind.LINK, each) for each in links)]


def _others(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    if before is now:
        return set()
    return {key for key, value in now.items() if before.get(key) is not value} | (
        before.keys() - now.keys()
    )


def _partial(gone: list[Key]) -> bytes:
    def ids(wanted: Kind) -> list[str]:
        return [id_ for kind, id_ in gone if kind is wanted]

    return pb.WatchTopologyResponse(
        partial=True,
        removed_router_ids=ids(Kind.ROUTER),
        removed_link_ids=ids(Kind.LINK),
        removed_source_ids=ids(Kind.SOURCE),
        removed_load_ids=ids(Kind.LOAD),
    ).SerializeToString()
