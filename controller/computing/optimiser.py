"""Dispatch and re-optimisation from end to end: the core asks, the worker process solves, the core decides.

The core goes on meanwhile; what it decides of an answer is checked against the network as it is by then.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from controller.computing.solver import Solver, SolverDied, SolverNotCompiled
from controller.core.access import CONTROLLER, Action, Call
from controller.core.errors import Refusal
from controller.core.optimising.moves import Move, ReoptimiseLimits
from controller.core.optimising.question import DispatchAnswer, DispatchOrder, LoadOutcome, answer
from controller.core.rehearsing.rehearsal import rehearse
from controller.core.rehearsing.scenario import Consequences, Scenario, situation_of
from controller.routing.assignments.reoptimise import Plan, reoptimise
from controller.routing.assignments.room import make_room
from controller.runtime.runtime import Runtime
from controller.tallies import Computation, Outcome
from digitalgrid.reasons import Reason

_log = logging.getLogger(__name__)
_BY_ITSELF = Call(CONTROLLER, Action.REOPTIMISE)
T = TypeVar("T")
# What each computation is called where they are counted.
_KINDS: dict[Callable[..., object], Computation] = {
    answer: Computation.DISPATCH,
    reoptimise: Computation.REOPTIMISE,
    make_room: Computation.MAKE_ROOM,
    rehearse: Computation.WHAT_IF,
}


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What became of each load, and the plan behind it; none for a retry of what was admitted before."""

    outcomes: tuple[LoadOutcome, ...]
    answer: DispatchAnswer | None = None


@dataclass(frozen=True, slots=True)
class Reoptimised:
    """What was looked at, of how many circuits with how much power; no plan where none could be moved."""

    moves: tuple[Move, ...] = ()
    circuit_count: int = 0
    delivered_w: float = 0.0
    plan: Plan | None = None


class Optimiser:
    """One computation at a time: each would outdate the answer of the other."""

    def __init__(self, runtime: Runtime, solver: Solver, limits: ReoptimiseLimits) -> None:
        self._runtime = runtime
        self._solver = solver
        self._turn = asyncio.Lock()
        self.limits = limits

    async def dispatch(self, call: Call, order: DispatchOrder) -> Dispatched:
        """Raises Refusal, with nothing reserved. What was admitted is durable on return."""
        with self._runtime.noting(call):
            async with self._turn:
                return await self._dispatch(call, order)

    async def _dispatch(self, call: Call, order: DispatchOrder) -> Dispatched:
        step = call.one_step()
        if self._runtime.handle(step, lambda core, now_ns: core.recall_dispatch(order)):
            known = self._runtime.handle(call, lambda core, now_ns: core.recall_dispatch(order))
            await self._runtime.durable()
            return Dispatched(tuple(known))
        question = self._runtime.handle(step, lambda core, now_ns: core.ask_dispatch(order, now_ns))
        found = await self._solved(answer, question)
        self._runtime.tallies.note_iterations(Computation.DISPATCH, found.iterations)
        outcomes = self._runtime.handle(
            call,
            lambda core, now_ns: core.dispatch(
                order, question, found, now_ns, dry_run=call.rehearsal
            ),
        )
        await self._runtime.durable()
        return Dispatched(tuple(outcomes), found)

    async def reoptimise(self, call: Call, limits: ReoptimiseLimits) -> Reoptimised:
        """Begin the moves that pay most, or only look at them. What was begun is durable on return."""
        with self._runtime.noting(call):
            async with self._turn:
                return await self._reoptimise(call, limits)

    async def _reoptimise(self, call: Call, limits: ReoptimiseLimits) -> Reoptimised:
        question = self._runtime.handle(
            call.one_step(),
            lambda core, now_ns: core.ask_reoptimise(now_ns, limits.wait_to_restore_ns),
        )
        if question is None:
            self._runtime.handle(call, lambda core, now_ns: None)
            await self._runtime.durable()
            return Reoptimised()
        plan = await self._solved(reoptimise, question.graph, question.circuits)
        self._runtime.tallies.note_iterations(Computation.REOPTIMISE, plan.rounds)
        moves = self._runtime.handle(
            call,
            lambda core, now_ns: core.reoptimise(
                limits, question, plan, now_ns, dry_run=call.rehearsal
            ),
        )
        await self._runtime.durable()
        circuits = question.circuits
        return Reoptimised(tuple(moves), circuits.count, float(circuits.power_w.sum()), plan)

    async def rehearse(self, call: Call, scenario: Scenario) -> Consequences:
        """What would become of circuits; nothing is changed. Raises Refusal for ids that nobody has."""
        with self._runtime.noting(call):
            situation = self._runtime.handle(
                call, lambda core, now_ns: situation_of(core.questions, scenario)
            )
            return await self._solved(rehearse, situation, scenario)

    async def make_room_when_wanted(self) -> None:
        """Promises that wait: look for moves that make room whenever the core asks for it, until cancelled."""
        wanted = asyncio.Event()
        with self._runtime.feeds.room.subscribed(wanted.set):
            while True:
                await wanted.wait()
                wanted.clear()
                try:
                    await self._make_room()
                except Exception as error:  # noqa: BLE001 - who waits goes on waiting, and the core asks again
                    _tell(error, "making room")

    async def _make_room(self) -> None:
        async with self._turn:
            question = self._runtime.handle(
                _BY_ITSELF.one_step(), lambda core, now_ns: core.ask_room(now_ns)
            )
            if question is None:
                return
            try:
                plan = await self._solved(
                    make_room, question.graph, question.circuits, question.wanted
                )
            except BaseException:
                if self._runtime.leads:
                    self._runtime.handle(
                        _BY_ITSELF.one_step(), lambda core, now_ns: core.leave_room(now_ns)
                    )
                raise
            moves = self._runtime.handle(
                _BY_ITSELF, lambda core, now_ns: core.make_room(question, plan, now_ns)
            )
        begun = [str(move.circuit_id) for move in moves if move.moving]
        if begun:
            _log.info(
                "to make room for circuits that wait (%s), circuits move: %s",
                " ".join(str(question.waiting_ids[each]) for each in plan.served),
                " ".join(begun),
            )

    async def _solved(self, function: Callable[..., T], *arguments: object) -> T:
        begun_s, outcome = perf_counter(), Outcome.FAILED
        try:
            found = await self._solver.run(function, *arguments)
            outcome = Outcome.SOLVED
        except SolverNotCompiled as error:
            raise Refusal(Reason.NOT_COMPILED, str(error)) from error
        except SolverDied as error:
            outcome = Outcome.DIED
            raise Refusal(Reason.SOLVER_DIED, str(error)) from error
        except asyncio.CancelledError:
            outcome = Outcome.LEFT
            raise
        finally:
            took_s = perf_counter() - begun_s
            self._runtime.tallies.note_solved(_KINDS[function], outcome, took_s)
        return found

    async def reoptimise_every(self, interval_s: float) -> None:
        """A round every ``interval_s``, until cancelled; a round that fails is told and does not stop the next."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                done = await self.reoptimise(_BY_ITSELF, self.limits)
            except Exception as error:  # noqa: BLE001 - circuits stand as they are, and the next round may do
                _tell(error, "re-optimisation")
                continue
            begun = [move for move in done.moves if move.moving]
            if begun:
                saved_w = sum(move.gain_w for move in begun)
                _log.info("re-optimised: %d circuits move, %.0f W are saved", len(begun), saved_w)


def _tell(error: Exception, what: str) -> None:
    """Log a round that failed: briefly where it is known why, else with where it happened."""
    unknown = None if isinstance(error, Refusal) else error
    _log.warning("no %s this time: %s", what, error, exc_info=unknown)
