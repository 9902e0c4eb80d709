"""Says why power cannot be routed, with the figures that a client needs to ask for something possible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from controller.core.admission.arrays import GridArrays
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.network.admin import AdminState
from controller.core.network.view import GridView, RouterView
from controller.routing.flows.cut import Cut, minimum_cut
from digitalgrid.reasons import Reason
from digitalgrid.units import (
    format_fraction,
    format_power,
    format_power_above,
    format_power_below,
)


def load_limit_exceeded(sink_id: str, power_w: float, reserved_w: float, limit_w: float) -> Refusal:
    promised = f", of which {format_power(reserved_w)} are promised already" if reserved_w else ""
    return Refusal(
        Reason.LOAD_LIMIT_EXCEEDED,
        f"load {sink_id!r} takes at most {format_power_below(limit_w)}{promised}; {format_power(power_w)} more are"
        " too much",
        field="power_w",
        metadata={
            "limit_w": repr(limit_w),
            "reserved_w": repr(reserved_w),
            "missing_w": repr(reserved_w + power_w - limit_w),
        },
    )


def explain_no_route(
    request: PowerRequest,
    *,
    arrays: GridArrays,
    sink: int,
    sink_converts_w: float,
    available_w: Mapping[int, float],
    largest_w: Callable[[float], float],
    together_w: float,
    unconstrained: Route | None,
) -> Refusal:
    """The first that holds: sink away, or its router is no end of circuits; no source; a converter that is too small;
    a constraint, a cut that is too small, or no single path.

    ``largest_w`` tells the most that one circuit could carry, of at most so much: it takes searches, which only the
    last of these shows. ``together_w`` is what several circuits were found to carry.
    """
    view = arrays.view
    sink_router = view.routers[view.loads[request.sink_id][0]]
    refusal = _sink_away(request, sink_router)
    if refusal is not None:
        return refusal
    if not available_w:
        return _no_source(request, view)
    if sink_converts_w < request.power_w:
        return _converts_too_little(sink_router, request, sink_converts_w)
    if unconstrained is not None:
        return _constraint_binds(request, unconstrained)
    cut = minimum_cut(arrays.graph, sink, available_w)
    bounds = _bounds(cut, arrays)
    if cut.deliverable_w < request.power_w:
        return _insufficient_capacity(request, cut.deliverable_w, bounds)
    if request.allow_split:
        # The cut counts no losses on the way; the circuits that were tried do.
        return _insufficient_capacity(request, together_w, replace(bounds, cut_off=False))
    single_w = largest_w(min(request.power_w, cut.deliverable_w))
    return Refusal(
        Reason.NO_SINGLE_PATH,
        f"no single path carries {format_power(request.power_w)} to load {request.sink_id!r}: the largest"
        f" carries {format_power_below(single_w)}; allow a split, or ask for less",
        field="power_w",
        metadata={
            "bottleneck_links": ",".join(bounds.links),
            "bottleneck_routers": ",".join(bounds.converters),
            "largest_single_w": repr(single_w),
            "missing_w": repr(request.power_w - single_w),
        },
    )


def _sink_away(request: PowerRequest, router: RouterView) -> Refusal | None:
    """Why nothing can end at the load's router, whatever the way there; None where it can."""
    refusal = cannot_end(router, f"load {request.sink_id!r}", "sink_id")
    if refusal is not None:
        return refusal
    router_id = router.router_id
    if router.admin is not AdminState.IN_SERVICE:
        return Refusal(
            Reason.OUT_OF_SERVICE,
            f"router {router_id!r} of load {request.sink_id!r} is {router.admin}; ask again once it is in service",
            field="sink_id",
            metadata={"router": router_id},
        )
    if not router.heard:
        return Refusal(
            Reason.ROUTER_NOT_CONNECTED,
            f"router {router_id!r} of load {request.sink_id!r} is not connected; try again later",
            field="sink_id",
            metadata={"router": router_id},
        )
    return None


def _no_source(request: PowerRequest, view: GridView) -> Refusal:
    """Why none of the sources that a request may have can begin a circuit."""
    for source_id in request.source_ids:
        if source_id in view.sources:
            router = view.routers[view.sources[source_id][0]]
            refusal = cannot_end(router, f"source {source_id!r}", "source_ids")
            if refusal is not None:
                return refusal
    return Refusal(
        Reason.NO_SOURCE_CONNECTED,
        f"no candidate source is at a connected router{_drained_sources(request, view)}; try again"
        " later, or name others",
        field="source_ids",
    )


def _drained_sources(request: PowerRequest, view: GridView) -> str:
    """Who of the candidates is at a router that is taken out of service."""
    drained = sorted(
        each
        for each in request.source_ids or view.sources
        if each in view.sources
        and view.routers[view.sources[each][0]].admin is not AdminState.IN_SERVICE
    )
    return f" in service ({', '.join(drained)}: drained)" if drained else ""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Ids of what is in the way; ``cut_off``: nothing is, but there is no way either."""

    links: Sequence[str]
    down: Sequence[str]
    drained: Sequence[str]
    converters: Sequence[str]
    agents: Sequence[str]
    cut_off: bool = False

    def __str__(self) -> str:
        texts = [f"the capacity of {', '.join(self.links)}"] if self.links else []
        texts += [f"{', '.join(self.down)} being down"] if self.down else []
        texts += [f"{', '.join(self.drained)} being drained"] if self.drained else []
        texts += [f"what {', '.join(self.converters)} can convert"] if self.converters else []
        texts += [f"{', '.join(self.agents)} being left to agents"] if self.agents else []
        return " and ".join(texts) or (
            "the lack of any line there" if self.cut_off else "the sources"
        )


def _bounds(cut: Cut, arrays: GridArrays) -> _Bounds:
    """What the cut consists of: links and converters that are full, and links that are closed between its sides."""
    view = arrays.view
    closed = arrays.closed_links()
    near = {arrays.router_ids[node] for node in cut.near_nodes} if closed else set()
    between = [link for link in closed if (link.a in near) != (link.b in near)]
    drained = sorted(link.link_id for link in between if view.is_out_of_service(link))
    between = [link for link in between if not view.is_out_of_service(link)]
    agents = sorted({end for link in between for end in (link.a, link.b) if _has_agents(view, end)})
    down = sorted(link.link_id for link in between if not {link.a, link.b} & set(agents))
    links = sorted({arrays.link_id(arc) for arc in cut.arcs}.difference(down, drained))
    converters = [arrays.router_ids[node] for node in cut.converters]
    return _Bounds(links, down, drained, converters, agents, cut_off=not cut.source_nodes)


def _insufficient_capacity(request: PowerRequest, deliverable_w: float, bounds: _Bounds) -> Refusal:
    missing_w = request.power_w - deliverable_w
    return Refusal(
        Reason.INSUFFICIENT_CAPACITY,
        f"at most {format_power_below(deliverable_w)} can still reach load {request.sink_id!r}:"
        f" {format_power_above(missing_w)} are missing; it is held up by {bounds}",
        field="power_w",
        metadata={
            "bottleneck_links": ",".join(bounds.links or [*bounds.down, *bounds.drained]),
            "bottleneck_routers": ",".join((*bounds.converters, *bounds.agents)),
            "links_down": ",".join(bounds.down),
            "links_drained": ",".join(bounds.drained),
            "deliverable_w": repr(deliverable_w),
            "missing_w": repr(missing_w),
        },
    )


def cannot_end(router: RouterView, what: str, field: str) -> Refusal | None:
    """Why no circuit can begin or end at a router, whatever is asked for; None where it can."""
    profile = router.profile
    if profile.autonomy == "agents":
        reason, message = (
            Reason.ROUTER_LEFT_TO_AGENTS,
            "is left to its agents and takes no circuits",
        )
    elif profile.addressing == "none":
        reason, message = Reason.ROUTER_NOT_ADDRESSED, "has no address, so circuits only pass it"
    else:
        return None
    return Refusal(
        reason,
        f"router {router.router_id!r} (profile {profile.id!r}) of {what} {message}",
        field=field,
        metadata={"router": router.router_id, "profile": profile.id},
    )


def _has_agents(view: GridView, router_id: str) -> bool:
    router = view.routers.get(router_id)
    return router is not None and router.profile.autonomy == "agents"


def _converts_too_little(router: RouterView, request: PowerRequest, converts_w: float) -> Refusal:
    most_w = router.profile.max_through_w or 0.0
    return Refusal(
        Reason.THROUGH_POWER_EXCEEDED,
        f"router {router.router_id!r} of load {request.sink_id!r} converts at most {format_power_below(most_w)}"
        f" (profile {router.profile.id!r}), for all circuits together; {format_power_below(max(0.0, converts_w))}"
        " more can be delivered there; ask for less",
        field="power_w",
        metadata={
            "router": router.router_id,
            "limit_w": repr(most_w),
            "deliverable_w": repr(converts_w),
            "missing_w": repr(request.power_w - converts_w),
        },
    )


def _constraint_binds(request: PowerRequest, unconstrained: Route) -> Refusal:
    constraints = request.constraints
    asked = [
        text
        for text, present in (
            (f"max_loss_fraction {constraints.max_loss_fraction}", constraints.max_loss_fraction),
            (f"max_hops {constraints.max_hops}", constraints.max_hops is not None),
            ("packets", constraints.packets),
            (f"avoid_ids {', '.join(constraints.avoid_ids)}", constraints.avoid_ids),
        )
        if present
    ]
    # Where several are asked for, which of them binds depends on which would be given up.
    field = f"constraints.{asked[0].split()[0]}" if len(asked) == 1 else "constraints"
    return Refusal(
        Reason.CONSTRAINTS_UNSATISFIABLE,
        f"no route meets {' and '.join(asked)}; the best without loses"
        f" {format_fraction(unconstrained.loss_fraction)} over {len(unconstrained.links)} links",
        field=field,
        metadata={
            "loss_fraction": repr(unconstrained.loss_fraction),
            "hops": str(len(unconstrained.links)),
        },
    )
