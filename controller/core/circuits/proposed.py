"""Paths that routing algorithms propose: what leaves the core to ask for them, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass

from digitalgrid.plugins.routing import NetworkView, RouteRequest


@dataclass(frozen=True, slots=True)
class ProposedWay:
    """From a source at router ``begins_at`` over hops, (link, router that sends); nothing is known of it yet."""

    begins_at: str
    hops: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RouteQuestion:
    """One view for some requests, and the hop, (link, router that sends), that each of its arcs stands for."""

    view: NetworkView
    requests: tuple[RouteRequest, ...]
    hops: tuple[tuple[str, str], ...]

    def way(self, request: RouteRequest, arcs: Sequence[int]) -> ProposedWay | str:
        """What arcs mean, or why they mean nothing."""
        if not all(0 <= arc < len(self.hops) for arc in arcs):
            return f"it names an arc beyond the {len(self.hops)} that there are"
        hops = tuple(self.hops[arc] for arc in arcs)
        return ProposedWay(hops[0][1] if hops else self.view.router_ids[request.sink], hops)
