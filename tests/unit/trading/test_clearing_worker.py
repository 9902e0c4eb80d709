"""The worker that clears: what a mechanism answers, judged by who knows none; and what becomes of one that dies."""

import asyncio
import os
import signal

import pytest

from tests.support.markets import INTERVAL, book
from trading.exchange import clearer
from trading.exchange.clearer import WorkerClearer
from trading.exchange.ports import Unreachable
from trading.market.outcome import Clear
from trading.mechanisms.network import no_network

ASKED = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)], [(3, 5)])), frozenset(), 7)


def test_a_mechanism_that_dawdles_matches_nobody_and_the_market_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clearer, "_WARM_UP_S", 0.01)

    async def story() -> None:
        worker = WorkerClearer()
        late = await worker.clear(ASKED, no_network())
        assert late.faults == ("no answer within 0.01 s",)
        assert late.clearing.matches == () and len(late.clearing.unmatched) == 2
        assert worker._pool is None

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
