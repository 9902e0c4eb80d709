import io

import pytest

from digitalgrid.columns import Columns, Line, Styled, parts_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def table() -> Columns:
    columns = Columns(">id", "state", "path", title="circuits")
    columns.add_row("7", Styled("ACTIVE", "green"), "r1 > r2 > r3")
    columns.add_row("12", "FAILED", "")
    return columns


def test_columns_are_as_wide_as_what_stands_in_them_and_figures_stand_right() -> None:
    assert list(table().lines(None, colours=False)) == [
        "circuits",
        "id  state   path",
        " 7  ACTIVE  r1 > r2 > r3",
        "12  FAILED",
    ]


def test_on_a_narrow_terminal_words_are_folded_within_their_column() -> None:
    assert list(table().lines(20, colours=False)) == [
        "circuits",
        "id  state   path",
        " 7  ACTIVE  r1 > r2",
        "            > r3",
        "12  FAILED",
    ]


def test_where_nothing_fits_lines_are_long_rather_than_lost() -> None:
    shown = "\n".join(table().lines(3, colours=False))
    assert "ACTIVE" in shown
    assert shown.count("r3") == 1


def test_wide_and_combining_characters_take_the_room_that_they_take() -> None:
    columns = Columns("name", "x")
    columns.add_row("変電所", "1")
    columns.add_row("e\u0301", "2")
    lines = list(columns.lines(None, colours=False))
    assert lines == ["name    x", "変電所  1", "e\u0301       2"]


def test_what_others_have_named_is_escaped_and_cannot_break_a_line() -> None:
    columns = Columns("name")
    columns.add_row("evil\x1b]0;x\x07\n\u202e")
    columns.add_row(Styled("\x9b2J", "red"))
    shown = parts_text([columns, "\x1b[2J", Line(("a", Styled("\r", "dim")))], io.StringIO())
    assert shown.split("\n") == [
        "name",
        r"evil\x1b]0;x\x07\n\u202e",
        r"\x9b2J",
        r"\x1b[2J",
        r"a\r",
        "",
    ]


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mACTIVE\x1b[0m" in parts_text([table()], Terminal())
    assert "\x1b" not in parts_text([table()], io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in parts_text([table()], Terminal())


def test_an_empty_table_has_its_names() -> None:
    assert list(Columns("a", "b").lines(80, colours=False)) == ["a  b"]
