"""What must hold after every event. Tests ask after each step; nothing in the daemon depends on it."""

from controller.core.admission.admission import LEDGER_TOLERANCE
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.reservations import Reservations, link_direction, load, source
from controller.core.controller import Controller
from controller.core.network.view import GridView


def broken_invariants(core: Controller) -> list[str]:
    """A sentence on each thing that is wrong; none is right."""
    return [
        *_unknown_reservations(core),
        *_wrong_sums(core.reservations),
        *_over_subscriptions(core.view, core.reservations),
        *_active_on_dead_paths(core),
    ]


def _unknown_reservations(core: Controller) -> list[str]:
    known = {
        each.key for circuit in core.book.circuits.values() for each in circuit.generations.values()
    }
    held = set(core.reservations.generations())
    return [f"{key} holds reservations and is unknown" for key in held - known]


def _wrong_sums(reservations: Reservations) -> list[str]:
    return [
        f"{each}: {reservations.total(each)} is not the sum of its circuits, {reservations.recomputed(each)}"
        for each in reservations.resources()
        if abs(reservations.total(each) - reservations.recomputed(each))
        > 1e-9 * (1 + reservations.total(each))
    ]


def _over_subscriptions(view: GridView, reservations: Reservations) -> list[str]:
    limits = [
        (
            link.link_id,
            sum(reservations.total(link_direction(link.link_id, end)) for end in (link.a, link.b)),
            link.ampacity_a,
        )
        for link in view.links.values()
    ]
    limits += [
        (source_id, reservations.total(source(source_id)), each.max_power_w)
        for source_id, (_, each) in view.sources.items()
    ]
    limits += [
        (load_id, reservations.total(load(load_id)), each.max_power_w)
        for load_id, (_, each) in view.loads.items()
    ]
    return [
        f"{name}: {reserved} reserved of {limit}"
        for name, reserved, limit in limits
        if reserved > limit * (1 + LEDGER_TOLERANCE)
    ]


def _active_on_dead_paths(core: Controller) -> list[str]:
    faults = []
    for circuit in core.book.circuits.values():
        if circuit.state is CircuitState.ACTIVE:
            newest = circuit.newest()
            if newest is None or core.path_down(newest.route):
                faults.append(f"circuit {circuit.circuit_id} is active on a path that is not up")
    return faults
