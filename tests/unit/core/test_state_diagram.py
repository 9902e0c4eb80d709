from pathlib import Path

from controller.core.circuits.state_diagram import state_diagram

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_documentation_shows_the_table_that_the_code_runs_on() -> None:
    assert f"```mermaid\n{state_diagram()}\n```" in ARCHITECTURE.read_text()
