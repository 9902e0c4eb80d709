"""What must hold after every event. Tests ask after each step; nothing in the daemon depends on it."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial

from controller.core.admission.route_finder import LEDGER_TOLERANCE
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.curtailed import by_source
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.failures import Failure, covered
from controller.core.circuits.path_state import path_down
from controller.core.circuits.protection import Protection
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkView
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
        *_covered_by_less(questions),
        *_pools_too_small(questions),
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


def _covered_by_less(questions: Questions) -> list[str]:
    """Shared standbys must have room under whatever stops the path that they protect, and not theirs."""
    faults = []
    links = questions.view.links
    for circuit in questions.circuits.values():
        standby, working = circuit.standby(), circuit.carrying()
        if circuit.guard.word is not Protection.PROTECTED or standby is None or working is None:
            continue
        if standby.covers is not None:
            groups = partial(_risk_groups_of, links)
            left_out = covered(working.route, standby.route, groups) - standby.covers
            faults += [
                f"circuit {circuit.circuit_id} has no room under {each}" for each in left_out
            ]
    return faults


def _risk_groups_of(links: Mapping[str, LinkView], link_id: str) -> Collection[str]:
    return links[link_id].risk_groups if link_id in links else ()


def _pools_too_small(questions: Questions) -> list[str]:
    """Of each direction of a line what standbys take together under any single failure, one of each circuit."""
    taken: defaultdict[tuple[str, str], defaultdict[Failure, dict[int, float]]]
    taken = defaultdict(lambda: defaultdict(dict))
    for circuit in questions.circuits.values():
        for standby in circuit.generations.values():
            holding = questions.routers_holding(standby.key) if standby.covers else ()
            for link in standby.route.links:
                if link.from_router_id not in holding:
                    continue
                for each in standby.covers or ():
                    of = taken[link.link_id, link.from_router_id][each]
                    of[circuit.circuit_id] = max(of.get(circuit.circuit_id, 0.0), link.current_a)
    return [
        f"{link_id}: the pool from {end} has {pool_a} A, and {failure} asks for {sum(of.values())}"
        for (link_id, end), under in taken.items()
        for pool_a in [questions.pool_on_link_a(link_id, end)]
        for failure, of in under.items()
        if sum(of.values()) > pool_a * (1 + LEDGER_TOLERANCE)
    ]


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
