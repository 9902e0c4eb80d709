"""What must hold after every event. Tests ask after each step; nothing in the daemon depends on it."""

from controller.core.admission.route_finder import LEDGER_TOLERANCE
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.curtailed import by_source
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.path_state import path_down
from controller.core.circuits.protection import Protection
from controller.core.network.admin import AdminState
from controller.core.network.view import limited_converters
from controller.core.questions import Questions


def broken_invariants(questions: Questions) -> list[str]:
    """A sentence on each thing that is wrong; none is right."""
    return [
        *_unknown_reservations(questions),
        *_wrong_sums(questions),
        *_over_subscriptions(questions),
        *_active_on_dead_paths(questions),
        *_protected_by_nothing(questions),
        *_held_where_drained(questions),
    ]


def _unknown_reservations(questions: Questions) -> list[str]:
    known = {
        each.key for circuit in questions.circuits.values() for each in circuit.generations.values()
    }
    held = set(questions.generations())
    return [f"{key} holds reservations and is unknown" for key in held - known]


def _wrong_sums(questions: Questions) -> list[str]:
    return [
        f"{each}: {total} is not the sum of its circuits, {questions.recomputed(each)}"
        for each, total in questions.reserved().items()
        if abs(total - questions.recomputed(each)) > 1e-9 * (1 + total)
    ]


def _over_subscriptions(questions: Questions) -> list[str]:
    view = questions.view
    limits = [
        (
            link.link_id,
            sum(questions.reserved_on_link_a(link.link_id, end) for end in (link.a, link.b)),
            link.ampacity_a,
        )
        for link in view.links.values()
    ]
    # A source that gives less than before is shared by its router; whom that leaves short must be seen.
    curtailing = {
        each.curtailed.by for each in questions.circuits.values() if each.curtailed is not None
    }
    limits += [
        (source_id, questions.reserved_at_source_w(source_id), each.max_power_w)
        for source_id, (_, each) in view.sources.items()
        if by_source(source_id) not in curtailing
    ]
    limits += [
        (load_id, questions.reserved_at_load_w(load_id), each.max_power_w)
        for load_id, (_, each) in view.loads.items()
    ]
    limits += [
        (router_id, questions.reserved_through_w(router_id), most_w)
        for router_id, most_w in limited_converters(view).items()
    ]
    return [
        f"{name}: {reserved} reserved of {limit}"
        for name, reserved, limit in limits
        if reserved > limit * (1 + LEDGER_TOLERANCE)
    ]


def _protected_by_nothing(questions: Questions) -> list[str]:
    faults = []
    for circuit in questions.circuits.values():
        standby, working, guard = circuit.standby(), circuit.carrying(), circuit.guard
        if guard.word is not Protection.PROTECTED:
            continue
        if standby is None or working is None or guard.against is None:
            faults.append(f"circuit {circuit.circuit_id} is protected without both paths")
            continue
        down = [each for each in (working, standby) if path_down(questions.view, each.route)]
        shared = in_common(questions.view, working.route, standby.route, guard.against)
        if down or shared or not standby.charged:
            faults.append(
                f"circuit {circuit.circuit_id} is protected with {len(down)} paths down, sharing {shared}"
            )
    return faults


def _active_on_dead_paths(questions: Questions) -> list[str]:
    faults = []
    for circuit in questions.circuits.values():
        if circuit.state is CircuitState.ACTIVE:
            newest = circuit.newest()
            if newest is None or path_down(questions.view, newest.route):
                faults.append(f"circuit {circuit.circuit_id} is active on a path that is not up")
    return faults


def _held_where_drained(questions: Questions) -> list[str]:
    drained = {id_ for id_, word in questions.drains.items() if word.state is AdminState.DRAINED}
    if not drained:
        return []
    return [
        f"{key} is reserved at {' and '.join(sorted(found))}, which is drained"
        for circuit in questions.circuits.values()
        for generation in circuit.generations.values()
        for key in [generation.key]
        if (
            found := drained.intersection(questions.routers_holding(key))
            | {
                link.link_id
                for link in generation.route.links
                if link.link_id in drained
                and {link.from_router_id, link.to_router_id} & {*questions.routers_holding(key)}
            }
        )
    ]
