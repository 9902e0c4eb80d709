"""A path for a standby: one that does not fail together with the working path, or what makes that impossible."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from controller.core.admission.admission import Admission
from controller.core.admission.bridges import Bridges
from controller.core.admission.cheapest_routes import Asked
from controller.core.admission.protected_routes import (
    Backup,
    ProtectedRouteFinder,
    ProtectedRoutes,
)
from controller.core.admission.search_tally import Search
from controller.core.admission.standby_arrays import (
    StandbyArrays,
    as_it_stands,
    under_failures,
)
from controller.core.admission.trickle import with_trickle
from controller.core.circuits.disjointness import kept_off
from controller.core.circuits.failures import Failure, stopping
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.routing.flows.cut import minimum_cut
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason
from digitalgrid.units import format_power, format_power_below

_LOSSES = {
    Against.LINK: "a link",
    Against.ROUTER: "a router",
    Against.RISK: "a risk group",
}


class Standby(NamedTuple):
    """A route for a standby, with its trickle; and what it covers, where it shares its room with others."""

    route: Route
    covers: frozenset[Failure] | None = None


class StandbySearch:
    """Searches on the present view and reservations; reserves nothing."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._pairs = ProtectedRouteFinder(admission)

    def beside(
        self,
        working: Route,
        request: PowerRequest,
        *,
        circuit_id: int = 0,
        excluded_ids: Collection[str] = (),
        instead_of: CircuitGeneration | None = None,
    ) -> Standby | None:
        """The best standby for a working path, where another of its circuit goes; None where there is none now.

        It shares its room where that is not to be its own, unless only a way over routers that hold no pools is left.
        """
        if request.protect is not None and not request.dedicated:
            asked = _asked(request, circuit_id, excluded_ids, instead_of)
            with self._admission.searches.timed(Search.STANDBY):
                backup = self._pairs.backup_of(working, asked, request.protect)
            if backup is not None:
                return self.sharing(backup, circuit_id, instead_of)
            pooled = all(each.holds_pools for each in self._admission.view.routers.values())
            if pooled and working.links:
                # What has no room among others has none of its own.
                return None
        return self._dedicated(working, request, circuit_id, excluded_ids)

    def pair(self, request: PowerRequest) -> ProtectedRoutes | None:
        """A working route and a standby that shares its room, chosen together; None where there is none."""
        if request.protect is None or request.dedicated:
            return None
        if not self._admission.sink_takes(request.sink_id, request.power_w):
            return None
        with self._admission.searches.timed(Search.STANDBY):
            return self._pairs.best(_asked(request), request.protect)

    def sharing(
        self, backup: Backup, circuit_id: int, instead_of: CircuitGeneration | None = None
    ) -> Standby:
        """With its trickle, beside a working route that is reserved."""
        return self.filled(Standby(backup.route, backup.covers), circuit_id, instead_of)

    def filled(
        self, standby: Standby, circuit_id: int, instead_of: CircuitGeneration | None = None
    ) -> Standby:
        """With the trickle that there is room for now."""
        route, covers = standby
        route = with_trickle(self._admission, route, circuit_id, covers, instead_of)
        return Standby(route, covers)

    def _dedicated(
        self,
        working: Route,
        request: PowerRequest,
        circuit_id: int,
        excluded_ids: Collection[str],
    ) -> Standby | None:
        if request.protect is not None:
            asked = _asked(request, circuit_id, excluded_ids)
            with self._admission.searches.timed(Search.STANDBY):
                backup = self._pairs.backup_of(working, asked, request.protect, dedicated=True)
            if backup is not None:
                return Standby(with_trickle(self._admission, backup.route, circuit_id))
        # In what its circuit holds already, of which that knows nothing.
        incapable = self.incapable_ids()
        for source_ids, off in self._choices(working, request):
            route = self._route(
                request, source_ids, {*off, *incapable, *excluded_ids}, circuit_id=circuit_id
            )
            if route is not None:
                return Standby(with_trickle(self._admission, route, circuit_id))
        return None

    def incapable_ids(self) -> set[str]:
        """Routers that take no standby."""
        routers = self._admission.view.routers
        return {router_id for router_id, each in routers.items() if not each.stands_by}

    def unsupported(self, working: Route, request: PowerRequest, circuit_id: int = 0) -> str:
        """Which routers' lack of support keeps it without a standby, in words; empty where that is not what does."""
        incapable = sorted(self.incapable_ids())
        if incapable and any(
            self._route(request, source_ids, off, circuit_id=circuit_id) is not None
            for source_ids, off in self._choices(working, request)
        ):
            return f"its standby would need routers that take none: upgrade {', '.join(incapable)}"
        return ""

    def _route(
        self,
        request: PowerRequest,
        source_ids: Collection[str],
        off: Collection[str],
        *,
        circuit_id: int,
    ) -> Route | None:
        view = self._admission.view
        if not source_ids or view.loads[request.sink_id][0] in off:
            return None
        return self._admission.route(
            request.sink_id,
            request.power_w,
            source_ids,
            request.constraints,
            circuit_id=circuit_id,
            excluded_ids=off,
        )

    def _choices(
        self, working: Route, request: PowerRequest
    ) -> Iterator[tuple[list[str], set[str]]]:
        """Candidate sources, and what to keep off with them, in the order in which they are tried.

        The source that is used already costs no further reservation; against the loss of a router another one's is
        better, for it outlives the first router too. So it is beside a way without lines, on which nothing can fail.
        """
        view, against = self._admission.view, request.protect
        if against is None:
            return
        start = working.router_ids[0]
        candidates = [each for each in request.source_ids or view.sources if each in view.sources]
        here = [each for each in candidates if view.sources[each][0] == start]
        elsewhere = [each for each in candidates if view.sources[each][0] != start]
        # The present one first, where several are at its router.
        choices = [
            ([working.source_id] if working.source_id in here else [], True),
            (here, True),
            (elsewhere, False),
        ]
        if against is Against.ROUTER or not working.links:
            choices = choices[2:] + choices[:2]
        for source_ids, same_start in choices:
            yield source_ids, kept_off(view, working, against, same_start=same_start)

    # Why there is none

    def why_not(self, working: Route, request: PowerRequest, circuit_id: int = 0) -> Refusal:
        """What makes a standby impossible for now: a bridge, or the lack of room."""
        bridges = Bridges(self._admission.view).on(working, request)
        if bridges:
            view = self._admission.view
            known = view.links.keys() | view.routers.keys()
            names = [each if each in known else f"risk group {each}" for each in bridges]
            closed = view.out_of_service()
            meanwhile = f", with {', '.join(closed)} out of service" if closed else ""
            return Refusal(
                Reason.PROTECTION_IMPOSSIBLE,
                f"no second way to load {request.sink_id!r} avoids {' or '.join(names)}, which the first"
                f" needs too: protection against the loss of {_LOSSES[request.protect or Against.LINK]} is impossible"
                f" there{meanwhile}",
                field="protect",
                metadata={"bridges": ",".join(bridges)},
            )
        return self._no_room(working, request, circuit_id)

    def _no_room(self, working: Route, request: PowerRequest, circuit_id: int) -> Refusal:
        """Beside the first path; the cut is that of what the standby may use, as things are reserved."""
        admission, arrays = self._admission, self._admission.arrays
        arrays.sync()
        met = self._met(working, request, circuit_id)
        graph = met.graph.snapshot()
        view = admission.view
        off = kept_off(view, working, request.protect or Against.LINK, same_start=True)
        at_routers = (key for key, link in view.links.items() if {link.a, link.b} & off)
        for arc in arrays.arcs({*off, *at_routers}):
            graph.take_out_of_service(arc)
        sink = arrays.node(view.loads[request.sink_id][0])
        cut = minimum_cut(graph, sink, admission.most_by_node(met.available_w))
        links = sorted({arrays.link_id(arc) for arc in cut.arcs})
        least_w = min(cut.deliverable_w, request.power_w)
        held_up = f"the capacity of {', '.join(links)}" if links else "the lack of lines or sources"
        fits = f"at most {format_power_below(least_w)} fit, held up by {held_up}"
        if least_w >= request.power_w:
            fits = "what others leave would do in parts, or with other limits"
        instead = "protection against less"
        if request.dedicated:
            instead = "a standby that shares its room with others"
        return Refusal(
            Reason.PROTECTION_NO_ROOM,
            f"beside the way over {', '.join(each.link_id for each in working.links)} no second one carries"
            f" {format_power(request.power_w)} to load {request.sink_id!r}, as was asked for: {fits};"
            f" ask for less, or for {instead}",
            field="dedicated" if request.dedicated else "protect",
            metadata={
                "bottleneck_links": ",".join(links),
                "deliverable_w": repr(least_w),
                "missing_w": repr(request.power_w - least_w),
            },
        )

    def _met(self, working: Route, request: PowerRequest, circuit_id: int) -> StandbyArrays:
        """What a standby meets on its way: others' room too, where it shares it."""
        finder, source_ids = self._admission, request.source_ids
        if request.dedicated:
            return as_it_stands(finder, source_ids, circuit_id)
        failures = stopping(working, self._pairs.risk_groups_of)
        return under_failures(finder, failures, source_ids, circuit_id)


def _asked(
    request: PowerRequest,
    circuit_id: int = 0,
    excluded_ids: Collection[str] = (),
    instead_of: CircuitGeneration | None = None,
) -> Asked:
    return Asked(
        request.sink_id,
        request.power_w,
        request.source_ids,
        request.constraints,
        circuit_id,
        frozenset(excluded_ids),
        instead_of,
    )
