"""The router's state machines move along their tables only, and the documentation shows them."""

import ast
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import pytest

from digitalgrid.model import FlowState
from router_agent.device.adjacency import ADJACENCY_STATES, AdjacencyState
from router_agent.device.flow_states import FLOW_STATES, PLAYOUTS, Playout
from router_agent.device.selector import SELECTIONS, Role
from router_agent.device.state_diagrams import (
    adjacency_diagram,
    flow_diagram,
    playout_diagram,
    selection_diagram,
)

HOUSE = Path(__file__).parents[3]
# Told beside the state of a generation's power, and no states of it.
NEWS_OF_IDLE_GENERATIONS: set[Enum] = {
    FlowState.SWITCHED,
    FlowState.CHARGED,
    FlowState.DISCHARGED,
}


@pytest.mark.parametrize(
    "diagram", [flow_diagram(), playout_diagram(), adjacency_diagram(), selection_diagram()]
)
def test_the_documentation_shows_the_tables_that_the_code_runs_on(diagram: str) -> None:
    text = (HOUSE / "docs" / "architecture.md").read_text()
    assert f"```mermaid\n{diagram}\n```" in text


def test_only_the_machine_itself_changes_its_state() -> None:
    changed_in = {
        (path.name, target.attr)
        for path in (HOUSE / "router_agent").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        for each in node.targets
        for target in (each.elts if isinstance(each, ast.Tuple) else [each])
        if isinstance(target, ast.Attribute) and target.attr in ("state", "playout", "role")
    }
    assert changed_in == {
        ("flow.py", "state"),
        ("flow.py", "playout"),
        ("adjacency.py", "state"),
        ("selector.py", "role"),
    }


@pytest.mark.parametrize(
    ("table", "first"),
    [
        (FLOW_STATES, FlowState.SILENT),
        (PLAYOUTS, Playout.WAITING),
        (ADJACENCY_STATES, AdjacencyState.NO_CARRIER),
        (SELECTIONS, Role.WORKING),
    ],
)
def test_every_state_can_be_reached(table: Mapping[tuple[Enum, Enum], Enum], first: Enum) -> None:
    reached = {first}
    while more := {to for (at, _), to in table.items() if at in reached} - reached:
        reached |= more
    assert reached | NEWS_OF_IDLE_GENERATIONS >= set(type(first))
    assert not reached & NEWS_OF_IDLE_GENERATIONS


def test_drained_is_for_good() -> None:
    assert not [state for state, _ in FLOW_STATES if state is FlowState.DRAINED]
