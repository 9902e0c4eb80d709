"""Reasons of refusals: one meaning each, all in use, and as documented."""

import re
from pathlib import Path

from digitalgrid.reasons import Reason, reasons_table

ROOT = Path(__file__).resolve().parents[3]


def test_the_documented_table_of_refusals_is_the_one_that_the_code_runs_on() -> None:
    assert reasons_table(Reason) in (ROOT / "docs" / "refusals.md").read_text()


def test_each_reason_is_spelt_as_it_is_named_and_says_what_it_means_and_what_to_do() -> None:
    for reason in Reason:
        assert reason == reason.name == str(reason)
        assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason)
        assert reason.meaning and reason.remedy
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_the_controller_gives_each_reason_somewhere_and_by_its_member_only() -> None:
    sources = [path.read_text() for path in (ROOT / "controller").rglob("*.py")]
    given = {name for text in sources for name in re.findall(r"\bReason\.([A-Z]\w+)", text)}
    assert given == set(Reason.__members__)
    for text in sources:
        assert not [name for name in Reason if f'"{name}"' in text]
