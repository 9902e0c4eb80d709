"""Ownership of ids: a line's end, a source or a load belongs to the router that registered it first.

A router registers what it advertises. What others claim of it is refused and reported, and changes nothing. Its owner
frees an id by advertising without it; `forget-router` frees all that a router that has gone for good had. Records are
durable, so no restart makes a stranger the first.
"""

from collections.abc import Iterable, Iterator, KeysView
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import msgspec

from digitalgrid.model import RouterLsa
from digitalgrid.places import Place

# A line has two ends.
_ENDS = 2


class OwnedKind(StrEnum):
    LINK = "link"
    SOURCE = "source"
    LOAD = "load"


class Thing(NamedTuple):
    """What can be owned: of a line, either end."""

    kind: OwnedKind
    id: str


class RouterRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Durable: what a router has registered, and the first device that did so under its id. Ids are sorted.
    Beside that, what operators have said of it.
    """

    router_id: str
    instance_id: bytes = b""
    # The line, and the neighbour to whom it leads as this end says.
    link_ends: tuple[tuple[str, str], ...] = ()
    source_ids: tuple[str, ...] = ()
    load_ids: tuple[str, ...] = ()
    # Where an operator has put it on maps, over what it says of itself.
    at: Place | None = None

    def things(self) -> Iterator[tuple[Thing, str]]:
        """All that it has, each line's end with the neighbour."""
        for link_id, neighbor_id in self.link_ends:
            yield Thing(OwnedKind.LINK, link_id), neighbor_id
        for source_id in self.source_ids:
            yield Thing(OwnedKind.SOURCE, source_id), ""
        for load_id in self.load_ids:
            yield Thing(OwnedKind.LOAD, load_id), ""


class RefusedClaim(NamedTuple):
    """A router advertises what belongs to others."""

    router_id: str
    kind: OwnedKind
    id: str
    owner_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.id!r} belongs to {' and '.join(self.owner_ids)}"


class Owners:
    """Who has what, and who waits for what others have, in the order of their claims."""

    def __init__(self, records: Iterable[RouterRecord] = ()) -> None:
        self._stored = {each.router_id: each for each in records}
        self._records = dict(self._stored)
        # By who has it, or would like to; of lines with the neighbour.
        self._holders: dict[Thing, dict[str, str]] = {}
        self._waiting: dict[Thing, dict[str, str]] = {}
        self._refused: dict[str, tuple[Thing, ...]] = {}
        # Routers whose records may differ from those that are stored.
        self._changed: dict[str, None] = {}
        for record in self._stored.values():
            for thing, neighbor_id in record.things():
                self._holders.setdefault(thing, {})[record.router_id] = neighbor_id

    def knows(self, router_id: str) -> bool:
        return router_id in self._records

    def ends_of(self, link_id: str) -> set[str]:
        """The routers between which a link is, by what its owners say; none for a link that nobody has."""
        holders = self._holders.get(Thing(OwnedKind.LINK, link_id), {})
        return {*holders.keys(), *holders.values()}

    def router_ids(self) -> KeysView[str]:
        return self._records.keys()

    def record(self, router_id: str) -> RouterRecord | None:
        """What the router has by now."""
        return self._records.get(router_id)

    def records(self) -> Iterable[RouterRecord]:
        return self._records.values()

    def instance_of(self, router_id: str) -> bytes:
        """The device that was first to have this router id; empty where none is known."""
        record = self._stored.get(router_id) or self._records.get(router_id)
        return record.instance_id if record is not None else b""

    def is_stored(self, records: Iterable[RouterRecord]) -> bool:
        """Whether these are all records that are known to be stored."""
        return {each.router_id: each for each in records} == self._stored

    # Operators' words

    def placed(self, router_id: str) -> Place | None:
        """Where an operator has put the router on maps; None: nowhere."""
        record = self._records.get(router_id)
        return record.at if record is not None else None

    def place(self, router_id: str, at: Place | None) -> bool:
        """Whether that is elsewhere than before."""
        before = self._records.get(router_id) or RouterRecord(router_id)
        if before.at == at:
            return False
        self._records[router_id] = msgspec.structs.replace(before, at=at)
        self._changed[router_id] = None
        return True

    # Claims

    def register(
        self, lsa: RouterLsa, instance_id: bytes = b"", *, keep: RouterRecord | None = None
    ) -> tuple[RouterLsa, list[Thing]]:
        """What of an advertisement counts: all but what others have. Things that others may have from now on.

        What the router does not advertise any more is free, but for what ``keep`` says is its own.
        """
        router_id = lsa.router_id
        wanted = {
            **{Thing(OwnedKind.LINK, each.link_id): each.neighbor_id for each in lsa.links},
            **{Thing(OwnedKind.SOURCE, each.source_id): "" for each in lsa.sources},
            **{Thing(OwnedKind.LOAD, each.load_id): "" for each in lsa.loads},
        }
        if keep is not None:
            wanted = dict(keep.things()) | wanted
        opened = self._release(router_id, wanted)
        refused = [thing for thing in wanted if not self._may_have(thing, router_id)]
        for thing in refused:
            self._waiting.setdefault(thing, {})[router_id] = wanted.pop(thing)
        if refused:
            self._refused[router_id] = tuple(refused)
        for thing, neighbor_id in wanted.items():
            self._holders.setdefault(thing, {})[router_id] = neighbor_id
        self._record(router_id, wanted, instance_id)
        return _without(lsa, refused), opened

    def next_for(self, thing: Thing) -> str | None:
        """Who has waited longest of those that may have it now."""
        waiting = self._waiting.get(thing, {})
        return next((each for each in waiting if self._may_have(thing, each)), None)

    def forget(self, router_id: str) -> list[Thing]:
        """All that it had, which others may have from now on."""
        opened = self._release(router_id, {})
        if self._records.pop(router_id, None) is not None:
            self._changed[router_id] = None
        return opened

    def refused(self, router_id: str) -> tuple[RefusedClaim, ...]:
        """What the router advertises, and others have."""
        return tuple(
            RefusedClaim(router_id, thing.kind, thing.id, tuple(self._holders.get(thing, ())))
            for thing in self._refused.get(router_id, ())
        )

    # Durable records

    def take_changes(self) -> tuple[tuple[RouterRecord, ...], tuple[str, ...]]:
        """Records to be stored, and ids of routers to be forgotten there, since this was last asked."""
        records, forgotten_ids = [], []
        for router_id in self._changed:
            record = self._records.get(router_id)
            if record is None:
                if self._stored.pop(router_id, None) is not None:
                    forgotten_ids.append(router_id)
            elif record != self._stored.get(router_id):
                self._stored[router_id] = record
                records.append(record)
        self._changed.clear()
        return tuple(records), tuple(forgotten_ids)

    def stored(self) -> dict[str, RouterRecord]:
        """The records that are known to be stored, by router."""
        return self._stored

    def drop_stored(self, router_id: str) -> None:
        """Another has forgotten the router. What is registered here of it is to be stored anew by whoever leads."""
        self._stored.pop(router_id, None)
        if router_id in self._records:
            self._changed[router_id] = None

    def replicate(self, record: RouterRecord) -> bool:
        """Apply a record that the leader has stored; false, with nothing done, where it contradicts what is registered.

        To be followed by :meth:`register` with ``keep``.
        """
        router_id = record.router_id
        if not all(self._may_have(thing, router_id) for thing, _ in record.things()):
            return False
        self._stored[router_id] = record
        self._changed[router_id] = None
        return True

    # Inside

    def _may_have(self, thing: Thing, router_id: str) -> bool:
        """Free, its own already, or the end of a line that its other end says leads to this router."""
        holders = self._holders.get(thing)
        if not holders or router_id in holders:
            return True
        if thing.kind is not OwnedKind.LINK or len(holders) >= _ENDS:
            return False
        return all(neighbor_id == router_id for neighbor_id in holders.values())

    def _release(self, router_id: str, wanted: dict[Thing, str]) -> list[Thing]:
        """Free what the router does not want any more, and lines of which it says otherwise by now where they lead."""
        for thing in self._refused.pop(router_id, ()):
            waiting = self._waiting[thing]
            del waiting[router_id]
            if not waiting:
                del self._waiting[thing]
        opened = []
        record = self._records.get(router_id)
        for thing, neighbor_id in record.things() if record is not None else ():
            if thing not in wanted:
                holders = self._holders[thing]
                del holders[router_id]
                if not holders:
                    del self._holders[thing]
            if wanted.get(thing) != neighbor_id:
                opened.append(thing)
        return opened

    def _record(self, router_id: str, wanted: dict[Thing, str], instance_id: bytes) -> None:
        before = self._records.get(router_id)
        instance_id = self.instance_of(router_id) or instance_id
        by_kind: dict[OwnedKind, list[tuple[str, str]]] = {kind: [] for kind in OwnedKind}
        for thing, neighbor_id in wanted.items():
            by_kind[thing.kind].append((thing.id, neighbor_id))
        record = RouterRecord(
            router_id,
            instance_id,
            tuple(sorted(by_kind[OwnedKind.LINK])),
            tuple(sorted(source_id for source_id, _ in by_kind[OwnedKind.SOURCE])),
            tuple(sorted(load_id for load_id, _ in by_kind[OwnedKind.LOAD])),
            before.at if before is not None else None,
        )
        if record != before:
            self._records[router_id] = record
            self._changed[router_id] = None


def _without(lsa: RouterLsa, refused: Iterable[Thing]) -> RouterLsa:
    gone = set(refused)
    if not gone:
        return lsa
    return replace(
        lsa,
        links=tuple(e for e in lsa.links if Thing(OwnedKind.LINK, e.link_id) not in gone),
        sources=tuple(e for e in lsa.sources if Thing(OwnedKind.SOURCE, e.source_id) not in gone),
        loads=tuple(e for e in lsa.loads if Thing(OwnedKind.LOAD, e.load_id) not in gone),
    )
