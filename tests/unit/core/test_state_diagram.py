import ast
from pathlib import Path

import pytest

from controller.core.circuits.state_diagram import (
    admin_diagram,
    circuit_diagram,
    generation_diagram,
    hold_diagram,
    protection_diagram,
)

HOUSE = Path(__file__).parents[3]
ARCHITECTURE = HOUSE / "docs" / "architecture.md"


@pytest.mark.parametrize(
    "diagram",
    [
        circuit_diagram(),
        hold_diagram(),
        protection_diagram(),
        generation_diagram(),
        admin_diagram(),
    ],
)
def test_the_documentation_shows_the_tables_that_the_code_runs_on(diagram: str) -> None:
    assert f"```mermaid\n{diagram}\n```" in ARCHITECTURE.read_text()


def test_only_the_file_with_its_table_changes_a_state_a_phase_or_a_role() -> None:
    changed_in = {
        (target.attr, path.name)
        for path in (HOUSE / "controller" / "core").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr in ("state", "phase", "role", "word")
    }
    assert changed_in == {
        ("state", "circuit.py"),
        ("phase", "generation.py"),
        ("role", "generation.py"),
        ("word", "protection.py"),
    }
