"""State diagrams (Mermaid) from transition tables, so that the documentation shows what the code runs on."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeVar

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


def state_diagram(table: Mapping[tuple[S, E], S], first: Iterable[S], last: Iterable[S]) -> str:
    """Text of a ``stateDiagram-v2``; events that share an arrow are joined."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), following in table.items():
        arrows.setdefault((_word(state), _word(following)), []).append(_word(event))
    lines = ["stateDiagram-v2", *(f"    [*] --> {_word(state)}" for state in first)]
    lines += [
        f"    {state} --> {following}: {', '.join(sorted(events))}"
        for (state, following), events in sorted(arrows.items())
    ]
    lines += [f"    {_word(state)} --> [*]" for state in last]
    return "\n".join(lines)


def _word(member: Enum) -> str:
    return member.value if isinstance(member.value, str) else member.name.lower()
