"""Attribution of missing energy: which link, router or source, or whose decision, left a circuit's load short."""

from collections.abc import Iterable, Iterator
from functools import cache

from controller.core.admission.route_finder import LEDGER_TOLERANCE
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.curtailed import blame_of
from controller.core.circuits.generation import Role
from controller.core.circuits.holdings import Holdings
from controller.core.circuits.path_state import path_down
from controller.core.circuits.resources import link_direction
from controller.core.circuits.route import Route
from controller.core.circuits.shortfall import (
    Blame,
    ShortCause,
    difference,
    shortfall,
    with_shortfall,
)
from controller.core.network.link import LinkState
from controller.core.network.view import GridView
from digitalgrid.model import MissingEnergy


def note_lost_paths(
    view: GridView, reserved: Holdings, circuits: Iterable[Circuit], at_unix_ns: int
) -> None:
    """Remember what of paths failed, or carries less than is reserved, for when their sinks tell what that cost."""

    # Most of them share the lines that a change concerns, each of which is looked at once.
    @cache
    def is_short(link_id: str) -> bool:
        return _is_short(view, reserved, link_id)

    for circuit in circuits:
        if (newest := circuit.newest()) is None:
            continue
        if (lost := _lost(view, newest.route, at_unix_ns)) is not None:
            circuit.lost = lost
            continue
        on_the_way = (each.link_id for each in newest.route.links)
        if link_id := next(filter(is_short, on_the_way), ""):
            short = Blame(ShortCause.LINK_SHORT, link_id, at_unix_ns)
            # What it lacked before has not been told yet.
            circuit.lost, circuit.withheld = circuit.lost or short, circuit.withheld or short


def note_shortfalls(
    view: GridView,
    circuit: Circuit,
    said: MissingEnergy,
    before: MissingEnergy | None,
    at_unix_ns: int,
) -> None:
    """Put down what is missing beyond ``before``, by cause."""
    lacked, told_ns = difference(said, before), circuit.told_unix_ns
    circuit.told_unix_ns = at_unix_ns
    if not lacked.missing_mj:
        # As most reports say: nobody is to blame.
        return
    for missing_mj, blame in (
        (lacked.start_mj, Blame(ShortCause.START)),
        (lacked.fault_mj, _fault(view, circuit, at_unix_ns)),
        (lacked.move_mj, Blame(ShortCause.MOVE)),
        (lacked.curtailment_mj, _curtailment(view, circuit)),
        (lacked.refused_mj, Blame(ShortCause.SINK_REFUSED, circuit.sink_id)),
    ):
        if missing_mj > 0:
            more = shortfall(blame, missing_mj, circuit.power_w, told_ns, at_unix_ns)
            circuit.shortfalls = with_shortfall(circuit.shortfalls, more)


def _fault(view: GridView, circuit: Circuit, at_unix_ns: int) -> Blame:
    """What is down of its paths, the present one last; else what was when it lost its path."""
    generations = sorted(circuit.generations.values(), key=lambda each: each.key.generation)
    for generation in generations:
        found = _lost(view, generation.route, at_unix_ns)
        if found is not None and generation.role is Role.WORKING:
            known = circuit.lost
            return known if known is not None and known.by == found.by else found
    return circuit.lost or Blame(ShortCause.UNKNOWN)


def _lost(view: GridView, route: Route, at_unix_ns: int) -> Blame | None:
    """The first thing on the way from the source that has failed: None where it is up, or where nobody knows."""
    if not path_down(view, route):
        return None
    for router_id in route.router_ids:
        router = view.routers.get(router_id)
        if router is not None and not router.heard and _is_cut_off(view, route, router_id):
            return Blame(ShortCause.ROUTER_DOWN, router_id, at_unix_ns)
    for link_id in _links_down(view, route):
        return Blame(ShortCause.LINK_DOWN, link_id, at_unix_ns)
    return Blame(ShortCause.ROUTER_DOWN, route.router_ids[0], at_unix_ns)


def _is_short(view: GridView, reserved: Holdings, link_id: str) -> bool:
    """Whether a line was derated below what is to flow there."""
    if (link := view.links.get(link_id)) is None:
        return False
    both = [link_direction(link_id, end) for end in (link.a, link.b)]
    most_a = link.ampacity_a * (1.0 + LEDGER_TOLERANCE)
    # The second sum takes longer: it has a term for each circuit.
    return sum(map(reserved.total, both)) > most_a < sum(map(reserved.working, both))


def _is_cut_off(view: GridView, route: Route, router_id: str) -> bool:
    """Whether neither neighbour on the way hears it: it is not only its controller session that it has lost."""
    lines = [
        view.links.get(each.link_id)
        for each in route.links
        if router_id in (each.from_router_id, each.to_router_id)
    ]
    return all(each is None or each.state is not LinkState.UP for each in lines)


def _links_down(view: GridView, route: Route) -> Iterator[str]:
    for link in route.links:
        known = view.links.get(link.link_id)
        if known is None or known.state is LinkState.DOWN:
            yield link.link_id


def _curtailment(view: GridView, circuit: Circuit) -> Blame:
    """Who leaves it less, by the decision that it is curtailed by; else a limit that its path is beyond; else who left
    it less until a moment ago, of which its sink tells only now.
    """
    if circuit.curtailed is not None:
        return blame_of(circuit.curtailed)
    newest = circuit.newest()
    for link in newest.route.links if newest is not None else ():
        known = view.links.get(link.link_id)
        if known is not None and link.current_a > known.ampacity_a:
            return Blame(ShortCause.LINK_SHORT, link.link_id)
    return circuit.withheld or Blame(ShortCause.UNKNOWN)
