"""Pairing: circuits beside whose path there is no way for a standby move to one of two paths, where there are two.

The best path may leave no other (the trap of disjoint paths), and a switch leads to wherever the standby was. A move
wears converters: after a fault a circuit is moved once at the most, and seldom where faults come and go.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.core.admission.admission import Admission
from controller.core.admission.protected import ProtectedAdmission
from controller.core.admission.route_finder import injection_limit_w
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import Generation, Phase
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.promises.mover import Mover
from controller.core.promises.pacing import MAX_AT_ONCE, urgency
from controller.core.promises.protector import Protector
from controller.core.promises.standby_renewing import standby_request
from digitalgrid.units import NS_PER_S

# From something new to the first search: changes that come together are one, and standbys beside the present paths are
# searched for meanwhile.
_SETTLE_NS = NS_PER_S
# From one search to the next, and for each router besides: it takes 2 ms on ten routers, a tenth of the loop's time.
_PAUSE_NS, _PAUSE_A_ROUTER_NS = 20_000_000, 200_000
# From one round of searches in vain to the next, while things go on changing: doubled up to the longest.
_MIN_ROUND_NS, _MAX_ROUND_NS = NS_PER_S, 16 * NS_PER_S
# From one move of a circuit to its next, at least: as long as it takes to be protected again, doubled up to minutes
# where it is moved again and again.
_MIN_APART_NS, _MAX_APART_NS = 10 * NS_PER_S, 320 * NS_PER_S
_WHY = "it moves to where there is a second path"


@dataclass(frozen=True, slots=True)
class _Moved:
    """When a circuit was moved, on which view (as they are counted), and how long it then stays where it is."""

    at_ns: int
    view: int
    apart_ns: int


class Pairer:
    """``note`` writes an entry of the audit trail."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        protected: ProtectedAdmission,
        mover: Mover,
        protector: Protector,
        note: Callable[[str, str, str, str], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._protected = protected
        self._mover = mover
        self._protector = protector
        self._note = note
        self._moved: dict[int, _Moved] = {}
        # The rest of the present round of searches, in this order, and how things stood when it began.
        self._to_search: deque[int] = deque()
        self._known: tuple[int, int] | None = None
        # When the first may move again of those that it is too soon for.
        self._again_ns: int | None = None
        self._view = -1
        self._round_ns = _MIN_ROUND_NS
        self._due_ns: int | None = None

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    def look(self, now_ns: int) -> None:
        """See whether nothing protects some circuits, and anything is new to them."""
        if not self._protector.maker.any_without_way:
            self._due_ns = None
            self._to_search.clear()
            return
        stands, due_ns = self._stands(), self._due_ns
        if self._protector.maker.views != self._view:
            self._view = self._protector.maker.views
            self._round_ns = _MIN_ROUND_NS
            due_ns = now_ns + _SETTLE_NS
        elif due_ns is None and stands != self._known:
            due_ns = now_ns + self._round_ns
        if due_ns is not None:
            # What comes after the first news does not put the search off.
            self._due_ns = due_ns if self._due_ns is None else min(self._due_ns, due_ns)

    def _stands(self) -> tuple[int, int]:
        return self._reservations.freed, self._protector.maker.views

    def on_timer(self, now_ns: int) -> None:
        """Search for one of them, the most urgent first; for the others in other events."""
        if self._due_ns is None or now_ns < self._due_ns:
            return
        routers = len(self._admission.view.routers)
        self._due_ns = now_ns + _PAUSE_NS + routers * _PAUSE_A_ROUTER_NS
        if self._mover.has_to_move or self._moving() >= MAX_AT_ONCE:
            # Whoever lost its path to a fault comes first.
            return
        if not self._to_search:
            self._begin_round()
        while self._to_search:
            circuit = self._circuits.get(self._to_search.popleft())
            newest = circuit.newest() if circuit is not None else None
            if (
                circuit
                and newest
                and _rests(circuit, newest)
                and self._is_time_for(circuit, now_ns)
            ):
                route = self._route_of_a_pair(circuit, newest)
                if route is not None:
                    self._begin(circuit, route, now_ns)
                break
        if not self._to_search:
            self._due_ns = self._again_ns
            self._round_ns = min(2 * self._round_ns, _MAX_ROUND_NS)

    def _begin_round(self) -> None:
        circuits = sorted(self._protector.unprotectable(), key=urgency)
        self._to_search.extend(each.circuit_id for each in circuits)
        self._known, self._again_ns = self._stands(), None
        self._moved = {key: each for key, each in self._moved.items() if key in self._circuits}

    def _moving(self) -> int:
        """How many are on their way."""
        moved = map(self._circuits.get, self._moved)
        return sum(each is not None and each.state is CircuitState.REROUTING for each in moved)

    def _is_time_for(self, circuit: Circuit, now_ns: int) -> bool:
        """Once after a fault, and not too soon after the last time."""
        moved = self._moved.get(circuit.circuit_id)
        if moved is None:
            return True
        until_ns = moved.at_ns + moved.apart_ns
        if moved.view == self._protector.maker.views:
            return False
        if now_ns < until_ns:
            self._again_ns = min(self._again_ns or until_ns, until_ns)
            return False
        return True

    def _route_of_a_pair(self, circuit: Circuit, newest: Generation) -> Route | None:
        """One of two paths, which has room beside the present one until that is left."""
        if circuit.sink_id not in self._admission.view.loads:
            return None
        request = standby_request(circuit, newest.route.power_w)
        with self._reservations.without(newest.key):
            pair = self._protected.pair(request) or ()
        if _hops(newest.route) in map(_hops, pair):
            # There is a way beside it, which is not found now.
            return None
        for each in pair:
            route = self._admission.route_along(
                circuit.sink_id,
                each.power_w,
                each.source_id,
                _hops(each),
                circuit_id=circuit.circuit_id,
            )
            limit_w = injection_limit_w(each.power_w, circuit.constraints)
            if route is not None and route.injected_w <= limit_w:
                return route
        return None

    def _begin(self, circuit: Circuit, route: Route, now_ns: int) -> None:
        before = self._moved.get(circuit.circuit_id)
        apart_ns = _MIN_APART_NS
        if before is not None and now_ns < before.at_ns + 2 * before.apart_ns:
            apart_ns = min(2 * before.apart_ns, _MAX_APART_NS)
        view = self._protector.maker.views
        self._moved[circuit.circuit_id] = _Moved(now_ns, view, apart_ns)
        over = " ".join(route.router_ids)
        self._note("protect", str(circuit.circuit_id), f"moves over {over}", circuit.guard.reason)
        circuit.apply(CircuitEvent.MOVING, _WHY)
        self._protector.is_paired(circuit, _WHY)
        self._mover.begin(circuit, route, seamless=True)


def _hops(route: Route) -> list[tuple[str, str]]:
    return [(link.link_id, link.from_router_id) for link in route.links]


def _rests(circuit: Circuit, newest: Generation) -> bool:
    """Whether it carries, and nothing else of it is more than on its way out of routers that may be away."""
    others = [each for each in circuit.generations.values() if each is not newest]
    return (
        circuit.state is CircuitState.ACTIVE
        and circuit.admin_up
        and newest.phase is Phase.CARRYING
        and all(each.phase is Phase.WITHDRAWING for each in others)
    )
