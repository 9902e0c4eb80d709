"""What clears intervals in a worker: an answer that is wrong, or a mechanism that fails, costs its interval only."""

from collections.abc import Sequence

import msgspec
import pytest

from tests.support.markets import INTERVAL, book
from trading.core.orders import Order
from trading.core.units import MicroPerKwh
from trading.exchange import clearer
from trading.market.outcome import Clear
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.call import CallAuction
from trading.mechanisms.choices import Choices
from trading.mechanisms.continuous import ContinuousAuction
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import MarketNetwork, no_network
from trading.reasons import MarketReason

ASKED = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)], [(1, 5)])), frozenset(), 7)


def test_a_right_answer_has_no_fault() -> None:
    cleared = clearer._cleared(ASKED, no_network())
    assert [each.wh for each in cleared.clearing.matches] == [5]
    assert cleared.faults == () and cleared.took_ns > 0


def test_a_price_that_orders_leave_open_is_the_one_nearest_to_the_markets_reference() -> None:
    for mechanism in ("call", "call-pro-rata"):
        asked = msgspec.structs.replace(ASKED, mechanism=mechanism)
        for reference, price in ((None, 5), (2, 2), (20, 9), (-20, 1)):
            choices = Choices(None if reference is None else MicroPerKwh(reference))
            cleared = clearer._cleared(
                msgspec.structs.replace(asked, choices=choices), no_network()
            )
            assert [each.price for each in cleared.clearing.prices] == [price]
            assert cleared.faults == ()


def test_where_two_orders_of_a_party_meet_the_one_that_the_market_says_ends() -> None:
    bid, ask, other = [
        msgspec.structs.replace(order, party=party)
        for order, party in zip(
            book([(9, 5)], [(3, 5), (4, 5)]), ("ann", "ann", "bob"), strict=True
        )
    ]
    asked = Clear(INTERVAL, "continuous", 0, (bid, ask, other), frozenset(), 7)
    matched = {}
    for mode in SelfTrade:
        choosing = msgspec.structs.replace(asked, choices=Choices(self_trade=mode))
        matches = clearer._cleared(choosing, no_network()).clearing.matches
        matched[mode] = [(each.buy_seq, each.sell_seq) for each in matches]
    assert matched == {
        SelfTrade.CANCEL_NEWEST: [(bid.seq, other.seq)],
        SelfTrade.CANCEL_OLDEST: [],
        SelfTrade.CANCEL_BOTH: [],
    }


class Steady(CallAuction):
    """A plug-in that is made of a built-in one: it has a price of its own to choose by, and says who it is."""

    def __init__(self) -> None:
        super().__init__(reference=MicroPerKwh(7))

    def load(self) -> "Steady":
        return self

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        return msgspec.structs.replace(super().clear(orders, network, seed), seed=77)


class Waiting(ContinuousAuction):
    def load(self) -> "Waiting":
        return self

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        return msgspec.structs.replace(super().clear(orders, network, seed), seed=77)


def test_a_plug_in_that_is_made_of_a_built_in_one_clears_itself_with_what_the_market_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prices, plug_in = [], Steady()
    monkeypatch.setattr(clearer, "find", lambda *_: plug_in)
    # The last one has nothing of the markets before it.
    for reference in (None, 2, None):
        choices = Choices(None if reference is None else MicroPerKwh(reference))
        asked = msgspec.structs.replace(ASKED, choices=choices)
        clearing = clearer._cleared(asked, no_network()).clearing
        assert clearing.seed == 77
        prices += [each.price for each in clearing.prices]
    assert prices == [7, 2, 7]
    monkeypatch.setattr(clearer, "find", lambda *_: Waiting())
    assert clearer._cleared(ASKED, no_network()).clearing.seed == 77


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
