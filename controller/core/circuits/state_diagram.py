"""State diagrams of circuits, their generations, and links and routers, from the tables that the code runs on."""

from controller.core.circuits.circuit import TRANSITIONS, CircuitState
from controller.core.circuits.generation import FIRST_PHASES, LAST_PHASES, PHASES
from controller.core.circuits.hold import HOLDS, HoldWord
from controller.core.circuits.protection import PROTECTIONS, Protection
from controller.core.network.admin import ADMIN_TRANSITIONS, AdminState
from digitalgrid.state_diagram import state_diagram


def circuit_diagram() -> str:
    return state_diagram(
        TRANSITIONS, [CircuitState.REQUESTED], [s for s in CircuitState if s.ended]
    )


def protection_diagram() -> str:
    return state_diagram(PROTECTIONS, [Protection.NONE], [])


def hold_diagram() -> str:
    return state_diagram(HOLDS, [HoldWord.HELD], [HoldWord.ACTIVATED, HoldWord.EXPIRED])


def generation_diagram() -> str:
    return state_diagram(PHASES, FIRST_PHASES, LAST_PHASES)


def admin_diagram() -> str:
    return state_diagram(ADMIN_TRANSITIONS, [AdminState.IN_SERVICE], [])


if __name__ == "__main__":
    # `python -m` prints what is to be pasted into the documentation.
    diagrams = (
        circuit_diagram(),
        hold_diagram(),
        protection_diagram(),
        generation_diagram(),
        admin_diagram(),
    )
    print(*diagrams, sep="\n\n")  # noqa: T201
