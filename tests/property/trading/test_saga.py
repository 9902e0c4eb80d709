"""Trades through crashes, lost requests and lost answers: each ends once, and money and capacity come out even."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.cases import cases
from tests.support.market_world import World
from trading.core import asking
from trading.core.saga import TRANSITIONS, Word
from trading.core.trades import Close, Effect, Release, State, Times, Trade, decoded

SEEDS = cases("HISTORIES", 60)


def history(seed: int) -> World:
    world = World(seed)
    for _ in range(int(world.rng.integers(20, 400))):
        world.step()
    world.finish()
    return world


def test_every_trade_ends_once_and_leaves_no_circuit_no_escrow_and_no_nano_behind(
    record_property: Callable[[str, object], None],
) -> None:
    ends: Counter[State] = Counter()
    crashes = moves = refunds = locks = 0
    for seed in SEEDS:
        world = history(seed)
        crashes += world.crashes
        # Of each it was looked, when it was locked, whether its circuit is held.
        locks += sum(key.endswith("/lock") for key in world.ledger.written)
        book = world.ledger.book
        assert book.total == world.total, seed
        assert not any(book.has_escrow(name) for name in world.journal), seed
        # Holds that came late have ended by themselves.
        assert {each.state for each in world.controller.circuits.values()} <= {"gone"}, seed
        for name, record in world.journal.items():
            trade = decoded(record)
            assert trade.state.ended, (seed, name, trade.state)
            states = world.history[name]
            assert sum(state.ended for state in states) == 1
            moves += len(states)
            steps = {(before, after) for (before, _), after in TRANSITIONS.items()}
            # What came at once is one step of the journal.
            assert all(
                steps & {(before, each) for each in (after, State.UNWINDING, State.SETTLING)}
                for before, after in pairwise(states)
            )
            # What has no bill was not paid, and no trade says so of one that was refunded.
            if trade.is_refunded:
                was_paid = f"{name}/part" in world.ledger.written
                assert trade.state is (State.PARTIAL if was_paid else State.UNDELIVERED)
            assert trade.is_refunded == (name in world.ledger.refunded and trade.ends_in is None)
            refunds += trade.is_refunded
            gave_back = trade.state in (State.REJECTED, State.EXPIRED, State.CANCELLED)
            assert world.positions[name] == (0 if gave_back else 1), (seed, name)
            ends[trade.state] += 1
    assert crashes > len(SEEDS) and moves > 5 * len(SEEDS) and locks > len(SEEDS)
    for name, count in (("trades", ends.total()), ("locks", locks), ("crashes", crashes)):
        record_property(name, count)
    if len(SEEDS) >= 50:
        assert set(ends) == {state for state in State if state.ended}
        assert refunds


def money_first(trade: Trade, times: Times) -> list[Effect]:
    return asking._ask_lock(trade, times) + asking._ask_hold(trade, times)


def no_money_back(trade: Trade, times: Times) -> list[Effect]:
    return [Release(trade.request_id)]


def no_circuit_back(trade: Trade, times: Times) -> list[Effect]:
    return [effect for effect in asking._ask_close(trade, times) if isinstance(effect, Close)]


@pytest.mark.parametrize(
    ("state", "asks"),
    [
        (State.HOLDING, money_first),
        (State.UNWINDING, no_money_back),
        (State.METERING, asking._ask_close),
        (State.SETTLING, no_circuit_back),
    ],
)
def test_a_saga_with_a_step_in_the_wrong_order_is_found_out(
    state: State, asks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(asking._ASKS, state, asks)
    monkeypatch.setattr(World, "finish", finish_soon)
    with pytest.raises((AssertionError, KeyError)):
        for seed in range(80):
            world = history(seed)
            assert all(states[-1].ended for states in world.history.values())
            assert {each.state for each in world.controller.circuits.values()} <= {"gone"}


@pytest.mark.parametrize("word", [Word.TOO_LATE, Word.CALLED_OFF, Word.LOST])
@pytest.mark.parametrize("state", [State.HELD, State.FUNDED])
def test_a_saga_that_undoes_what_is_signed_for_is_found_out(
    state: State, word: Word, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSITIONS, (state, word), State.UNWINDING)
    with pytest.raises(AssertionError, match="signed"):
        for seed in range(200):
            history(seed)


def finish_soon(world: World) -> None:
    world.lost = 0.0
    for _ in range(400):
        world.step(may_begin=False)
        world._serve_all()
    world.pass_time(10**12)
