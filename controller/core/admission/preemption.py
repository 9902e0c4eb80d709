"""Pre-emption: a route for a request that displaces circuits of lower hold priority, and whom it displaces.

The words are those of RFC 3209: a setup priority may take what a lower hold priority has. The search is that of
admission, on arrays that count only circuits which hold at least as firmly. Of those in the way as few as can be are
chosen, then the lowest, then the youngest (RFC 4829 lists such policies).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from controller.core.admission.admission import Admission
from controller.core.admission.remainder import Remainder
from controller.core.admission.route_finder import RouteFinder
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.resources import (
    Resource,
    ResourceKind,
    link_direction,
    source,
    through,
)
from controller.core.circuits.route import Route
from controller.core.network.view import limited_converters
from digitalgrid.physics import current_a, sent_w

# Of so many that are in the way, all pairs are tried before more are taken: some thousand sums.
_PAIRS_AMONG = 64
# Rounds in which more have to go, for what they leave changes what the route loses.
_MOST_ROUNDS = 8
# Share of an excess that is rounding.
_ROUNDING = 1e-9

# A source, a router's converter, or a line with both its directions.
_Limit = tuple[ResourceKind, str]
_Offer = tuple[Circuit, dict[_Limit, float]]


@dataclass(frozen=True, slots=True)
class Displacement:
    """A route, and the circuits that must leave it before it is free, the most urgent first."""

    route: Route
    victims: tuple[Circuit, ...]

    @property
    def hops(self) -> list[tuple[str, str]]:
        """(link, router that sends), source first."""
        return [(each.link_id, each.from_router_id) for each in self.route.links]


class Preemption:
    """Finds displacements; decides nothing, and reserves nothing."""

    def __init__(self, admission: Admission, circuits: Mapping[int, Circuit]) -> None:
        self._admission = admission
        self._circuits = circuits
        self._remainder = Remainder(admission.reservations, admission.claims)
        self._finder = RouteFinder(self._remainder, admission.searches)
        # The lowest hold priority of all circuits, and after how many changes of reservations it was looked for.
        self._lowest: tuple[int, int | None] = (-1, None)

    def find(
        self, request: PowerRequest, setup_priority: int, circuit_id: int = 0
    ) -> Displacement | None:
        """None where no route would be free, whoever of a lower hold priority gave way."""
        lowest = self._lowest_priority()
        if lowest is None or lowest >= setup_priority:
            return None
        weaker = [
            each
            for each in self._circuits.values()
            if each.priority < setup_priority and each.generations and each.circuit_id != circuit_id
        ]
        known = request.sink_id in self._admission.view.loads
        if not weaker or not known or not self._takes(request, circuit_id):
            return None
        self._finder.adopt(self._admission.view)
        # The arrays tell it only when they are next used, and what the weaker hold there is counted before.
        self._remainder.limit(frozenset(limited_converters(self._admission.view)))
        self._remainder.leave_out(weaker)
        route = self._finder.route_for(request, circuit_id=circuit_id)
        if route is None:
            return None
        return self._along(request, route, weaker, circuit_id)

    def _lowest_priority(self) -> int | None:
        """Looked for once between two changes: mostly nobody is weaker, and many are refused at once."""
        changes = self._admission.reservations.changes
        if self._lowest[0] != changes:
            held = (each.priority for each in self._circuits.values() if each.generations)
            self._lowest = (changes, min(held, default=None))
        return self._lowest[1]

    def _takes(self, request: PowerRequest, circuit_id: int) -> bool:
        """Whether the load takes it beside its other circuits, which are not displaced for that."""
        return self._admission.load_takes(request.sink_id, request.power_w, circuit_id)

    def _along(
        self, request: PowerRequest, wanted: Route, weaker: Iterable[Circuit], circuit_id: int
    ) -> Displacement | None:
        """The fewest of the weaker that must give way for this route, with its losses beside all others."""
        victims: list[Circuit] = []
        in_the_way = {each.circuit_id: each for each in weaker}
        for _ in range(_MOST_ROUNDS):
            route = self._fits(request, wanted, victims, circuit_id)
            if route is not None:
                return self._pruned(request, Displacement(route, tuple(victims)), circuit_id)
            excess = self._excess(wanted, circuit_id)
            more = self._choose(excess, in_the_way.values())
            if not more:
                return None
            victims += more
            for each in more:
                del in_the_way[each.circuit_id]
        return None

    def _fits(
        self, request: PowerRequest, wanted: Route, victims: Collection[Circuit], circuit_id: int
    ) -> Route | None:
        """The route as it would be without these circuits; None where it does not fit even then."""
        self._remainder.leave_out(victims)
        hops = Displacement(wanted, ()).hops
        return self._finder.route_along(
            request.sink_id, request.power_w, wanted.source_id, hops, circuit_id=circuit_id
        )

    def _pruned(self, request: PowerRequest, found: Displacement, circuit_id: int) -> Displacement:
        """Without those of whom, in the end, none had to go; the firmest and oldest are spared first."""
        route, victims = found.route, sorted(found.victims, key=_firmness, reverse=True)
        for each in list(victims):
            others = [other for other in victims if other is not each]
            without = self._fits(request, route, others, circuit_id)
            if without is not None:
                route, victims = without, others
        return Displacement(route, tuple(victims))

    def _excess(self, wanted: Route, circuit_id: int) -> dict[Resource, float]:
        """By how much a route is too large for what it uses, beside all that are not left out."""
        excess: dict[Resource, float] = {}
        view, held = self._finder.view, self._remainder
        entering_w = wanted.power_w / wanted.efficiency[-1]
        self._add_excess_at(excess, wanted.router_ids[-1], entering_w, circuit_id)
        for position in range(len(wanted.links) - 1, -1, -1):
            hop = wanted.links[position]
            link = view.links[hop.link_id]
            way = link_direction(hop.link_id, hop.from_router_id)
            back = link_direction(hop.link_id, hop.to_router_id)
            added_a = current_a(entering_w, hop.voltage_v)
            before_a = held.total(way) - held.of_circuit(way, circuit_id)
            over_a = before_a + added_a + held.total(back) - link.ampacity_a
            if over_a > _ROUNDING * link.ampacity_a:
                excess[way] = excess[back] = over_a
            sent = sent_w(entering_w, hop.resistance_ohm, hop.voltage_v, before_a)
            entering_w = sent / wanted.efficiency[position]
            self._add_excess_at(excess, wanted.router_ids[position], entering_w, circuit_id)
        key = source(wanted.source_id)
        limit_w = view.sources[wanted.source_id][1].max_power_w
        over_w = held.total(key) - held.of_circuit(key, circuit_id) + entering_w - limit_w
        if over_w > _ROUNDING * limit_w:
            excess[key] = over_w
        return excess

    def _add_excess_at(
        self, excess: dict[Resource, float], router_id: str, entering_w: float, circuit_id: int
    ) -> None:
        """The same of what a router converts, where that is limited."""
        limit_w = self._finder.view.routers[router_id].profile.max_through_w
        if limit_w is not None:
            over_w = entering_w - self._finder.arrays.free_through_w(router_id, circuit_id)
            if over_w > _ROUNDING * limit_w:
                excess[through(router_id)] = over_w

    def _choose(
        self, excess: Mapping[Resource, float], candidates: Iterable[Circuit]
    ) -> list[Circuit]:
        """Circuits that free what is too much: with their floors kept if that suffices, else without."""
        for keeps_floor in (True, False):
            relief = {}
            for circuit in candidates:
                given = self._relief(circuit, excess, keeps_floor=keeps_floor)
                if given:
                    relief[circuit.circuit_id] = (circuit, given)
            chosen = _fewest(_lines(excess), list(relief.values()))
            if chosen:
                return chosen
        return []

    def _relief(
        self, circuit: Circuit, excess: Mapping[Resource, float], *, keeps_floor: bool
    ) -> dict[_Limit, float]:
        """What a circuit frees of each line and source of which there is too little."""
        part = 1.0
        if keeps_floor:
            part -= min(1.0, circuit.floor_w / circuit.power_w)
        given: dict[_Limit, float] = {}
        for resource, amount in self._remainder.amounts(circuit):
            if resource in excess and amount * part > 0.0:
                limit = (resource.kind, resource.id)
                given[limit] = given.get(limit, 0.0) + amount * part
        return given


def _lines(excess: Mapping[Resource, float]) -> dict[_Limit, float]:
    """Both directions of a line share its ampacity."""
    return {(resource.kind, resource.id): amount for resource, amount in excess.items()}


def _firmness(circuit: Circuit) -> tuple[int, int]:
    """The lowest first, then the youngest."""
    return (circuit.priority, -circuit.circuit_id)


def _fewest(needed: Mapping[_Limit, float], offers: list[_Offer]) -> list[Circuit]:
    """The fewest whose offers together cover all that is needed, then the lowest, then the youngest; none where all of
    them together do not. Exact for one and two, greedy for more.
    """
    offers.sort(key=lambda offer: _firmness(offer[0]))
    for count in (1, 2):
        if count == 2 and len(offers) > _PAIRS_AMONG:
            break
        fitting = (each for each in combinations(offers, count) if _cover(needed, each))
        best = min(
            fitting,
            key=lambda some: sorted((_firmness(each[0]) for each in some), reverse=True),
            default=None,
        )
        if best is not None:
            return [circuit for circuit, _ in best]
    return _greedily(dict(needed), offers)


def _cover(needed: Mapping[_Limit, float], some: Iterable[_Offer]) -> bool:
    given = [offer for _, offer in some]
    return all(
        sum(each.get(id_, 0.0) for each in given) >= amount for id_, amount in needed.items()
    )


def _greedily(left: dict[_Limit, float], offers: list[_Offer]) -> list[Circuit]:
    """Always the one that covers most of what is still needed; of equals the first."""
    chosen: list[Circuit] = []
    offers = list(offers)
    while any(amount > 0.0 for amount in left.values()):
        worth = [
            sum(
                min(1.0, given.get(id_, 0.0) / amount)
                for id_, amount in left.items()
                if amount > 0.0
            )
            for _, given in offers
        ]
        if not worth or max(worth) == 0.0:
            return []
        circuit, given = offers.pop(worth.index(max(worth)))
        chosen.append(circuit)
        left = {id_: amount - given.get(id_, 0.0) for id_, amount in left.items()}
    return chosen
