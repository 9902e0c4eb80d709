"""What clears intervals in a worker: an answer that is wrong, or a mechanism that fails, costs its interval only."""

import pytest

from tests.support.markets import INTERVAL, book
from trading.exchange import clearer
from trading.market.outcome import Clear
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import no_network
from trading.reasons import MarketReason

ASKED = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)], [(1, 5)])), frozenset(), 7)


def test_a_right_answer_has_no_fault() -> None:
    cleared = clearer._cleared(ASKED, no_network())
    assert [each.wh for each in cleared.clearing.matches] == [5]
    assert cleared.faults == () and cleared.took_ns > 0


class Broken:
    """A mechanism, as a plug-in may be."""

    def __init__(self, answer: Clearing | None) -> None:
        self.answer = answer

    def load(self) -> "Broken":
        return self

    def clear(self, *_: object) -> Clearing | None:
        if self.answer is None:
            raise ZeroDivisionError("a mistake in a mechanism")
        return self.answer


def test_a_mechanism_that_fails_clears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearer, "find", lambda *_: Broken(None))
    cleared = clearer._cleared(ASKED, no_network())
    assert cleared.faults == ("mechanism call failed: ZeroDivisionError: a mistake in a mechanism",)
    assert not cleared.clearing.matches
    assert {each.reason for each in cleared.clearing.unmatched} == {MarketReason.NOT_SOLVED}


def test_an_answer_that_makes_no_sense_is_told_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clearer, "find", lambda *_: Broken(Clearing((), (), ())))
    assert any("is told of 0" in each for each in clearer._cleared(ASKED, no_network()).faults)
    monkeypatch.setattr(clearer, "find", lambda *_: Broken("nonsense"))  # type: ignore[arg-type]
    (fault,) = clearer._cleared(ASKED, no_network()).faults
    assert "failed: AttributeError" in fault


def test_no_more_faults_are_kept_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearer, "find", lambda *_: Broken(Clearing((), (), ())))
    many = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)] * 500, [])), frozenset(), 7)
    assert len(clearer._cleared(many, no_network()).faults) == 16
