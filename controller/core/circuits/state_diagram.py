"""The life cycle of a circuit as a Mermaid diagram, from the table that the code runs on."""

from controller.core.circuits.circuit import TRANSITIONS, CircuitState


def state_diagram() -> str:
    """Text of a Mermaid ``stateDiagram-v2``; events that share an arrow are joined."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), following in TRANSITIONS.items():
        arrows.setdefault((state.value, following.value), []).append(event.value)
    lines = ["stateDiagram-v2", f"    [*] --> {CircuitState.REQUESTED.value}"]
    lines += [
        f"    {state} --> {following}: {', '.join(sorted(events))}"
        for (state, following), events in sorted(arrows.items())
    ]
    lines += [f"    {state.value} --> [*]" for state in CircuitState if state.ended]
    return "\n".join(lines)


if __name__ == "__main__":
    print(state_diagram())  # noqa: T201 - `python -m` pastes it into the documentation
