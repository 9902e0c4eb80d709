"""What failed once fails again: random cases depend on nothing but their test."""

import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_cases import KEPT, without_figures_of_ours


def drawn() -> list[str]:
    seen: list[str] = []

    @settings(settings.get_profile(KEPT), max_examples=100)
    @given(st.tuples(st.floats(), st.integers(), st.text()))
    def look(figures: tuple[float, int, str]) -> None:
        seen.append(repr(figures))

    look()
    return seen


def test_cases_are_the_same_whatever_else_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with without_figures_of_ours():
        before = drawn()
        figures = [f"{number}.25, {number}, '{number}'" for number in range(1000, 1300)]
        (tmp_path / "more_figures.py").write_text(f"FIGURES = [{', '.join(figures)}]\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.import_module("more_figures")
        assert drawn() == before
