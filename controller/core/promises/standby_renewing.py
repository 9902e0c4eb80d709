"""Renewing standbys: one that cannot fill its buffers, or that begins where its circuit does, stays until another
stands in its place, once there is room or another source for that.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from controller.core.admission.admission import Admission
from controller.core.admission.standby_search import Standby, StandbySearch
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.programming.agenda import Agenda
from controller.core.programming.retries import Retries
from digitalgrid.units import NS_PER_S

# One that makes way for another has drained and is gone within this, unless one of its routers is away.
_GONE_WITHIN_NS = 12 * NS_PER_S
# One from elsewhere that did not fill was made in vain, and what it lacked may be lacking still: the next is made after
# this at the earliest, doubled each time in a row up to the longest, however often the network changes.
_ELSEWHERE_AGAIN_NS, _ELSEWHERE_AGAIN_MOST_NS = 60 * NS_PER_S, 960 * NS_PER_S
_ROOM_TO_FILL = "there is room by now to fill the buffers of another"
_FROM_ELSEWHERE = "another source can serve it by now, so that it outlives its first router too"


class _Searched(NamedTuple):
    """When a standby was last searched for anywhere: in which view, and beside which generation."""

    view: int
    beside: int


class StandbyRenewer:
    """``make`` reserves a standby, ``retire`` lets go of one, and ``tend`` looks after a circuit that has got one."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        search: StandbySearch,
        make: Callable[[Circuit, Standby, str, int], None],
        retire: Callable[[Circuit, Generation, str, int], None],
        tend: Callable[[Circuit, int], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._search = search
        self._make = make
        self._retire = retire
        self._tend = tend
        # Counts the views that were adopted: what is drained changes one, and not its version.
        self.views = 0
        # Circuits whose standby may be renewed by now, in this order.
        self._to_renew: dict[int, None] = {}
        # Those whose standby has no room to fill, with what stood when that was found.
        self._unfilled: dict[int, tuple[int, int]] = {}
        # Those whose standby begins where they do; and for all what this leader has searched for: nothing of what
        # another has made, which may have known of less.
        self._near: dict[int, None] = {}
        self._searched: dict[int, _Searched] = {}
        # Those of which one from elsewhere did not fill: none is made there while they wait.
        self._elsewhere_again: Retries[int] = Retries(_ELSEWHERE_AGAIN_NS, _ELSEWHERE_AGAIN_MOST_NS)
        # Circuits whose standby is let go of for another to fill, and until when that is waited for.
        self._making_way: Agenda[int] = Agenda()
        # Those that have done so in vain do not again in the same view of the network.
        self._made_way: dict[int, int] = {}

    def next_deadline_ns(self) -> int | None:
        """When somebody who made way wants a standby all the same, or may have one from elsewhere again."""
        due = (self._making_way.next_ns(), self._elsewhere_again.next_ns())
        return min((each for each in due if each is not None), default=None)

    @property
    def any_to_renew(self) -> bool:
        return bool(self._to_renew)

    @property
    def any_waiting(self) -> bool:
        """Whether something new might help anybody."""
        return bool(self._unfilled or self._near)

    def stands(self) -> tuple[int, int]:
        """What has to change before it is worth to try again what was in vain."""
        return self._reservations.freed, self.views

    # Wanted

    def look_at(self, circuit: Circuit) -> bool:
        """See whether its standby lacks room to fill, or begins where it does; whether it is to be looked for soon."""
        circuit_id, standbys = circuit.circuit_id, circuit.standbys()
        if len(standbys) != 1 or not _is_unfilled(standbys[0]):
            self._unfilled.pop(circuit_id, None)
        elif circuit_id not in self._unfilled:
            # What kept it from filling may have gone since it was made.
            self._to_renew[circuit_id] = None
        if any(each.charged for each in standbys):
            self._made_way.pop(circuit_id, None)
        if not _is_near(circuit):
            self._near.pop(circuit_id, None)
            if any(each.charged and _begins_elsewhere(circuit, each) for each in standbys):
                self._elsewhere_again.drop(circuit_id)
            return False
        known = circuit_id in self._near
        self._near[circuit_id] = None
        return not known and self._is_news(circuit)

    def note_search(self, circuit: Circuit) -> None:
        """A standby is searched for, wherever there may be a way for it."""
        newest = circuit.newest()
        if newest is not None:
            self._searched[circuit.circuit_id] = _Searched(self.views, newest.key.generation)

    def _is_news(self, circuit: Circuit) -> bool:
        """Whether the network, or the circuit's own path, is another than when its standby was searched for."""
        newest = circuit.newest()
        now = _Searched(self.views, newest.key.generation if newest is not None else 0)
        return self._searched.get(circuit.circuit_id) != now

    def did_not_fill(self, circuit: Circuit, standby: Generation, now_ns: int) -> None:
        """It is given up, and the one that it was to replace stays."""
        if not _begins_elsewhere(circuit, standby):
            return
        circuit_id = circuit.circuit_id
        self._elsewhere_again.failed(circuit_id, now_ns)

    def forget(self, circuit_id: int) -> None:
        """It wants no standby any more."""
        for of in (self._unfilled, self._near, self._searched, self._made_way, self._to_renew):
            of.pop(circuit_id, None)
        self._elsewhere_again.drop(circuit_id)
        self._making_way.drop(circuit_id)

    def try_again(self) -> None:
        """Something has changed that may help."""
        stands = self.stands()
        again = [key for key, before in self._unfilled.items() if before != stands]
        for circuit_id in again:
            del self._unfilled[circuit_id]
        # Room that others leave is no reason to look elsewhere again: a source that returns is one.
        again += [key for key in self._near if self._may_begin_elsewhere(key)]
        self._to_renew.update(dict.fromkeys(again))

    def _may_begin_elsewhere(self, circuit_id: int) -> bool:
        """Whether a source at another router might serve it, and was not asked for that yet."""
        circuit = self._circuits.get(circuit_id)
        newest = circuit.newest() if circuit is not None else None
        if circuit is None or newest is None or not self._is_news(circuit):
            return False
        if circuit_id in self._elsewhere_again:
            return False
        sources, first_id = self._admission.view.sources, newest.route.router_ids[0]
        among = circuit.source_ids or sources
        return any(each in sources and sources[each][0] != first_id for each in among)

    # In turn

    def have_made_way(self, now_ns: int) -> list[int]:
        """Circuits that let go of a standby for another, and have waited for long enough until it is gone."""
        due = self._making_way.due(now_ns)
        for circuit_id in due:
            self._making_way.drop(circuit_id)
        return due

    def look_elsewhere_again(self, now_ns: int) -> None:
        """One from elsewhere did not fill, which is long ago by now: another is looked for if anything is new."""
        for circuit_id in self._elsewhere_again.take_due(now_ns):
            if circuit_id in self._near and self._may_begin_elsewhere(circuit_id):
                self._to_renew[circuit_id] = None

    def renew_some(self, count: int, now_ns: int) -> None:
        """At most so many have their turn."""
        for circuit_id in list(self._to_renew)[:count]:
            del self._to_renew[circuit_id]
            circuit = self._circuits.get(circuit_id)
            if circuit is not None and not self._part(circuit, now_ns):
                self._refill(circuit, now_ns)

    def _part(self, circuit: Circuit, now_ns: int) -> bool:
        """Have another standby made that begins elsewhere, if there is a way by now; this one stays until then."""
        newest = circuit.newest()
        if newest is None or not _is_near(circuit) or not self._is_news(circuit):
            return False
        if circuit.circuit_id in self._elsewhere_again:
            return False
        self.note_search(circuit)
        found = self._search.beside(
            newest.route,
            standby_request(circuit, newest.route.power_w),
            circuit_id=circuit.circuit_id,
            excluded_ids=circuit.guard.excluded_ids,
            instead_of=circuit.standbys()[0].key,
        )
        if found is None or not found.route.trickle_w:
            return False
        parts = found.route.router_ids[0] != newest.route.router_ids[0]
        if parts:
            self._make(circuit, found, _FROM_ELSEWHERE, now_ns)
        return parts

    def _refill(self, circuit: Circuit, now_ns: int) -> None:
        """Have a standby that cannot fill its buffers replaced by one on its path that can, if there is room by now.

        That is made before this one goes, but where its room is just what this one holds.
        """
        newest, standbys = circuit.newest(), circuit.standbys()
        carries = newest is not None and newest.phase is Phase.CARRYING
        pending = circuit.guard.word is Protection.PENDING and circuit.admin_up
        if not carries or not pending or len(standbys) != 1 or not _is_unfilled(standbys[0]):
            return
        (old,) = standbys
        filled = self._search.filled(
            Standby(old.route, old.covers), circuit.circuit_id, instead_of=old.key
        )
        if filled.route.trickle_w:
            self._make(circuit, filled, _ROOM_TO_FILL, now_ns)
        elif self._could_fill_alone(circuit, old):
            self._making_way.set(circuit.circuit_id, now_ns + _GONE_WITHIN_NS)
            self._made_way[circuit.circuit_id] = self.views
            self._retire(circuit, old, _ROOM_TO_FILL, now_ns)
            self._tend(circuit, now_ns)
        else:
            self._unfilled[circuit.circuit_id] = self.stands()

    def _could_fill_alone(self, circuit: Circuit, old: Generation) -> bool:
        """Whether another on the path of a standby with room of its own could fill once that has gone."""
        if old.covers is not None or self._made_way.get(circuit.circuit_id) == self.views:
            return False
        with self._reservations.without(old.key):
            alone = self._search.filled(Standby(old.route), circuit.circuit_id)
        return bool(alone.route.trickle_w)

    def is_made_way_for(self, circuit: Circuit) -> bool:
        """Whether the standby whose place another is to take still holds it; it is searched again when it is gone."""
        circuit_id = circuit.circuit_id
        if circuit_id not in self._making_way:
            return False
        holds = any(each.role is Role.STANDBY for each in circuit.retiring())
        if not holds:
            self._making_way.drop(circuit_id)
        return holds


def _is_unfilled(standby: Generation) -> bool:
    return standby.phase is Phase.COMMITTED and not standby.route.trickle_w


def _is_near(circuit: Circuit) -> bool:
    """Whether a circuit that is to outlive any router has a single standby that begins where it does itself."""
    newest, standbys = circuit.newest(), circuit.standbys()
    if newest is None or newest.phase is not Phase.CARRYING or not circuit.admin_up:
        return False
    if circuit.guard.against is not Against.ROUTER or len(circuit.source_ids) == 1:
        return False
    if len(standbys) != 1 or standbys[0].phase is not Phase.COMMITTED:
        return False
    return standbys[0].route.router_ids[0] == newest.route.router_ids[0]


def _begins_elsewhere(circuit: Circuit, standby: Generation) -> bool:
    newest = circuit.newest()
    return newest is not None and standby.route.router_ids[0] != newest.route.router_ids[0]


def standby_request(circuit: Circuit, power_w: float) -> PowerRequest:
    """What a standby of the circuit is searched for by."""
    return PowerRequest(
        circuit.request_id,
        circuit.sink_id,
        power_w,
        circuit.source_ids,
        circuit.constraints,
        protect=circuit.guard.against,
        dedicated=circuit.guard.dedicated,
    )
