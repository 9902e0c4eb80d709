"""The worker that clears: what a mechanism answers, judged by who knows none; and what becomes of one that dies."""

import asyncio
import os
import signal

import pytest

from tests.support.markets import INTERVAL, book
from tests.support.patience import PATIENCE_S
from trading.exchange import clearer
from trading.exchange.clearer import WorkerClearer
from trading.exchange.ports import Unreachable
from trading.market.outcome import Clear
from trading.mechanisms.network import no_network

ASKED = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)], [(3, 5)])), frozenset(), 7)


def test_a_mechanism_that_dawdles_matches_nobody_and_costs_nobody_elses_clearing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three are under way at once; the first takes too long, and its worker ends with it."""
    monkeypatch.setattr(clearer, "_MOST_S", 0.0)
    monkeypatch.setattr(clearer, "_warm_up", os.getpid)

    async def story() -> None:
        workers = WorkerClearer()
        try:
            first, *others = [
                asyncio.ensure_future(workers.clear(ASKED, no_network())) for _ in range(3)
            ]
            late = await first
            monkeypatch.setattr(clearer, "_MOST_S", PATIENCE_S)
            assert late.faults == ("no answer within 0 s",)
            assert late.clearing.matches == () and len(late.clearing.unmatched) == 2
            for cleared in await asyncio.gather(*others):
                assert [match.wh for match in cleared.clearing.matches] == [5]
        finally:
            workers.close()

    asyncio.run(story())


def test_each_new_worker_is_warmed_up_before_it_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def answer(
        workers: WorkerClearer, most_s: float, work: object, *arguments: object
    ) -> object:
        asked.append(work)
        return clearer._cleared(ASKED, no_network())

    monkeypatch.setattr(WorkerClearer, "_answer", answer)

    async def story() -> None:
        workers = WorkerClearer()
        workers._started()
        for _ in range(2):
            await workers.clear(ASKED, no_network())
        workers.close()
        await workers.clear(ASKED, no_network())
        workers.close()

    asyncio.run(story())
    one, other = clearer._warm_up, clearer._cleared
    assert asked == [one, other, other, one, other]


def test_a_worker_that_does_not_become_ready_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearer, "_WARM_UP_S", 0.0)

    async def story() -> None:
        workers = WorkerClearer()
        with pytest.raises(Unreachable, match="does not become ready"):
            await workers.clear(ASKED, no_network())
        assert workers._pool is None

    asyncio.run(story())


def test_the_warm_up_clears_by_every_mechanism() -> None:
    clearer._warm_up()


def test_a_clearing_comes_judged_from_a_process_that_is_begun_anew_where_it_was_killed() -> None:
    async def story() -> None:
        workers = WorkerClearer()
        try:
            first = await workers.clear(ASKED, no_network())
            assert [match.wh for match in first.clearing.matches] == [5]
            assert first.faults == () and first.took_ns > 0
            assert workers._pool is not None
            (worker,) = workers._pool._processes
            assert worker != os.getpid()
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(Unreachable):
                # The pool may notice only with what it is asked next.
                for _ in range(1000):
                    await workers.clear(ASKED, no_network())
            again = await workers.clear(ASKED, no_network())
            assert again.clearing == first.clearing
        finally:
            workers.close()

    asyncio.run(story())
