"""Link-state database: the newest advertisement of every router, and what two ends together say of a link."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.core.network.link import LinkState, LinkView
from controller.core.network.owners import Owners, RouterRecord, Thing
from digitalgrid.model import DownCause, LinkAdvertisement, RouterLsa
from digitalgrid.places import Place


class Heard(StrEnum):
    """What an advertisement was worth."""

    NEWS = "news"
    SAME = "same"
    STALE = "stale"


@dataclass(slots=True)
class _Entry:
    """What a router said, and what of it counts: all but what others own."""

    said: RouterLsa
    lsa: RouterLsa
    received_ns: int


class LinkStateDatabase:
    """Advertisements ordered by (boot_id, seq), and aged. Of each, what belongs to others does not count.

    An advertisement that ages out makes its router unusable for admission; it is kept, because silence about a
    line is not news that the line is down.
    """

    def __init__(self, max_age_ns: int) -> None:
        self._max_age_ns = max_age_ns
        self.owners = Owners()
        # The one that was not heard for longest comes first.
        self._entries: dict[str, _Entry] = {}
        # Of each link, who has its ends, and advertises them how; of each router, who names it as the far end of what.
        self._ends: dict[str, dict[str, LinkAdvertisement]] = {}
        self._naming: dict[str, set[tuple[str, str]]] = {}
        self._changed_routers: set[str] = set()
        self._changed_links: set[str] = set()
        # Routers with a new session, whose next advertisement is the newest whatever its sequence number.
        self._sequence_reset: set[str] = set()
        self.version = 0
        # How many advertisements told something new, the same again, or came after a newer one.
        self.heard = Counter(dict.fromkeys(Heard, 0))

    def reset_sequence(self, router_id: str) -> None:
        """A session begins: its first advertisement is the newest, also of a device whose numbers begin again."""
        self._sequence_reset.add(router_id)

    def end_session(self, router_id: str) -> None:
        """The session has ended, perhaps without an advertisement."""
        self._sequence_reset.discard(router_id)

    def remove(self, router_id: str) -> bool:
        """Forget a router that never returns; True where anything was known of it."""
        known = self.owners.knows(router_id)
        opened = self.owners.forget(router_id)
        entry = self._entries.pop(router_id, None)
        if entry is not None:
            self._replace(router_id, entry.lsa, None)
        self._hand_on(opened)
        return known or entry is not None

    def install(self, lsa: RouterLsa, now_ns: int, instance_id: bytes = b"") -> bool:
        """Take a newer advertisement; True where it changes what is known. An older one is dropped.

        ``instance_id`` tells devices of one router id apart; it is noted with what the first one registers.
        """
        entry = self._entries.get(lsa.router_id)
        is_first = lsa.router_id in self._sequence_reset
        self._sequence_reset.discard(lsa.router_id)
        if entry is not None and not is_first and _order(lsa) <= _order(entry.said):
            self.heard[Heard.STALE] += 1
            return False
        self._entries.pop(lsa.router_id, None)
        if entry is not None and _content(entry.said) == _content(lsa):
            self.heard[Heard.SAME] += 1
            self._entries[lsa.router_id] = _Entry(lsa, entry.lsa, now_ns)
            changed = now_ns - entry.received_ns > self._max_age_ns
            if changed:
                self._replace(lsa.router_id, entry.lsa, entry.lsa)
            return changed
        self.heard[Heard.NEWS] += 1
        counts, opened = self.owners.register(lsa, instance_id)
        self._entries[lsa.router_id] = _Entry(lsa, counts, now_ns)
        changed = (
            entry is None
            or _content(entry.lsa) != _content(counts)
            or now_ns - entry.received_ns > self._max_age_ns
        )
        if changed:
            self._replace(lsa.router_id, entry.lsa if entry else None, counts)
        return self._hand_on(opened) or changed

    def _hand_on(self, opened: Iterable[Thing]) -> bool:
        """Give what has become free to whoever claimed it next, beside what that has; whether anybody did."""
        changed = False
        for thing in opened:
            while (router_id := self.owners.next_for(thing)) is not None:
                self._register_again(router_id, keep=self.owners.record(router_id))
                changed = True
        return changed

    def _register_again(self, router_id: str, *, keep: RouterRecord | None) -> list[Thing]:
        entry = self._entries[router_id]
        counts, opened = self.owners.register(entry.said, keep=keep)
        if _content(counts) != _content(entry.lsa):
            self._replace(router_id, entry.lsa, counts)
            entry.lsa = counts
        return opened

    # Operators' words, and ownership, as they are stored

    def place(self, router_id: str, at: Place | None) -> None:
        """An operator has put the router there on maps; None: where it says itself."""
        if self.owners.place(router_id, at):
            self.version += 1
            self._changed_routers.add(router_id)

    def placed(self, lsa: RouterLsa) -> Place | None:
        """Where a router stands on maps: as an operator says, else as it says itself."""
        return self.owners.placed(lsa.router_id) or lsa.at

    def adopt_owners(
        self, records: Iterable[RouterRecord], heard_ids: Container[str] = frozenset()
    ) -> None:
        """These records are stored: what is registered otherwise gives way to them. Who of ``heard_ids`` advertises
        without something has let go of it; of others that is not known for certain.
        """
        records = tuple(records)
        if self.owners.is_stored(records):
            return
        self._note_places(records)
        self.owners = Owners(records)
        opened = [
            thing
            for router_id in self._entries
            for thing in self._register_again(
                router_id,
                keep=None if router_id in heard_ids else self.owners.stored().get(router_id),
            )
        ]
        self._hand_on(opened)

    def _note_places(self, records: Iterable[RouterRecord]) -> None:
        """Routers that stand elsewhere by what is stored than by what was said here."""
        stored = {each.router_id: each.at for each in records}
        for router_id in self._entries:
            if stored.get(router_id) != self.owners.placed(router_id):
                self.version += 1
                self._changed_routers.add(router_id)

    def follow_owner(self, record: RouterRecord) -> None:
        """Whoever leads has stored this."""
        self.place(record.router_id, record.at)
        if not self.owners.replicate(record):
            stored = {**self.owners.stored(), record.router_id: record}
            self.adopt_owners(stored.values())
        elif record.router_id in self._entries:
            self._hand_on(self._register_again(record.router_id, keep=record))
        else:
            nothing = RouterLsa(record.router_id, 0, 0, 1.0)
            self._hand_on(self.owners.register(nothing, keep=record)[1])

    def knows(self, router_id: str) -> bool:
        return router_id in self._entries

    def received_ns(self, router_id: str) -> int | None:
        """When it was last heard of; None for a router that was never."""
        entry = self._entries.get(router_id)
        return entry.received_ns if entry else None

    def lsa(self, router_id: str) -> RouterLsa | None:
        entry = self._entries.get(router_id)
        return entry.lsa if entry else None

    def lsas(self) -> Iterable[RouterLsa]:
        return (entry.lsa for entry in self._entries.values())

    def fresh_router_ids(self, now_ns: int) -> frozenset[str]:
        """Routers whose advertisement has not aged out."""
        return frozenset(self._entries.keys() - self.stale_router_ids(now_ns))

    def stale_router_ids(self, now_ns: int) -> set[str]:
        """Routers whose advertisement has aged out."""
        stale: set[str] = set()
        for router_id, entry in self._entries.items():
            if now_ns - entry.received_ns <= self._max_age_ns:
                break
            stale.add(router_id)
        return stale

    def take_changes(self) -> tuple[set[str], set[str]]:
        """Routers that advertise something else since this was last asked, and links that may be others for it."""
        changes = self._changed_routers, self._changed_links
        self._changed_routers, self._changed_links = set(), set()
        return changes

    def links(self) -> dict[str, LinkView]:
        """All links that anybody advertises."""
        return {link_id: self._merge(link_id, ends) for link_id, ends in self._ends.items()}

    def link(self, link_id: str) -> LinkView | None:
        """A link, merged from its two ends; None where nobody advertises it."""
        ends = self._ends.get(link_id)
        return self._merge(link_id, ends) if ends else None

    def _replace(self, router_id: str, before: RouterLsa | None, after: RouterLsa | None) -> None:
        """Note that a router advertises other things by now."""
        self.version += 1
        self._changed_routers.add(router_id)
        for link in before.links if before else ():
            self._unclaim(router_id, link)
        for link in after.links if after else ():
            self._changed_links.add(link.link_id)
            self._ends.setdefault(link.link_id, {})[router_id] = link
            self._naming.setdefault(link.neighbor_id, set()).add((router_id, link.link_id))
        if before is None or after is None:
            # Whether the far end of a line is known tells what its silence means.
            self._changed_links.update(link_id for _, link_id in self._naming.get(router_id, ()))

    def _unclaim(self, router_id: str, link: LinkAdvertisement) -> None:
        """Also of a router that advertises a link twice."""
        self._changed_links.add(link.link_id)
        ends = self._ends.get(link.link_id, {})
        ends.pop(router_id, None)
        if not ends:
            self._ends.pop(link.link_id, None)
        naming = self._naming.pop(link.neighbor_id, set())
        naming.discard((router_id, link.link_id))
        if naming:
            self._naming[link.neighbor_id] = naming

    def _merge(self, link_id: str, by_router: Mapping[str, LinkAdvertisement]) -> LinkView:
        ends = sorted(by_router.items())
        router_id, link = ends[0]
        advertised = [end for _, end in ends]
        state = self._state(ends)
        return LinkView(
            link_id=link_id,
            a=router_id,
            b=ends[1][0] if len(ends) == 2 else link.neighbor_id,
            resistance_ohm=max(end.resistance_ohm for end in advertised),
            voltage_v=link.voltage_v,
            ampacity_a=min(end.ampacity_a for end in advertised),
            cost_per_mwh=max(end.cost_per_mwh for end in advertised),
            state=state,
            risk_groups=frozenset(group for end in advertised for group in end.risk_groups),
            via=link.via,
            down=_why(ends, state),
        )

    def _state(self, ends: list[tuple[str, LinkAdvertisement]]) -> LinkState:
        if not all(link.up for _, link in ends):
            return LinkState.DOWN
        if len(ends) == 1:
            # The far end is known and does not have this line: that is news, and bad.
            return LinkState.DOWN if ends[0][1].neighbor_id in self._entries else LinkState.UNKNOWN
        (a, at_a), (b, at_b) = ends
        agree = (at_a.neighbor_id, at_b.neighbor_id) == (b, a) and at_a.voltage_v == at_b.voltage_v
        return LinkState.UP if agree else LinkState.DOWN


def _why(
    ends: list[tuple[str, LinkAdvertisement]], state: LinkState
) -> tuple[DownCause, DownCause]:
    """What each end says why it is down; where neither is down there, it is that they do not agree."""
    at_a, *at_b = (link for _, link in ends)
    if state is LinkState.DOWN and all(link.up for _, link in ends):
        differ = DownCause.ENDS_DIFFER
        return (differ if at_b else DownCause.UNKNOWN, differ)
    return (at_a.down_cause, at_b[0].down_cause if at_b else DownCause.UNKNOWN)


def _order(lsa: RouterLsa) -> tuple[int, int]:
    return (lsa.boot_id, lsa.seq)


def _content(lsa: RouterLsa) -> RouterLsa:
    """All that it says, whatever that is by now: everything but its number."""
    return replace(lsa, seq=0)
