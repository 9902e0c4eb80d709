"""Hindrances: why a circuit cannot leave what is drained, judged by its route, its request and the grid view."""

from collections.abc import Iterable

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.route import Route
from controller.core.network.admin import AdminState, Block, Hindrance
from controller.core.network.link import LinkState
from controller.core.network.view import GridView

# Links that are down and named as what would help: enough to see where.
_MAX_NAMED = 5


class Islands:
    """Which routers hang together over lines that are neither down nor taken out of service (union-find).

    Routers that are silent count: they are no news.
    """

    def __init__(self, view: GridView, avoid_ids: Iterable[str] = ()) -> None:
        self._above: dict[str, str] = {}
        self._down: list[tuple[str, str, str]] = []
        avoided = set(avoid_ids)
        for link in view.links.values():
            if view.is_out_of_service(link) or not avoided.isdisjoint(
                (link.link_id, link.a, link.b)
            ):
                continue
            if link.state is LinkState.DOWN:
                self._down.append((link.link_id, link.a, link.b))
            else:
                self._above[self.of(link.a)] = self.of(link.b)

    def of(self, router_id: str) -> str:
        """The island of a router, by one of its routers."""
        above = self._above
        while (upper := above.get(router_id, router_id)) != router_id:
            above[router_id] = above.get(upper, upper)
            router_id = upper
        return router_id

    def down_at(self, router_id: str) -> list[str]:
        """Lines that are down, and would lead somewhere else from the island of a router."""
        island = self.of(router_id)
        return sorted(
            link_id
            for link_id, a, b in self._down
            if (self.of(a) == island) != (self.of(b) == island)
        )


class Hindrances:
    """On one view, in which what is drained is out of service; islands are made once for those who avoid the same."""

    def __init__(self, view: GridView) -> None:
        self._view = view
        self._islands: dict[tuple[str, ...], Islands] = {}

    def lasting(self, circuit: Circuit, route: Route) -> Block | None:
        """What no room elsewhere would remove; None where it may be only room, or a constraint, that is missing."""
        view = self._view
        if circuit.sink_id not in view.loads:
            return None
        sink_router_id = view.loads[circuit.sink_id][0]
        if self._is_out(sink_router_id):
            text = f"its load {circuit.sink_id!r} is at {sink_router_id}"
            return Block(circuit.circuit_id, Hindrance.LOAD_THERE, text)
        sources = {
            each: view.sources[each][0]
            for each in circuit.source_ids or view.sources
            if each in view.sources
        }
        left = {router_id for router_id in sources.values() if not self._is_out(router_id)}
        if sources and not left:
            there = ", ".join(sorted(sources)[:_MAX_NAMED])
            text = f"it may be served from {there} only, there where it is drained"
            return Block(circuit.circuit_id, Hindrance.SOURCES_THERE, text)
        islands = self._islands_of(circuit.constraints.avoid_ids)
        if islands.of(sink_router_id) in {islands.of(each) for each in left}:
            return None
        text = f"no other way leads to its load {circuit.sink_id!r} from {route.source_id!r} or another source"
        down = islands.down_at(sink_router_id)
        if down:
            text += f"; down: {', '.join(down[:_MAX_NAMED])}"
        return Block(circuit.circuit_id, Hindrance.ONLY_WAY, text)

    def _is_out(self, router_id: str) -> bool:
        router = self._view.routers.get(router_id)
        return router is not None and router.admin is not AdminState.IN_SERVICE

    def _islands_of(self, avoid_ids: tuple[str, ...]) -> Islands:
        if avoid_ids not in self._islands:
            self._islands[avoid_ids] = Islands(self._view, avoid_ids)
        return self._islands[avoid_ids]
