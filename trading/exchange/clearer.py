"""Clearings in a process of their own: a loop that is asked for tenders does not stand still for an auction."""

import asyncio
import logging
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from digitalgrid.plugins.table import find
from digitalgrid.processes import die_with_parent
from trading.exchange.ports import Unreachable
from trading.market.outcome import Clear, Cleared
from trading.mechanisms.mechanism import Clearing, Mechanism, Unmatched
from trading.mechanisms.network import MarketNetwork, no_network
from trading.mechanisms.verify import verify
from trading.plugins import MECHANISMS
from trading.reasons import MarketReason

_log = logging.getLogger(__name__)

# For one clearing (s): a thousand routers and five thousand orders take a fraction of one, and an interval waits.
_MOST_S = 20.0
# For the first, which loads mechanisms and their kernels, or compiles them (s).
_WARM_UP_S = 600.0
# Sentences that are kept of what is wrong with an answer: one is enough not to believe it.
_MOST_FAULTS = 16
# Whoever tenders comes first, on a machine of few cores too.
_NICENESS = 5


class WorkerClearer:
    """One worker, that is started with the first clearing, and anew after one that died or took too long."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._is_warm = False

    async def warm_up(self) -> None:
        """Load mechanisms and kernels before the first gate closes."""
        pool = self._started()
        await asyncio.get_running_loop().run_in_executor(pool, _warm_up)
        self._is_warm = True

    async def clear(self, asked: Clear, network: MarketNetwork) -> Cleared:
        pool = self._started()
        answer = asyncio.get_running_loop().run_in_executor(pool, _cleared, asked, network)
        try:
            return await asyncio.wait_for(answer, _MOST_S if self._is_warm else _WARM_UP_S)
        except (BrokenProcessPool, TimeoutError) as error:
            self.close()
            _log.error("the worker that clears has ended, or takes too long: %r", error)
            raise Unreachable("the worker that clears has given no answer") from error

    def close(self) -> None:
        if self._pool is None:
            return
        for process in self._pool._processes.values():
            process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self._is_warm = None, False

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), _begin, (os.getpid(),)
            )
        return self._pool


def _begin(parent: int) -> None:
    os.nice(_NICENESS)
    die_with_parent(parent)


def _warm_up() -> None:
    for name in MECHANISMS.built_in:
        find(MECHANISMS, name).load().clear((), no_network(), 0)


def _cleared(asked: Clear, network: MarketNetwork) -> Cleared:
    """In the worker. What is wrong with an answer is found here too, by who knows no mechanism.

    A mechanism that fails, as a plug-in may, costs its interval, and not the exchange.
    """
    began_ns = time.perf_counter_ns()
    try:
        mechanism: Mechanism = find(MECHANISMS, asked.mechanism).load()
        began_ns = time.perf_counter_ns()
        clearing = mechanism.clear(asked.orders, network, asked.seed)
        took_ns = time.perf_counter_ns() - began_ns
        faults = verify(asked.orders, network, clearing)
    except Exception as error:  # noqa: BLE001 - whatever it is, it would be so again after a restart
        _log.exception("mechanism %s failed", asked.mechanism)
        clearing, took_ns = _nothing(asked), time.perf_counter_ns() - began_ns
        faults = [f"mechanism {asked.mechanism} failed: {type(error).__name__}: {error}"]
    return Cleared(clearing, tuple(faults[:_MOST_FAULTS]), took_ns)


def _nothing(asked: Clear) -> Clearing:
    unmatched = [Unmatched(each.seq, each.wh, MarketReason.NOT_SOLVED) for each in asked.orders]
    return Clearing((), (), tuple(unmatched), None, asked.seed)
