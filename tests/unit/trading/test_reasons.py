"""Reasons of markets: one meaning each, all in use, and as documented."""

import re
from pathlib import Path

from digitalgrid.reasons import Reason, reasons_table
from trading.core.orders import Tender
from trading.ledger.refusals import LedgerReason
from trading.reasons import MarketReason

ROOT = Path(__file__).resolve().parents[3]


def test_the_documented_table_is_the_one_that_the_code_runs_on() -> None:
    documented = (ROOT / "docs" / "trading.md").read_text()
    assert reasons_table(MarketReason) in documented
    assert reasons_table(LedgerReason) in documented


def test_each_reason_is_spelt_as_it_is_named_and_says_what_it_means_and_what_to_do() -> None:
    reasons = (*MarketReason, *LedgerReason)
    for reason in reasons:
        assert reason == reason.name == str(reason)
        assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason)
        assert reason.meaning and reason.remedy
        assert reason.field.partition(".")[0] in ("", *Tender.__struct_fields__)
    assert len({reason.meaning for reason in reasons}) == len(reasons)
    assert len(set(reasons)) == len(reasons)


def test_where_the_controller_has_a_reason_of_the_same_name_it_has_the_same_status() -> None:
    for name in MarketReason.__members__.keys() & Reason.__members__.keys():
        assert MarketReason[name].code is Reason[name].code


def test_each_reason_is_given_somewhere_and_by_its_member_only() -> None:
    sources = [path.read_text() for path in (ROOT / "trading").rglob("*.py")]
    given = {name for text in sources for name in re.findall(r"\bMarketReason\.([A-Z]\w+)", text)}
    assert given == set(MarketReason.__members__)
    given = {name for text in sources for name in re.findall(r"\bLedgerReason\.([A-Z]\w+)", text)}
    assert given == set(LedgerReason.__members__)
    assert not [
        name
        for path in (ROOT / "trading").rglob("*.py")
        if path.name != "reasons.py"
        for name in MarketReason
        if f'"{name}"' in path.read_text()
    ]
