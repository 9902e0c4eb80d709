"""Whether a circuit is protected just now, by what its sink and the grid view say, whoever asks: leader or replica."""

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.generation import Generation, Phase
from controller.core.circuits.path_state import path_down
from controller.core.circuits.protection import Protection, ProtectionEvent
from controller.core.circuits.reservations import Reservations
from controller.core.network.view import GridView

SEARCHING = "a way for a standby is looked for"
# Generations of a circuit that a router holds beside a standby that is being set up.
_MOST_BESIDE = 2


def ready_standby(view: GridView, circuit: Circuit) -> Generation | None:
    """The standby that its sink can select: on every hop, as far as is known, and its path is up."""
    ready = [each for each in circuit.standbys() if _is_there(each)]
    up = [each for each in ready if not path_down(view, each.route)]
    return max(up, key=lambda each: (each.charged, each.key.generation), default=None)


def _is_there(standby: Generation) -> bool:
    # One from the store was committed, or is programmed again where its routers lack it.
    return standby.phase is Phase.COMMITTED or (
        standby.restored and standby.phase is Phase.COMMITTING
    )


def show_protection(view: GridView, circuit: Circuit) -> bool:
    """Let the word follow what is known of the standby; whether that changes anything."""
    guard = circuit.guard
    if guard.word not in (Protection.PENDING, Protection.PROTECTED):
        return False
    reason = _lacking(view, circuit)
    if guard.word is Protection.PENDING:
        return guard.explain(reason) if reason else guard.apply_if_possible(ProtectionEvent.CHARGED)
    return bool(reason) and guard.apply_if_possible(ProtectionEvent.STANDBY_LOST, reason)


def _lacking(view: GridView, circuit: Circuit) -> str:
    """Why a circuit that is to be protected is not; empty where it is."""
    working, standby = circuit.carrying() or circuit.newest(), circuit.standby()
    if working is None:
        return "the circuit itself waits for a path"
    if path_down(view, working.route):
        return "its own path is down"
    if circuit.carrying() is None:
        return "power must arrive first"
    if standby is None:
        return circuit.guard.reason or SEARCHING
    if path_down(view, standby.route):
        return "the path of its standby is down"
    shared = (
        in_common(view, working.route, standby.route, circuit.guard.against)
        if circuit.guard.against
        else []
    )
    if shared:
        return f"its standby needs {', '.join(shared)} too"
    if standby.charged:
        return ""
    if standby.phase is not Phase.COMMITTED:
        return "its standby is being set up"
    if not standby.route.trickle_w:
        return "its standby has no room to fill its buffers"
    return "its standby fills its buffers"


def fits_beside(reservations: Reservations, circuit: Circuit, standby: Generation) -> bool:
    """Whether its routers can hold a standby beside all that they hold of its circuit, what drains there too."""
    others = [each for each in circuit.generations.values() if each is not standby]
    holding = [reservations.routers_holding(each.key) for each in others]
    return all(
        sum(router_id in each for each in holding) <= _MOST_BESIDE
        for router_id in standby.route.router_ids
    )
