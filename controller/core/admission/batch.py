"""Plain requests of a batch, routed and reserved one after another inside one compiled call."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from controller.core.admission.admission import Admission
from controller.core.admission.route_finder import Found, injection_limit_w
from controller.core.admission.search_tally import Search
from controller.core.circuits import resources as resource
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.routing.graph import Ints
from controller.routing.paths.batch import (
    ADMITTED,
    Admissions,
    Requests,
    admit_batch,
    ends,
    requests,
)
from controller.routing.paths.cspf import Path


def route_batch(admission: Admission, wanted: Sequence[PowerRequest]) -> list[Route | None]:
    """The route of each request beside those of the ones before it, None where there is none.

    The arrays already stand for all of them when this returns, the reservations do not.
    """
    view, arrays = admission.view, admission.arrays
    arrays.sync()
    available_w = admission.available_w(())
    # Of the sources at one router the cheapest comes first.
    sources = sorted(available_w, key=lambda each: (view.sources[each][1].cost_per_mwh, each))
    loads = [
        load_id
        for load_id in dict.fromkeys(request.sink_id for request in wanted)
        if view.routers[view.loads[load_id][0]].usable
    ]
    number_of = {source_id: number for number, source_id in enumerate(sources)}
    anyone = list(range(len(sources)))
    candidates = {
        number: sorted(number_of[each] for each in request.source_ids if each in number_of)
        if request.source_ids
        else anyone
        for number, request in enumerate(wanted)
        if request.sink_id in loads
    }
    asked = [number for number, some in candidates.items() if some]
    routes: list[Route | None] = [None] * len(wanted)
    if not asked:
        return routes
    where = ends(
        arrays.graph.node_count,
        [arrays.node(view.sources[each][0]) for each in sources],
        [available_w[each] for each in sources],
        [arrays.node(view.loads[each][0]) for each in loads],
        [
            view.loads[each][1].max_power_w - admission.taken_by_others(resource.load(each), 0)
            for each in loads
        ],
    )
    load_number = {load_id: number for number, load_id in enumerate(loads)}
    begun_ns = admission.searches.stopwatch_ns()
    done = admit_batch(
        arrays.search,
        where,
        _requests(
            [wanted[number] for number in asked],
            load_number,
            # Nothing said is the same, and quicker, than everybody named for each.
            [candidates[number] for number in asked]
            if any(wanted[number].source_ids for number in asked)
            else None,
        ),
    )
    admission.searches.note(Search.BATCH, begun_ns, done.settled)
    sink_nodes = [arrays.node(view.loads[wanted[number].sink_id][0]) for number in asked]
    source_of = done.source.tolist()
    found = {
        number: Found(
            path, sources[source_of[index]], wanted[number].sink_id, wanted[number].power_w
        )
        for index, (number, path) in enumerate(
            zip(asked, _paths(done, arrays.graph.tail, sink_nodes), strict=True)
        )
        if path is not None
    }
    for number, route in zip(found, admission.routes_of(list(found.values())), strict=True):
        routes[number] = route
    return routes


def _requests(
    wanted: Sequence[PowerRequest],
    load_number: Mapping[str, int],
    candidates: list[list[int]] | None,
) -> Requests:
    limits_w = [injection_limit_w(request.power_w, request.constraints) for request in wanted]
    hops = [request.constraints.max_hops for request in wanted]
    return requests(
        [load_number[request.sink_id] for request in wanted],
        [request.power_w for request in wanted],
        max_injected_w=limits_w,
        most_hops=[-1 if each is None else each for each in hops],
        candidates=candidates,
    )


def _paths(done: Admissions, tail: Ints, sink_nodes: Sequence[int]) -> Iterator[Path | None]:
    """Of each request, None where it was not admitted. Arrays are turned into numbers once, for all of them."""
    start = done.start.tolist()
    arcs, received_w = done.arcs[: start[-1]], done.received_w[: start[-1]].tolist()
    arcs_, tails = arcs.tolist(), tail[arcs].tolist()
    each_of = zip(
        done.status.tolist(), done.injected_w.tolist(), sink_nodes, pairwise(start), strict=True
    )
    for status, injected_w, sink, (begin, end) in each_of:
        yield (
            Path(
                (*tails[begin:end], sink),
                tuple(arcs_[begin:end]),
                (injected_w, *received_w[begin:end]),
            )
            if status == ADMITTED
            else None
        )
