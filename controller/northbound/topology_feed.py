"""The stream of topology changes: the difference is worked out and encoded once for all watchers, as the budget allows.

A watcher is owed what changed since it last read.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, nullcontext

from controller.core.errors import Refusal
from controller.northbound.topology_codec import Key, Kind, Picture, is_urgent
from controller.northbound.topology_looks import TopologyLooks
from controller.watching.gate import Gate
from controller.watching.journal import Journal, Place
from digitalgrid.rpc.encoding import field
from digitalgrid.v1 import northbound_pb2 as pb

# Of an answer with changes alone: well below the 4 MiB that gRPC's clients take if nobody says otherwise.
_MOST_BYTES = 1024 * 1024
# The number of WatchTopologyResponse.topology.
_TOPOLOGY = pb.WatchTopologyResponse.TOPOLOGY_FIELD_NUMBER
_VERSION: Key = (Kind.VERSION, "")


class TopologyFeed:
    """Serialised WatchTopologyResponses for all who watch; nothing is done while nobody does."""

    def __init__(self, looks: TopologyLooks, gate: Gate) -> None:
        self._looks = looks
        self._gate = gate
        self._watchers = 0
        # There is something to tell.
        self._news = asyncio.Event()
        self._refusal: Refusal | None = None
        self._forget()

    def _forget(self) -> None:
        self._journal: Journal[Key] = Journal()
        self._lsdb_version = 0
        # Answers to all who are at one place, and the whole with the number of the newest word in it.
        self._answers: dict[Place, tuple[bytes, Place]] = {}
        self._whole = b""
        self._whole_number = 0

    async def watch(self, *, changes_only: bool) -> AsyncGenerator[bytes]:
        """The whole now, then what changes, or the whole again after each change."""
        with self._watched():
            # Whoever comes sees all that others were told before.
            await self._looks.be_current()
            self._check()
            place = self._journal.end()
            yield self._all()
            while True:
                await self._news_after(place)
                await self._gate.enter(lambda: self._journal.has_urgent(place))  # noqa: B023
                with nullcontext() if place in self._answers else self._gate.working():
                    answer, place = self._after(place, changes_only=changes_only)
                yield self._gate.send(answer)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._watchers += 1
        if self._watchers == 1:
            self._looks.join(self)
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._looks.leave(self)
                self._refusal = None
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

    # What is seen

    def see(self, key: Key, before: Picture | None, now: Picture | None) -> None:
        if now is None:
            self._journal.say_gone(key)
            return
        said = pb.Topology()
        now.add_to(said)
        encoded = said.SerializeToString()
        if encoded != self._journal.said(key):
            self._journal.say(key, encoded, urgent=is_urgent(before, now))

    def told(self, lsdb_version: int) -> None:
        self._refusal = None
        if lsdb_version != self._lsdb_version:
            self._lsdb_version = lsdb_version
            # Every answer has it; this is but a reason for one.
            self._journal.say(_VERSION, b"")
        self._answers.clear()
        self._wake()

    def refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


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
