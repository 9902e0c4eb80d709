"""Fitness of standbys: whether each still protects its circuit as that is now, and covers what it is to cover."""

from collections.abc import Collection, Iterable, Mapping

from controller.core.admission.admission import Admission
from controller.core.admission.standby_fit import StandbyFit
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.failures import Failure, covered
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Phase, Role
from controller.core.circuits.guarding import ready_standby
from controller.core.circuits.path_state import other_physics, path_down
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import link_direction, source, through
from controller.core.circuits.route import Route
from digitalgrid.model import CircuitGeneration


class Fitness:
    def __init__(
        self, circuits: Mapping[int, Circuit], reservations: Reservations, admission: Admission
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._fit = StandbyFit(reservations, lambda: admission.view, self._find)

    def _find(self, key: CircuitGeneration) -> Generation | None:
        circuit = self._circuits.get(key.circuit_id)
        return circuit.generations.get(key.generation) if circuit is not None else None

    def unfit(self, circuit: Circuit, standby: Generation) -> str:
        """Why a standby is to be replaced; empty where it is not."""
        view, guard = self._admission.view, circuit.guard
        if path_down(view, standby.route):
            return "the path of its standby is down"
        if other_physics(view, standby.route):
            return "the path of its standby has other figures than it was admitted with"
        if standby.shares and (without := self._without_pools(standby.route)):
            return f"its standby shares its room, and {', '.join(without)} holds no pools"
        if self._is_crowded_out(standby):
            return "the path of its standby can carry less than before"
        newest = circuit.newest()
        if newest is None or newest.phase is not Phase.CARRYING or guard.against is None:
            return ""
        if standby.route.power_w != newest.route.power_w:
            return "its standby was for another power"
        shared = in_common(view, newest.route, standby.route, guard.against)
        if shared:
            return f"its standby needs {', '.join(shared)} too"
        return ""

    def is_out_of_service(self, standby: Generation) -> bool:
        """Whether anything of its path is taken out of service."""
        view = self._admission.view
        links = (view.links.get(each.link_id) for each in standby.route.links)
        return any(link is not None and view.is_out_of_service(link) for link in links)

    def _without_pools(self, route: Route) -> list[str]:
        routers = self._admission.view.routers
        senders = (link.from_router_id for link in route.links)
        return [each for each in senders if each in routers and not routers[each].holds_pools]

    def _is_crowded_out(self, standby: Generation) -> bool:
        """Whether more is reserved on its path than that may carry, and it is among those that give way."""
        if not self._admission.crowded(standby.route):
            return False
        return standby.key in self._fit.misfits(
            standby.route, lambda each: self._in_use(each, frozenset())
        )

    def crowded_out(
        self, promoted: Route, left: Collection[Route]
    ) -> Iterable[tuple[Circuit, Generation]]:
        """Standbys that have no room beside one that was promoted on a route, or not what they lose.

        ``left``: the routes that it was promoted for. Whatever failed there has others use their standbys too.
        """
        view, groups = self._admission.view, self._risk_groups_of
        unknown = [each for each in left if not path_down(view, each)]
        may_be = frozenset[Failure]().union(*(covered(each, promoted, groups) for each in unknown))
        misfits = self._fit.misfits(
            promoted, lambda each: self._in_use(each, may_be), at_source=True
        )
        for key in sorted(misfits):
            standby = self._find(key)
            if standby is not None:
                yield self._circuits[key.circuit_id], standby

    def _in_use(self, standby: Generation, may_be: frozenset[Failure]) -> bool:
        """Whether its sink may have selected it: it can, and what its circuit worked over is down, or stopped by one of
        the failures of which there may have been one that is not known of.
        """
        view, circuit = self._admission.view, self._circuits[standby.key.circuit_id]
        working = circuit.carrying() or circuit.newest()
        if working is None or ready_standby(view, circuit) is not standby:
            return False
        if path_down(view, working.route):
            return True
        return not may_be.isdisjoint(covered(working.route, standby.route, self._risk_groups_of))

    def crowding(self, route: Route) -> list[Generation]:
        """Shared standbys that are on their way out, and still hold room where a promoted one leaves too little."""
        if not self._admission.crowded(route) and not self._admission.is_short(route.source_id):
            return []
        held = self._reservations
        there = [link_direction(link.link_id, link.from_router_id) for link in route.links]
        there += [source(route.source_id), *map(through, route.router_ids)]
        keys = {key for resource in there for key in held.held_of(resource)}
        found = [standby for key in sorted(keys) if (standby := self._find(key)) is not None]
        return [each for each in found if each.shares and each.phase in RETIRING_PHASES]

    # What is covered

    def covers_anew(self, circuit: Circuit, standby: Generation) -> frozenset[Failure] | None:
        """What a shared standby is to cover by now, if that is something else than before."""
        view = self._admission.view
        working = [
            each.route
            for each in circuit.generations.values()
            if each.role is Role.WORKING and each.phase not in RETIRING_PHASES
        ]
        routes = [*working, standby.route]
        known = all(link.link_id in view.links for route in routes for link in route.links)
        if not standby.shares or not working or not known:
            return None
        groups = self._risk_groups_of
        wanted = frozenset[Failure]().union(
            *(covered(each, standby.route, groups) for each in working)
        )
        return wanted if wanted != standby.covers else None

    def _risk_groups_of(self, link_id: str) -> frozenset[str]:
        known = self._admission.view.links.get(link_id)
        return known.risk_groups if known is not None else frozenset()

    def can_cover(self, standby: Generation, failures: frozenset[Failure]) -> bool:
        """Whether nobody else would take anything where it does, under what it did not cover before: then neither pools
        grow, nor what anybody loses.
        """
        added = failures - (standby.covers or frozenset())
        held = self._reservations
        return not any(
            held.needed(resource, each) for resource in held.held_by(standby.key) for each in added
        )
