"""State diagrams (Mermaid) of a circuit and of its generations, from the tables that the code runs on."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from controller.core.circuits.circuit import (
    FIRST_PHASES,
    LAST_PHASES,
    PHASES,
    TRANSITIONS,
    CircuitState,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def circuit_diagram() -> str:
    return _diagram(TRANSITIONS, [CircuitState.REQUESTED], [s for s in CircuitState if s.ended])


def generation_diagram() -> str:
    return _diagram(PHASES, FIRST_PHASES, LAST_PHASES)


def _diagram(table: Mapping[tuple[S, E], S], first: Iterable[S], last: Iterable[S]) -> str:
    """Text of a ``stateDiagram-v2``; events that share an arrow are joined."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), following in table.items():
        arrows.setdefault((state.value, following.value), []).append(event.value)
    lines = ["stateDiagram-v2", *(f"    [*] --> {state.value}" for state in first)]
    lines += [
        f"    {state} --> {following}: {', '.join(sorted(events))}"
        for (state, following), events in sorted(arrows.items())
    ]
    lines += [f"    {state.value} --> [*]" for state in last]
    return "\n".join(lines)


if __name__ == "__main__":
    # `python -m` prints what is to be pasted into the documentation.
    print(circuit_diagram(), generation_diagram(), sep="\n\n")  # noqa: T201
