"""Bridges: what every way from the sources to a load needs, found by taking one thing out after another.

By Menger's theorem, where no two paths without a common link (or router) exist, one link (or router) lies on all of
them, so it lies on any one that is known. For risk groups the reverse is not true: each may be avoidable, and no pair
avoid all.
"""

from collections import defaultdict
from collections.abc import Iterator

from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.network.view import GridView


class Bridges:
    """On one grid view, whatever is reserved: over links that are up, between routers that can be used."""

    def __init__(self, view: GridView) -> None:
        self._view = view
        self._links_at: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for link in view.links.values():
            if view.admits(link):
                self._links_at[link.a].append((link.link_id, link.b))
                self._links_at[link.b].append((link.link_id, link.a))

    def on(self, path: Route, request: PowerRequest) -> list[str]:
        """Which links, routers or risk groups of a path no other way to its load can do without."""
        found = []
        for name, link_ids, router_ids in self._elements(path, request.protect):
            if not self._reaches(request, link_ids, router_ids):
                found.append(name)
        return found

    def _elements(
        self, path: Route, against: Against | None
    ) -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
        """What may fail, with the links and routers that go with it."""
        none: frozenset[str] = frozenset()
        for link in path.links:
            yield link.link_id, frozenset((link.link_id,)), none
        if against is Against.ROUTER:
            for router_id in path.router_ids[1:-1]:
                yield router_id, none, frozenset((router_id,))
        if against is Against.RISK:
            groups = {
                group
                for link in path.links
                if link.link_id in self._view.links
                for group in self._view.links[link.link_id].risk_groups
            }
            for group in sorted(groups):
                down = (
                    each for each, link in self._view.links.items() if group in link.risk_groups
                )
                yield group, frozenset(down), none

    def _reaches(
        self, request: PowerRequest, link_ids: frozenset[str], router_ids: frozenset[str]
    ) -> bool:
        """Whether a source can reach the load without these."""
        view, avoid = self._view, set(request.constraints.avoid_ids)
        starts = {
            view.sources[each][0]
            for each in request.source_ids or view.sources
            if each in view.sources
        }
        at = view.loads[request.sink_id][0]
        seen, front = {at}, [at]
        while front:
            at = front.pop()
            if at in starts:
                return True
            for link_id, far in self._links_at[at]:
                blocked = link_id in link_ids or link_id in avoid or far in avoid
                if not blocked and far not in router_ids and far not in seen:
                    seen.add(far)
                    front.append(far)
        return False
