"""Single failures tried on a core: what would carry under each is worked out anew, in the order of admission."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.failures import Failure, FailureKind, stopping
from controller.core.circuits.generation import Generation
from controller.core.network.view import GridView
from controller.core.questions import Questions
from digitalgrid.physics import added_line_loss_w

# Sums of reservations.
_SLACK = 1 + 1e-6


def overrun(known: Questions, excused: Set[str] = frozenset()) -> list[str]:
    """A sentence on each failure under which a line or source would carry more than it may, or a hop need more than was
    reserved for it; for a core at rest. ``excused`` are sources that give less than they did.
    """
    view = known.view
    return [
        f"{failure.kind} {failure.id}: {fault}"
        for failure in _failures(view)
        for fault in _faults(view, _active(view, known.standing, failure))
        if fault.partition(" ")[0] not in excused
    ]


def _failures(view: GridView) -> Iterator[Failure]:
    groups = {group for link in view.links.values() for group in link.risk_groups}
    for kind, ids in (
        (FailureKind.LINK, view.links),
        (FailureKind.ROUTER, view.routers),
        (FailureKind.SOURCE, view.sources),
        (FailureKind.RISK_GROUP, sorted(groups)),
    ):
        yield from (Failure(kind, each) for each in ids)


def _active(view: GridView, circuits: Iterable[Circuit], failure: Failure) -> Iterator[Generation]:
    """What takes room: working generations, which routers leave later than sinks do, and standbys in their place."""

    def stops(generation: Generation) -> frozenset[Failure]:
        return stopping(generation.route, lambda id_: view.links[id_].risk_groups)

    for circuit in circuits:
        newest, standby = circuit.newest(), circuit.standby()
        if newest is not None:
            yield newest
            if standby is not None and failure in stops(newest) - stops(standby):
                yield standby


def _faults(view: GridView, active: Iterable[Generation]) -> Iterator[str]:
    way_a: defaultdict[tuple[str, str], float] = defaultdict(float)
    drawn_w: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for generation in sorted(active, key=lambda each: each.admission_seq):
        route, circuit_id = generation.route, generation.key.circuit_id
        for link in route.links:
            way = (link.link_id, link.from_router_id)
            lost_w = added_line_loss_w(link.resistance_ohm, way_a[way], link.current_a)
            if link.received_w + lost_w > link.sent_w * _SLACK:
                needs_w = link.received_w + lost_w
                yield f"{generation.key} needs {needs_w} W of its {link.sent_w} W at {way}"
            way_a[way] += link.current_a
        drawn = drawn_w[route.source_id]
        drawn[circuit_id] = max(drawn.get(circuit_id, 0.0), route.injected_w)
    for link_id, known in view.links.items():
        both_a = way_a[link_id, known.a] + way_a[link_id, known.b]
        if both_a > known.ampacity_a * _SLACK:
            yield f"{link_id} carries {both_a} A of {known.ampacity_a} A"
    for source_id, of in drawn_w.items():
        most_w = view.sources[source_id][1].max_power_w
        if sum(of.values()) > most_w * _SLACK:
            yield f"{source_id} gives {sum(of.values())} W of {most_w} W"
