"""Routing algorithms of others from end to end: the core asks, a worker process proposes, the core judges.

They run beside the loop, so none can stall it, and in a process apart from the solver's, so one that hangs or dies
takes no dispatch with it. Whoever waits for one waits ``within_s`` at most, and is then served by our own search.
Faults do not wait for them at all: reroutes, moves and standbys are the core's.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from time import perf_counter_ns

import msgspec

from controller.computing.solver import Solver, SolverDied, SolverNotCompiled
from controller.core.access import Call
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.proposed import RouteQuestion
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.plugins import LEAST_LOSS, ROUTING
from controller.routing.compiled import Engine
from controller.runtime.runtime import Runtime
from digitalgrid.counters import COUNTERS
from digitalgrid.plugins.routing import NetworkView, RouteRequest, RoutingAlgorithm
from digitalgrid.plugins.table import Plugin, PluginError, find, installed
from digitalgrid.reasons import Reason

_log = logging.getLogger(__name__)
# How long (s) a request waits for a proposal, if nothing else is configured.
WITHIN_S = 0.1
# For one answer (s), where nothing is promised by it: a comparison.
MAX_COMPARED_S = 5.0
# For a worker that starts, and imports what it shall run (s).
_MAX_LOADING_S = 30.0
# For an answer that nobody waits for any more (s), before its worker is ended.
_MAX_UNWANTED_S = 0.5
# After a failure nothing is asked for so long (s), each time twice as long: a broken algorithm delays few.
_REST_S, _MAX_REST_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a worker: arcs, or None where nothing is proposed; ``failure`` says why, where that was not meant."""

    arcs: tuple[int, ...] | None = None
    failure: str = ""
    took_ns: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an algorithm would choose, as the controller judges it, or why that is nothing. ``chosen``: the daemon asks
    it for each request.
    """

    plugin: Plugin
    judged: Route | str
    took_ns: int
    chosen: bool


@cache
def _algorithm(name: str) -> RoutingAlgorithm:
    made: RoutingAlgorithm = find(ROUTING, name).load()
    return made


def load(name: str) -> None:
    """Make an algorithm ready in this process; PluginError where that cannot be."""
    _algorithm(name)


def _be_there() -> None:
    """What a worker process does once it has begun."""


def propose(name: str, view: NetworkView, requests: Sequence[RouteRequest]) -> list[Answer]:
    """What an algorithm answers, one request after another; whatever it raises is an answer too."""
    # Made anew: what was sent between processes could be written.
    view = replace(view)
    return [_propose(name, view, request) for request in requests]


def _propose(name: str, view: NetworkView, request: RouteRequest) -> Answer:
    began_ns = perf_counter_ns()
    arcs, failure = None, ""
    try:
        found = _algorithm(name).propose(view, request)
        arcs = None if found is None else tuple(int(arc) for arc in found)
    except PluginError as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 - code of others may raise anything; whoever asked is told
        failure = f"it failed: {type(error).__name__}: {error}"
    return Answer(arcs, failure, perf_counter_ns() - began_ns)


class Proposer:
    """Asks the algorithm that the daemon was told to choose for each request, and any that somebody would compare."""

    def __init__(
        self,
        runtime: Runtime,
        chosen: str = LEAST_LOSS,
        within_s: float = WITHIN_S,
        compared_within_s: float = MAX_COMPARED_S,
    ) -> None:
        self._runtime = runtime
        self._chosen = chosen
        self._within_s = within_s
        # One for requests, which must not wait for comparisons.
        self._worker, self._comparing = _worker(within_s), _worker(compared_within_s)
        self._compared_within_s = compared_within_s
        self._rest_s, self._asks_from_s = _REST_S, 0.0

    @property
    def asks(self) -> bool:
        """Whether anybody but our own search is asked."""
        return self._chosen != LEAST_LOSS

    def close(self) -> None:
        self._worker.close()
        self._comparing.close()

    async def start(self) -> None:
        """Make ready what was chosen. PluginError where it cannot be used."""
        if not self.asks:
            return
        plugin = find(ROUTING, self._chosen)
        try:
            async with asyncio.timeout(_MAX_LOADING_S):
                await self._worker.warm_up(partial(load, self._chosen))
        except (TimeoutError, SolverDied) as error:
            raise PluginError(
                f"{plugin} is not ready within {_MAX_LOADING_S:g} s, or ends its process; uninstall"
                f" {plugin.package}, or set routing.algorithm to {LEAST_LOSS}"
            ) from error
        _log.info("routing: %s is asked first, for %g ms at most", plugin, self._within_s * 1e3)

    # Requests

    async def with_ways(self, call: Call, requests: Sequence[PowerRequest]) -> list[PowerRequest]:
        """The requests, each with what is proposed for it, if anything is in time."""
        wanted = [each for each in requests if each.takes_one_path]
        if not self.asks or not wanted or self._rests(len(wanted)):
            return list(requests)
        try:
            question = self._ask(call, wanted)
        except Refusal:
            # Whoever decides refuses it, in words of its own.
            return list(requests)
        answers = iter(zip(question.requests, await self._answers(question), strict=True))
        return [
            self._with_way(question, each, *next(answers)) if each.takes_one_path else each
            for each in requests
        ]

    def note(self, request: PowerRequest, circuits: Sequence[Circuit]) -> None:
        """A request that had a proposal was admitted: along that, or by another way."""
        if request.proposed is None:
            return
        newest = circuits[0].newest()
        hops = () if newest is None else newest.route.links
        taken = tuple((each.link_id, each.from_router_id) for each in hops)
        _count("taken" if taken == request.proposed.hops else "unfit")

    def _ask(
        self, call: Call, requests: Sequence[PowerRequest], circuit_id: int = 0
    ) -> RouteQuestion:
        return self._runtime.handle(
            call.one_step(), lambda core, now_ns: core.ask_ways(requests, now_ns, circuit_id)
        )

    def _rests(self, count: int) -> bool:
        if asyncio.get_running_loop().time() >= self._asks_from_s:
            return False
        _count("not asked", count)
        return True

    async def _answers(self, question: RouteQuestion) -> list[Answer]:
        """Within the time for which a client may be kept waiting."""
        try:
            async with asyncio.timeout(self._within_s):
                answers = await self._worker.run(
                    propose, self._chosen, question.view, question.requests
                )
        except (TimeoutError, SolverDied) as error:
            failure = str(error) or f"no answer within {self._within_s * 1e3:g} ms"
            answers = [Answer(failure=failure)] * len(question.requests)
        failure = next((each.failure for each in answers if each.failure), "")
        if failure:
            self._rest(failure)
        else:
            self._rest_s = _REST_S
        return answers

    def _rest(self, failure: str) -> None:
        _log.warning(
            "routing: %s: %s; requests go by our own search for %g s",
            *(find(ROUTING, self._chosen), failure, self._rest_s),
        )
        self._asks_from_s = asyncio.get_running_loop().time() + self._rest_s
        self._rest_s = min(2 * self._rest_s, _MAX_REST_S)

    def _with_way(
        self, question: RouteQuestion, request: PowerRequest, asked: RouteRequest, answer: Answer
    ) -> PowerRequest:
        way = question.way(asked, answer.arcs) if answer.arcs is not None else ""
        if isinstance(way, str):
            _count("failed" if answer.failure or way else "none")
            return request
        return msgspec.structs.replace(request, proposed=way)

    # Comparisons

    async def compare(
        self, call: Call, request: PowerRequest, names: Sequence[str], circuit_id: int = 0
    ) -> list[Proposal]:
        """What each of these algorithms would choose; ``*`` stands for all. Refusal for names that are not there."""
        question = self._ask(call, [request], circuit_id)
        return [
            await self._compared(call, request, question, plugin, circuit_id)
            for plugin in _named(names)
        ]

    async def _compared(
        self,
        call: Call,
        request: PowerRequest,
        question: RouteQuestion,
        plugin: Plugin,
        circuit_id: int,
    ) -> Proposal:
        try:
            # A process that has yet to begin takes nobody's time.
            await self._comparing.warm_up(_be_there)
            (answer,) = await self._comparing.run(
                propose, plugin.name, question.view, question.requests
            )
        except SolverNotCompiled:
            answer = Answer(failure=f"it has no answer within {self._compared_within_s:g} s")
        except SolverDied as error:
            answer = Answer(failure=f"it has no answer: {error}")
        judged: Route | str = answer.failure or "it proposes nothing"
        if answer.arcs is not None:
            way = question.way(question.requests[0], answer.arcs)
            judged = (
                way
                if isinstance(way, str)
                else self._runtime.handle(
                    call.one_step(),
                    lambda core, now_ns: core.judge_way(request, way, now_ns, circuit_id),
                )
            )
        return Proposal(plugin, judged, answer.took_ns, plugin.name == self._chosen)


def _count(outcome: str, count: int = 1) -> None:
    COUNTERS.add("routing_proposals", outcome, count)


def _named(names: Sequence[str]) -> list[Plugin]:
    """Once each, in the order of their names' first mention."""
    known = {each.name: each for each in reversed(installed(ROUTING))}
    wanted = dict.fromkeys(
        each for name in names for each in (sorted(known) if name == "*" else [name])
    )
    for name in wanted:
        if name not in known:
            raise Refusal(
                Reason.UNKNOWN_ALGORITHM,
                f"no routing algorithm {name!r} is installed with this controller; there are"
                f" {', '.join(sorted(known))}",
                field="algorithms",
                metadata={"algorithm": name},
            )
    return [known[name] for name in wanted]


def _worker(most_s: float) -> Solver:
    worker = Solver(most_s, _MAX_UNWANTED_S)
    # Kernels are ours; to load them would take longer than they would save.
    worker.use_engine(Engine.INTERPRETED)
    return worker
