"""Final registers in a file that grows for years: a page costs what is looked at for it, however many there are."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.circuits.records import RegisterRecord
from controller.store.protocol import RegisterPage, RegisterQuestion
from controller.store.sqlite import rows
from controller.store.sqlite.rows import registers_page
from controller.store.sqlite.schema import Meta, create, write_registers
from tests.support.records import register_record

PATH = Path("store.sqlite")
CIRCUITS, SEARCHED = 5000, 100
KNOWN = [register_record(circuit_id, 1) for circuit_id in range(1, CIRCUITS + 1)]
# Of SQLite's virtual machine, for each row that is looked at; each such page is of two or three queries.
_STEPS_A_ROW = 60


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.setattr(rows, "REGISTERS_SEARCHED", SEARCHED)
    with closing(sqlite3.connect(":memory:")) as connection:
        create(connection, Meta(1))
        write_registers(connection, KNOWN)
        yield connection


def page(file: sqlite3.Connection, asked: RegisterQuestion) -> RegisterPage:
    """With no more steps than for the rows that are looked at."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    file.set_progress_handler(step, 1)
    found = registers_page(PATH, file, asked)
    file.set_progress_handler(None, 1)
    assert steps < _STEPS_A_ROW * SEARCHED
    return found


def test_a_time_in_which_nothing_ended_is_answered_at_once(file: sqlite3.Connection) -> None:
    assert page(file, RegisterQuestion(9, until_unix_ns=1)) == RegisterPage(())
    assert page(file, RegisterQuestion(9, since_unix_ns=2**62)) == RegisterPage(())


def test_a_short_time_is_found_by_its_end_wherever_it_is(file: sqlite3.Connection) -> None:
    for first in (0, CIRCUITS // 2, CIRCUITS - SEARCHED // 2):
        few = KNOWN[first : first + SEARCHED // 2]
        asked = RegisterQuestion(
            SEARCHED, since_unix_ns=few[0].ended_unix_ns, until_unix_ns=few[-1].ended_unix_ns + 1
        )
        assert page(file, asked) == RegisterPage(tuple(few))
        assert page(file, replace(asked, most=9)) == RegisterPage(tuple(few[:9]), few[8].key)
        assert page(file, replace(asked, after=few[8].key)) == RegisterPage(tuple(few[9:]))


@pytest.mark.parametrize("request_id", ["", "request-4000", "nobody's"])
def test_a_long_time_is_looked_for_in_parts_of_which_each_costs_no_more(
    file: sqlite3.Connection, request_id: str
) -> None:
    since = KNOWN[3000].ended_unix_ns
    asked = RegisterQuestion(70, request_id=request_id, since_unix_ns=since)
    found: list[RegisterRecord] = []
    answer = page(file, asked)
    while answer.searched_to is not None:
        assert answer.searched_to > asked.after
        found += answer.records
        asked = replace(asked, after=answer.searched_to)
        answer = page(file, asked)
    found += answer.records
    assert found == [each for each in KNOWN if asked.wants(each)]
