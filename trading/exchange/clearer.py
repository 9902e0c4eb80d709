"""Clearings in a process of their own: a loop that is asked for tenders does not stand still for an auction."""

import asyncio
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar, TypeVarTuple

from controller.routing.graph import graph_of_links
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.plugins.table import find
from digitalgrid.processes import die_with_parent
from digitalgrid.units import NS_PER_S
from trading.core.orders import Interval, Side, Tender, order_of
from trading.core.units import MicroPerKwh, Wh
from trading.exchange.ports import Unreachable
from trading.market.outcome import Clear, Cleared
from trading.mechanisms.choices import Choosing
from trading.mechanisms.mechanism import Clearing, Mechanism, Unmatched
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.verify import verify
from trading.plugins import MECHANISMS
from trading.reasons import MarketReason

_log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVarTuple("A")

# For one clearing (s): a thousand routers and five thousand orders take a fraction of one, and an interval waits.
_MOST_S = 20.0
# For a new worker to load mechanisms and their kernels, or to compile them (s).
_WARM_UP_S = 600.0
# Sentences that are kept of what is wrong with an answer: one is enough not to believe it.
_MOST_FAULTS = 16
# Whoever tenders comes first, on a machine of few cores too.
_NICENESS = 5


class WorkerClearer:
    """One worker, that is started with the first clearing, and anew after one that died or took too long."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._is_ready = False
        # Of whoever has the worker: ending it, as one does for whom it took too long, ends nobody else's clearing, and
        # nobody's time runs while another is served.
        self._turn = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    async def warm_up(self) -> None:
        """Load mechanisms and kernels before the first gate closes. Raises Unreachable."""
        async with self._turn:
            await self._warmed()

    async def clear(self, asked: Clear, network: MarketNetwork) -> Cleared:
        """A mechanism that takes too long has an answer too: nobody is matched by it. Raises Unreachable."""
        async with self._turn:
            await self._warmed()
            try:
                return await self._answer(_MOST_S, _cleared, asked, network)
            except TimeoutError:
                _log.error("%s has no answer for %d orders", asked.mechanism, len(asked.orders))
                fault = f"no answer within {_MOST_S:g} s"
                return Cleared(_nothing(asked), (fault,), round(_MOST_S * NS_PER_S))

    async def _warmed(self) -> None:
        """Every worker is, before it clears: a clearing has the same time in one that was begun anew."""
        if self._is_ready:
            return
        try:
            await self._answer(_WARM_UP_S, _warm_up)
        except TimeoutError as error:
            raise Unreachable("the worker that clears does not become ready") from error
        self._is_ready = True

    async def _answer(self, most_s: float, work: Callable[[*A], T], *arguments: *A) -> T:
        """Of the worker, which ends where it has none in time. Raises TimeoutError, Unreachable."""
        loop = asyncio.get_running_loop()
        try:
            answer = loop.run_in_executor(self._started(), work, *arguments)
            return await asyncio.wait_for(answer, most_s)
        except BrokenProcessPool as error:
            self.close()
            _log.error("the worker that clears has ended: %s", error)
            raise Unreachable("the worker that clears has given no answer") from error
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        if self._pool is None:
            return
        for process in self._pool._processes.values():
            process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self._is_ready = None, False

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
    """A book of two on a line: all that is loaded, or compiled, for any other. None of that is garbage ever, and what a
    clearing makes beside has no cycles: it is not to be looked through meanwhile.
    """
    graph = graph_of_links([1.0, 1.0], [0], [1], [0.1], [1e4], [100.0])
    network = MarketNetwork(graph, ("a", "b"), ("a-b",), {"a": 0, "b": 1})
    interval, sides = Interval(0, NS_PER_S), (("a", Side.SELL, 100_000), ("b", Side.BUY, 200_000))
    tenders = [
        Tender(name, name, name, side, Wh(100), MicroPerKwh(limit), interval)
        for name, side, limit in sides
    ]
    orders = [order_of(each, seq) for seq, each in enumerate(tenders, 1)]
    for name in MECHANISMS.built_in:
        verify(orders, network, find(MECHANISMS, name).load().clear(orders, network, 0))
    freeze_loaded()


def _cleared(asked: Clear, network: MarketNetwork) -> Cleared:
    """In the worker. What is wrong with an answer is found here too, by who knows no mechanism.

    A mechanism that fails, as a plug-in may, costs its interval, and not the exchange.
    """
    began_ns = time.perf_counter_ns()
    try:
        mechanism = _mechanism(asked)
        began_ns = time.perf_counter_ns()
        clearing = mechanism.clear(asked.orders, network, asked.seed)
        took_ns = time.perf_counter_ns() - began_ns
        faults = verify(asked.orders, network, clearing)
    except Exception as error:  # noqa: BLE001 - whatever it is, it would be so again after a restart
        _log.exception("mechanism %s failed", asked.mechanism)
        clearing, took_ns = _nothing(asked), time.perf_counter_ns() - began_ns
        faults = [f"mechanism {asked.mechanism} failed: {type(error).__name__}: {error}"]
    return Cleared(clearing, tuple(faults[:_MOST_FAULTS]), took_ns)


def _mechanism(asked: Clear) -> Mechanism:
    """As the market has it, where it leaves something open."""
    mechanism: Mechanism = find(MECHANISMS, asked.mechanism).load()
    return mechanism.choosing(asked.choices) if isinstance(mechanism, Choosing) else mechanism


def _nothing(asked: Clear) -> Clearing:
    unmatched = [Unmatched(each.seq, each.wh, MarketReason.NOT_SOLVED) for each in asked.orders]
    return Clearing((), (), tuple(unmatched), None, asked.seed)
