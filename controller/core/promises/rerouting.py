"""Path search of a reroute: where a circuit goes next, from the source that it has where that can be."""

from collections.abc import Callable, Collection, Set

from controller.core.admission.admission import Admission
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.disjointness import kept_off
from controller.core.circuits.route import Route
from controller.core.network.view import GridView
from digitalgrid.model import CircuitGeneration


class Rerouting:
    """Searches beside what a circuit holds; of ``displaced`` generations the room is others'.

    ``last_resort`` is the grid with what is taken out of service, where circuits without power may use that.
    """

    def __init__(
        self,
        admission: Admission,
        displaced: Set[CircuitGeneration],
        last_resort: Callable[[], GridView | None],
    ) -> None:
        self._admission = admission
        self._displaced = displaced
        self._last_resort = last_resort

    def find(self, circuit: Circuit, power_w: float) -> Route | None:
        """Search for a route, from the present source first: what others were promised of theirs stays as it was.

        Beside a standby a path that it protects is preferred; where there is none, another standby will be needed.
        """
        standby, against = circuit.standby(), circuit.guard.against
        if standby is not None and against is not None:
            view = self._admission.view
            for same_start in (True, False):
                off = kept_off(view, standby.route, against, same_start=same_start)
                route = self._search(circuit, power_w, circuit.excluded_ids | off)
                if route is not None:
                    return route
        return self._search(circuit, power_w, circuit.excluded_ids)

    def find_any(
        self, circuit: Circuit, power_w: float, *, last_resort: bool = True
    ) -> Route | None:
        """For a circuit without power also over what is taken out of service, where that may be a last resort."""
        route = self.find(circuit, power_w)
        view = self._last_resort() if route is None and last_resort else None
        if view is None:
            return route
        with self._admission.on(view):
            return self.find(circuit, power_w)

    def _search(
        self, circuit: Circuit, power_w: float, excluded_ids: Collection[str]
    ) -> Route | None:
        newest = circuit.newest() or max(
            circuit.generations.values(), key=lambda each: each.key.generation, default=None
        )
        candidates = [circuit.source_ids]
        if newest is not None:
            candidates.insert(0, (newest.route.source_id,))
        if circuit.sink_id not in self._admission.view.loads:
            return None
        carrying = circuit.carrying()
        carries = None
        if carrying is not None and carrying.key not in self._displaced:
            carries = carrying.route
        for source_ids in candidates:
            route = self._admission.route(
                circuit.sink_id,
                power_w,
                source_ids,
                circuit.constraints,
                circuit_id=circuit.circuit_id,
                excluded_ids=excluded_ids,
                carries=carries,
            )
            if route is not None:
                return route
        return None
