"""Whether a route still is what it was admitted as, judged by the route and the present grid view alone.

So it is right also after a restart, and for whatever was missed.
"""

from collections.abc import Mapping

from controller.core.circuits.route import Route
from controller.core.network.link import LinkState
from controller.core.network.view import GridView


def path_down(view: GridView, route: Route) -> bool:
    """Whether there is news that the route cannot carry power; a router that is silent is no news."""
    for link in route.links:
        known = view.links.get(link.link_id)
        if known is not None and known.state is LinkState.DOWN:
            return True
        ends_known = {link.from_router_id, link.to_router_id} <= view.routers.keys()
        if known is None and ends_known:
            return True
    return _gone(view, route.source_id, route.router_ids[0], view.sources) or _gone(
        view, route.sink_id, route.router_ids[-1], view.loads
    )


def _gone(
    view: GridView, id_: str, router_id: str, places: Mapping[str, tuple[str, object]]
) -> bool:
    """Whether a source or load is not at a router any more, of which something is known."""
    return router_id in view.routers and places.get(id_, ("",))[0] != router_id


def other_physics(view: GridView, route: Route) -> bool:
    """Whether a route was admitted with other losses than its lines and converters have by now."""
    for link in route.links:
        known = view.links.get(link.link_id)
        if known is not None and (known.resistance_ohm, known.voltage_v) != (
            link.resistance_ohm,
            link.voltage_v,
        ):
            return True
    return any(
        router_id in view.routers and view.routers[router_id].efficiency != efficiency
        for router_id, efficiency in zip(route.router_ids, route.efficiency, strict=True)
    )
