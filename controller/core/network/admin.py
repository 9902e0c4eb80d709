"""Admin words: what an operator takes out of service (drain), how far that is, and what stands in its way.

A word is on an id, which names the link and the router that have it, as `avoid_ids` of a request does. Words are
durable, so that no restart lets new work in. What they lead to is decided in :mod:`controller.core.promises.draining`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import msgspec

from digitalgrid.units import NS_PER_S

# A drain that has not come to its end by then (ns) is given up: nobody may remember that the line is closed.
GIVE_UP_AFTER_NS = 600 * NS_PER_S


class AdminState(StrEnum):
    IN_SERVICE = "in_service"
    DRAINING = "draining"
    DRAINED = "drained"


class AdminEvent(StrEnum):
    """What moves a link or router from state to state."""

    DRAIN = "drain"
    EMPTIED = "emptied"  # no router holds a hop there any more
    TAKEN = "taken"  # one does again: in an emergency, or a router brought it along
    UNDRAIN = "undrain"  # an operator's word, or the drain was given up


_S, _E = AdminState, AdminEvent
ADMIN_TRANSITIONS: dict[tuple[AdminState, AdminEvent], AdminState] = {
    (_S.IN_SERVICE, _E.DRAIN): _S.DRAINING,
    (_S.DRAINING, _E.EMPTIED): _S.DRAINED,
    (_S.DRAINED, _E.TAKEN): _S.DRAINING,
    (_S.DRAINING, _E.UNDRAIN): _S.IN_SERVICE,
    (_S.DRAINED, _E.UNDRAIN): _S.IN_SERVICE,
}
del _S, _E


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """What an operator asks: an id of a link or router, and how; with ``give_up_after_ns`` of 0 it is kept.

    ``curtail``: circuits go down to their floors where they cannot leave otherwise.
    """

    id: str
    give_up_after_ns: int = GIVE_UP_AFTER_NS
    emergency_use: bool = False
    curtail: bool = False

    def __str__(self) -> str:
        """For the audit log."""
        after_s = self.give_up_after_ns / NS_PER_S
        until = f"give up after {after_s:g} s" if self.give_up_after_ns else "keep"
        emergency = ", emergency use" if self.emergency_use else ""
        return f"drain, {until}{emergency}{', curtail' if self.curtail else ''}"


class DrainRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Durable: one word. What is in service has none.

    ``give_up_unix_ns`` is when the drain is given up if it has not come to its end, by the calendar; 0: never.
    ``emergency_use``: what lost its path to a fault elsewhere, and has no other, may use it. ``curtail``: what cannot
    leave otherwise goes down to its floor.
    """

    id: str
    state: AdminState
    since_unix_ns: int = 0
    give_up_unix_ns: int = 0
    emergency_use: bool = False
    curtail: bool = False


class Hindrance(StrEnum):
    """Why a circuit does not leave what is drained."""

    UNDER_WAY = "under way"  # it is about to
    LOAD_THERE = "load there"
    SOURCES_THERE = "sources there"
    ONLY_WAY = "only way"
    NO_ROOM = "no room"
    CONSTRAINTS = "constraints"
    ROUTER_AWAY = "router away"  # it has left, but a router that is away holds on, or may

    @property
    def lasts(self) -> bool:
        """Whether no other circuit's end or move could remove it."""
        return self in (Hindrance.LOAD_THERE, Hindrance.SOURCES_THERE, Hindrance.ONLY_WAY)


class Block(msgspec.Struct, frozen=True):
    """What keeps a drain from its end: a circuit, or a router (then ``circuit_id`` is 0), and why in words."""

    circuit_id: int
    why: Hindrance
    text: str


class AdminWords:
    """All words by id. Who leads changes them by :meth:`apply`; a standby follows."""

    def __init__(self) -> None:
        self._words: dict[str, DrainRecord] = {}
        self._changed: set[str] = set()
        # Of those that are draining, as far as whoever leads has looked; not durable.
        self.blocks: dict[str, tuple[Block, ...]] = {}

    @property
    def all(self) -> Mapping[str, DrainRecord]:
        return MappingProxyType(self._words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def state(self, id_: str) -> AdminState:
        word = self._words.get(id_)
        return word.state if word is not None else AdminState.IN_SERVICE

    def emergency_ids(self) -> frozenset[str]:
        """What is a last resort for those that lost their path to a fault."""
        return frozenset(key for key, word in self._words.items() if word.emergency_use)

    def drain(self, word: DrainRecord) -> None:
        """A new word, on what is in service."""
        self._put(word.id, AdminEvent.DRAIN, word)

    def apply(self, id_: str, event: AdminEvent) -> DrainRecord | None:
        """Move along the table; an event that the state does not know is a bug, and raised. The word that is left."""
        self._put(id_, event, self._words.get(id_) or DrainRecord(id_, AdminState.IN_SERVICE))
        return self._words.get(id_)

    def _put(self, id_: str, event: AdminEvent, word: DrainRecord) -> None:
        before = self.state(id_)
        following = ADMIN_TRANSITIONS.get((before, event))
        if following is None:
            raise ValueError(f"{id_}: {event.value!r} is not possible while it is {before.value}")
        if following is AdminState.IN_SERVICE:
            del self._words[id_]
        else:
            self._words[id_] = msgspec.structs.replace(
                word,
                state=following,
                # What has been drained once is not given up when an emergency takes it.
                give_up_unix_ns=0 if before is AdminState.DRAINED else word.give_up_unix_ns,
            )
        self.blocks.pop(id_, None)
        self._changed.add(id_)

    # As they are stored

    def adopt(self, records: Iterable[DrainRecord]) -> None:
        """These are all words that are stored."""
        words = {each.id: each for each in records}
        self._changed |= {
            key
            for key in words.keys() | self._words.keys()
            if words.get(key) != self._words.get(key)
        }
        self._words = words
        self.blocks.clear()

    def follow(self, records: Iterable[DrainRecord], removed_ids: Iterable[str]) -> None:
        """Whoever leads has stored this."""
        words = dict(self._words)
        words.update((each.id, each) for each in records)
        for id_ in removed_ids:
            words.pop(id_, None)
        self.adopt(words.values())

    def take_changes(self) -> set[str]:
        """Ids whose word is another since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed
