"""What the routers say of themselves: who is connected, link states, and the power that their sinks measure; and what
operators take out of service.

It outlives a change of roles: a standby has it ready when it is to lead.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from controller.core.messages import CircuitStatus
from controller.core.network.admin import AdminState, AdminWords
from controller.core.network.answers import AnswerTally
from controller.core.network.lateness import Lateness
from controller.core.network.link import LinkState
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.owners import RefusedClaim, RouterRecord
from controller.core.network.view import GridView
from controller.core.network.views import GridViews
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.model import CircuitGeneration, FlowState, RouterLsa


@dataclass(slots=True)
class _Session:
    """A connected router. Until it is in step its advertisements may be old, so it gets no new circuits."""

    instance_id: bytes = b""
    in_step: bool = False
    table_version: int = 0
    measured: set[CircuitGeneration] = field(default_factory=set)
    # By circuit, the generation that the router's sink selected last.
    switched: dict[int, CircuitGeneration] = field(default_factory=dict)
    # Claims to what others own, as they were told last.
    refused: tuple[RefusedClaim, ...] = ()

    def forget_selected(self, key: CircuitGeneration) -> None:
        if self.switched.get(key.circuit_id) == key:
            del self.switched[key.circuit_id]


class _Measured(msgspec.Struct, gc=False):
    """What a router last said of a generation."""

    arrival: CircuitStatus | None = None
    flow: CircuitStatus | None = None
    charge: CircuitStatus | None = None
    switch: CircuitStatus | None = None

    def note(self, status: CircuitStatus) -> None:
        match status.state:
            case FlowState.ARRIVED:
                self.arrival = status
            case FlowState.CHARGED | FlowState.DISCHARGED:
                self.charge = status
            case FlowState.SWITCHED:
                self.switch = status
            case _:
                self.flow = status

    def statuses(self) -> tuple[CircuitStatus, ...]:
        said = (self.charge, self.switch, self.arrival, self.flow)
        return tuple(each for each in said if each is not None)


# Generations whose measurements are kept for one session: a router runs fewer, and more must not fill the memory.
MAX_MEASURED = 100_000
# Of these, how many make room at a time where it is full: all of them took 0.2 s, in which nobody else is heard.
_DROPPED_AT_ONCE = 1024


class Network:
    """Routers' sessions and their advertisements."""

    def __init__(self, lsa_max_age_ns: int) -> None:
        self.lsdb = LinkStateDatabase(lsa_max_age_ns)
        self.lateness = Lateness(self._has_line_up)
        self.answers = AnswerTally()
        self.admin = AdminWords()
        self._views = GridViews(self.lsdb, self.admin)
        self._sessions: dict[str, _Session] = {}
        # By the router that says so: whether it is the sink's is for others to know.
        self._measured: dict[CircuitGeneration, dict[str, _Measured]] = {}

    def connect(
        self,
        router_id: str,
        instance_id: bytes = b"",
        capabilities: Collection[Capability] = UNSAID,
    ) -> None:
        self.disconnect(router_id)
        self._views.set_capabilities(router_id, capabilities)
        self._sessions[router_id] = _Session(instance_id)
        self.lsdb.reset_sequence(router_id)

    def holds_pools(self, router_id: str) -> bool:
        """Whether it said in its last session that it holds shared standbys to pools."""
        return self._views.holds_pools(router_id)

    def disconnect(self, router_id: str) -> None:
        session = self._sessions.pop(router_id, None)
        self.lateness.forget(router_id)
        self.lsdb.end_session(router_id)
        self._views.set_connected(router_id, False)
        for key in session.measured if session else ():
            self._drop(key, router_id)

    def remove(self, router_id: str) -> None:
        """It never returns: what it had is others', and nobody waits for it."""
        self.lsdb.remove(router_id)
        self.lateness.note_removed(router_id)

    def books_of(self, router_id: str) -> str:
        """A name for the energy books that a router keeps; a wiped device begins new ones."""
        session = self._sessions.get(router_id)
        return f"{router_id}/{session.instance_id.hex() if session else ''}"

    def has_session(self, router_id: str) -> bool:
        return router_id in self._sessions

    def install(self, lsa: RouterLsa, now_ns: int) -> bool:
        """Take an advertisement; True where it changes what is known."""
        session = self._sessions.get(lsa.router_id)
        return self.lsdb.install(lsa, now_ns, session.instance_id if session else b"")

    def knows(self, router_id: str) -> bool:
        """Whether the router has ever advertised anything, as far as that is remembered or stored."""
        return self.lsdb.knows(router_id) or self.lsdb.owners.knows(router_id)

    def absent_since(self, before_ns: int) -> set[str]:
        """Routers that have no session, and of which nothing was heard from then on."""
        known = {*self.lsdb.owners.router_ids(), *(each.router_id for each in self.lsdb.lsas())}
        return {
            router_id
            for router_id in known - self._sessions.keys()
            if (self.lsdb.received_ns(router_id) or 0) < before_ns
        }

    def changed_refusals(self, router_id: str) -> tuple[RefusedClaim, ...] | None:
        """What the router claims of others' by now; None where that is as it was told last."""
        session = self._sessions.get(router_id)
        refused = self.lsdb.owners.refused(router_id)
        if session is None or refused == session.refused:
            return None
        session.refused = refused
        return refused

    def adopt_owners(self, records: Iterable[RouterRecord]) -> None:
        """What the store says of who owns what."""
        self.lsdb.adopt_owners(records, self._sessions.keys())

    def follow_owners(self, records: Iterable[RouterRecord], forgotten_ids: Iterable[str]) -> None:
        """Whoever leads has stored this of who owns what."""
        for record in records:
            self.lsdb.follow_owner(record)
        for router_id in forgotten_ids:
            self.lsdb.owners.drop_stored(router_id)
            if not self.has_session(router_id):
                self.remove(router_id)

    def knows_element(self, id_: str) -> bool:
        """Whether there is a link or router with this id, as far as that is remembered or stored."""
        return self.knows(id_) or bool(self.lsdb.owners.ends_of(id_))

    def routers_of(self, id_: str) -> set[str]:
        """The routers that may hold a hop on a link, at a router, or both where both have this id."""
        return {each for each in {id_, *self.lsdb.owners.ends_of(id_)} if self.knows(each)}

    def last_resort(self) -> GridView | None:
        """The view with that in service which may be used in an emergency; None where there is no such thing."""
        ids = self.admin.emergency_ids()
        return self.last_view.with_admin(ids, AdminState.IN_SERVICE) if ids else None

    def set_in_step(self, router_id: str) -> None:
        """The router has told all that it had to tell."""
        self._sessions[router_id].in_step = True
        self._views.set_connected(router_id, True)
        self.lateness.note_back(router_id)

    def in_step(self) -> set[str]:
        return {key for key, session in self._sessions.items() if session.in_step}

    def is_connected(self, router_id: str) -> bool:
        """Whether the router has a session, in step with what it advertises."""
        session = self._sessions.get(router_id)
        return session is not None and session.in_step

    def table_version(self, router_id: str) -> int:
        """Version of the router's circuit table when it was last read back in this session; 0 before that."""
        session = self._sessions.get(router_id)
        return session.table_version if session else 0

    def set_table_version(self, router_id: str, version: int) -> None:
        self._sessions[router_id].table_version = version

    def _has_line_up(self, router_id: str) -> bool:
        lsa = self.lsdb.lsa(router_id)
        links = (self.lsdb.link(each.link_id) for each in lsa.links) if lsa is not None else ()
        return any(link is not None and link.state is LinkState.UP for link in links)

    def view(self, now_ns: int) -> GridView:
        return self._views.view(now_ns)

    def restored_links(self, wait_ns: int, now_ns: int) -> frozenset[str]:
        """Links that were down and have not been up again for so long, as of the last :meth:`view`."""
        return self._views.restored.within(wait_ns, now_ns)

    @property
    def last_view(self) -> GridView:
        """As it was when :meth:`view` was last called."""
        return self._views.last

    def measure(
        self,
        router_id: str,
        status: CircuitStatus,
        sink_of: Callable[[CircuitGeneration], str | None],
    ) -> None:
        """What a router measures at one of its loads.

        Also of what is not known: another may lead by now and have decided it, which is news here later than there. So
        it is by ``sink_of`` only where there is too much that what a router says of others' goes again.
        """
        session = self._sessions.get(router_id)
        if session is None:
            return
        if status.state is FlowState.DRAINED:
            session.forget_selected(status.key)
        if status.key not in session.measured and len(session.measured) >= MAX_MEASURED:
            self._drop_others(router_id, sink_of)
            if len(session.measured) >= MAX_MEASURED:
                return
        session.measured.add(status.key)
        if status.state is FlowState.SWITCHED:
            self._leave_others(router_id, status.key)
        said = self._measured.get(status.key)
        if said is None:
            said = self._measured[status.key] = {}
        known = said.get(router_id)
        if known is None:
            known = said[router_id] = _Measured()
        known.note(status)

    def _drop_others(
        self, router_id: str, sink_of: Callable[[CircuitGeneration], str | None]
    ) -> None:
        """Some of what a router has said of generations that are over, or end elsewhere, is kept no longer."""
        session = self._sessions[router_id]
        of_others = (each for each in session.measured if sink_of(each) != router_id)
        for key in list(islice(of_others, _DROPPED_AT_ONCE)):
            session.measured.discard(key)
            session.forget_selected(key)
            self._drop(key, router_id)

    def _leave_others(self, router_id: str, selected: CircuitGeneration) -> None:
        """A sink that selects one generation has left the one that it had selected before."""
        switched = self._sessions[router_id].switched
        before = switched.get(selected.circuit_id)
        switched[selected.circuit_id] = selected
        if before is not None and before != selected:
            left = self._measured.get(before, {}).get(router_id)
            if left is not None:
                left.switch = None

    def _drop(self, key: CircuitGeneration, router_id: str) -> None:
        said = self._measured[key]
        del said[router_id]
        if not said:
            del self._measured[key]

    def forget(self, key: CircuitGeneration) -> None:
        """No router holds this generation any more."""
        for router_id in self._measured.pop(key, ()):
            session = self._sessions[router_id]
            session.measured.discard(key)
            session.forget_selected(key)

    def measured(self) -> Iterator[tuple[str, CircuitStatus]]:
        """What routers last said of their loads, of each an arrival first."""
        for said in self._measured.values():
            for router_id, known in said.items():
                for status in known.statuses():
                    yield router_id, status

    def measured_of(self, key: CircuitGeneration, sink_router_id: str) -> tuple[CircuitStatus, ...]:
        """What its sink's router last said of one generation, its arrival first."""
        known = self._measured.get(key, {}).get(sink_router_id)
        return known.statuses() if known else ()
