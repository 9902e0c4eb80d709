"""What a working path and its standby must not have in common, judged on a grid view."""

from collections.abc import Collection

from controller.core.circuits.protection import Against
from controller.core.circuits.route import Route
from controller.core.network.view import GridView


def kept_off(view: GridView, route: Route, against: Against, *, same_start: bool) -> set[str]:
    """Ids of links and routers that a standby must not use beside this path, where both begin at one router, or not."""
    link_ids = {link.link_id for link in route.links}
    if against is Against.ROUTER:
        return link_ids | set(route.router_ids[1 if same_start else 0 : -1])
    if against is Against.RISK:
        groups = risk_groups(view, link_ids)
        return link_ids | {
            link_id for link_id, link in view.links.items() if groups & link.risk_groups
        }
    return link_ids


def risk_groups(view: GridView, link_ids: Collection[str]) -> set[str]:
    known = (view.links[each] for each in link_ids if each in view.links)
    return {group for link in known for group in link.risk_groups}


def in_common(view: GridView, working: Route, standby: Route, against: Against) -> list[str]:
    """Ids of what two paths have in common and must not: links, and routers or risk groups as asked for."""
    same_start = working.router_ids[0] == standby.router_ids[0]
    link_ids = {link.link_id for link in standby.links}
    shared = link_ids & {link.link_id for link in working.links}
    if against is Against.ROUTER:
        off = kept_off(view, working, against, same_start=same_start)
        shared |= off & set(standby.router_ids[:-1])
    if against is Against.RISK:
        working_ids = {link.link_id for link in working.links}
        shared |= risk_groups(view, link_ids) & risk_groups(view, working_ids)
    return sorted(shared)
