"""Admission with a standby: both paths are reserved, or nothing is."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import Alternatives
from controller.core.admission.standby_search import Standby, StandbySearch
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.routing.alternatives.disjoint import Disjointness
from digitalgrid.model import CircuitGeneration

_KINDS = {
    Against.LINK: Disjointness.LINK,
    Against.ROUTER: Disjointness.ROUTER,
    Against.RISK: Disjointness.RISK_GROUP,
}


@dataclass(frozen=True, slots=True)
class Served:
    """A circuit as it is reserved: its first generation's route, and that of its standby under the number after it.

    ``unprotected_because`` says why there is no standby though one was asked for.
    """

    key: CircuitGeneration
    route: Route
    standby: Standby | None = None
    unprotected_because: str = ""

    @property
    def standby_key(self) -> CircuitGeneration:
        return standby_key(self.key)

    @property
    def standby_route(self) -> Route | None:
        return self.standby.route if self.standby is not None else None

    @property
    def shares(self) -> bool:
        """Whether there is a standby that shares its room."""
        return self.standby is not None and self.standby.covers is not None

    @property
    def keys(self) -> tuple[CircuitGeneration, ...]:
        """What holds reservations."""
        return (self.key, self.standby_key) if self.standby is not None else (self.key,)


def standby_key(working: CircuitGeneration) -> CircuitGeneration:
    return CircuitGeneration(working.circuit_id, working.generation + 1)


class ProtectedAdmission:
    """Admits requests, those for protected circuits with a standby beside each."""

    def __init__(
        self, admission: Admission, alternatives: Alternatives, search: StandbySearch
    ) -> None:
        self._admission = admission
        self._alternatives = alternatives
        self._search = search
        self._reservations = admission.reservations

    def admit(
        self, request: PowerRequest, new_key: Callable[[], CircuitGeneration]
    ) -> list[Served]:
        """Reserve the request, and standbys where they are asked for; Refusal, with nothing reserved, where it cannot
        be served so. Where only routers that take no standby stand in its way, it is served without.
        """
        if request.protect is not None and not request.allow_split:
            sharing = self._sharing(request, new_key)
            if sharing is not None:
                return [sharing]
        admitted = self._admission.admit(request, new_key)
        if request.protect is None:
            return [Served(key, route) for key, route in admitted]
        served: list[Served] = []
        for key, route in admitted:
            try:
                served.append(self._with_standby(request, key, route, alone=len(admitted) == 1))
            except Refusal:
                self.give_back([*served, *(Served(*each) for each in admitted)])
                raise
        return served

    def _sharing(
        self, request: PowerRequest, new_key: Callable[[], CircuitGeneration]
    ) -> Served | None:
        """Both paths chosen together, for a standby that shares its room; None where that is not possible."""
        pair = self._search.pair(request)
        if pair is None or pair.backup is None:
            return None
        key = new_key()
        self._reservations.reserve(key, pair.working)
        standby = self._search.sharing(pair.backup, key.circuit_id)
        return self._reserved(Served(key, pair.working, standby))

    def _reserved(self, served: Served) -> Served:
        """Its standby too."""
        if served.standby is not None:
            route, covers = served.standby
            self._reservations.reserve(served.standby_key, route, covers, standby=True)
        return served

    def give_back(self, served: list[Served]) -> None:
        """Release what is reserved for circuits that are not made after all."""
        for each in served:
            for key in each.keys:
                self._reservations.release(key)

    def _with_standby(
        self, request: PowerRequest, key: CircuitGeneration, route: Route, *, alone: bool
    ) -> Served:
        part = msgspec.structs.replace(request, power_w=route.power_w)
        standby = self._search.beside(route, part, circuit_id=key.circuit_id)
        if standby is None:
            unsupported = self._search.unsupported(route, part, key.circuit_id)
            if unsupported:
                return Served(key, route, unprotected_because=unsupported)
            pair = self._pair_instead(part, key) if alone else None
            if pair is None:
                raise self._search.why_not(route, part, key.circuit_id)
            route, standby = pair
        return self._reserved(Served(key, route, standby))

    def _pair_instead(
        self, request: PowerRequest, key: CircuitGeneration
    ) -> tuple[Route, Standby] | None:
        """Another first path, which has a partner, in place of the best one that has none; reserved like that."""
        best = self._reservations.route_of(key)
        self._reservations.release(key)
        found = self._apart(request)
        if found is not None:
            working, standby = found
            self._reservations.reserve(key, working)
            return working, self._search.filled(Standby(standby), key.circuit_id)
        if best is not None:
            self._reservations.reserve(key, best)
        return None

    def pair(self, request: PowerRequest) -> tuple[Route, Route] | None:
        """Two paths that do not fail together, as things are reserved; None where none are found."""
        apart = self._apart(request)
        if apart is not None:
            return apart
        # Dearer, and finds what begins at different sources, and where there is only room that others share.
        pair = self._search.pair(request)
        return (pair.working, pair.backup.route) if pair and pair.backup else None

    def _apart(self, request: PowerRequest) -> tuple[Route, Route] | None:
        """Likewise, with room of its own for each."""
        against = request.protect
        if against is None:
            return None
        try:
            found = self._alternatives.pair(request, _KINDS[against])
        except Refusal:
            return None
        if found.shared_ids:
            return None
        working, standby = found.routes
        off = self._search.incapable_ids().intersection(standby.router_ids)
        if off or in_common(self._admission.view, working, standby, against):
            return None
        return working, standby
