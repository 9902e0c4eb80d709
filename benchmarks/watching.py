"""What watching costs those who ask for power, and how soon all who watch hear of a cut line.

The load is that of ``durable-admit-batch``, by turns while nobody watches, one does, and a hundred do; each watches
circuits and topology over a connection of its own. ``watching-1`` and ``watching-100`` are seconds an admission then,
``watching-pages`` where a hundred browsers show the operator's page; their peer ``unwatched`` is what the same
controller needs while nobody watches, by the median over rounds of one to the other. All circuits are released after
each round. ``watching-1-cpu`` and the others are what the controller's process computes for an admission, the mean of
the quieter half of the rounds: other programs on the machine, watchers themselves among them, disturb that less.
``busy`` is how many processes the machine would run just then; ``share`` is what of the time of a round was worked for
watchers, by the controller's own clock.
``caught_up_s`` is how long after the last answer the first and the last watcher know the state of every circuit;
``agree``: they get there, and every request was admitted.

``watching-cut`` has a hundred watchers and no other load: a line is cut and mended, and the p99 over cuts is taken of
the time until the last of them knows. Its peer ``allowed`` is 50 ms. ``watching-pages-cut`` is the same of browsers.
``cpu_s`` is what the controller's process computes for a cut and all who hear of it, by the median.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.durable_admit import Ask, Client, read_meters, services_on
from benchmarks.harness import Row, busyness, quieter
from benchmarks.null_routers import NullRouters, load_ids, networks
from benchmarks.watchers import Seen, Watchers
from controller.computing.warm_up import warm_up_search
from controller.core.access import Action, Call, Principal
from controller.core.circuits.circuit import CircuitState
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from controller.web.about import About
from controller.web.server import serving_page
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.model import RouterLsa
from digitalgrid.v1 import northbound_pb2 as pb

_ROUNDS = 9
_ASK = Ask(64, 4, 3_840, "unwatched", _ROUNDS)


class Audience(NamedTuple):
    """How many watch, and whether they are browsers."""

    name: str
    size: int
    browsers: bool = False


_NOBODY = Audience("nobody", 0)
_CLIENTS = Audience("100", 100)
_BROWSERS = Audience("pages", 100, browsers=True)
_AUDIENCES = (_NOBODY, Audience("1", 1), _CLIENTS, _BROWSERS)
_CUTS = 50
_ALLOWED_S = 0.05
# A circuit that is not where it should be by then (s) never will be, however slow a machine is.
_LONGEST_S = 600.0
_AT_ONCE = 64


class Cut(NamedTuple):
    """Until the last watcher knows, and what the controller's process computed until then (s)."""

    told_s: float
    cpu_s: float


def _none() -> dict[Audience, list[float]]:
    return {each: [] for each in _AUDIENCES}


@dataclass(slots=True)
class _Rounds:
    """By how many watch: seconds of each round, and until the watchers knew everything after it."""

    all_s: dict[Audience, list[float]] = field(default_factory=_none)
    caught_up_s: dict[Audience, list[float]] = field(default_factory=_none)
    shares: dict[Audience, list[float]] = field(default_factory=_none)
    cpu_s: dict[Audience, list[float]] = field(default_factory=_none)
    answers: dict[Audience, int] = field(default_factory=lambda: dict.fromkeys(_AUDIENCES, 0))
    all_admitted: bool = True

    def unwatched_to(self, audience: Audience) -> float:
        return _ratio(self.all_s[_NOBODY], self.all_s[audience])


def _ratio(unwatched: list[float], watched: list[float]) -> float:
    return median(a / b for a, b in zip(unwatched, watched, strict=True))


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    for name, (size, lsas) in networks(full).items():
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".watching-") as directory:
            yield from asyncio.run(_rows(name, size, lsas, Path(directory)))


async def _rows(name: str, size: int, lsas: Sequence[RouterLsa], directory: Path) -> list[Row]:
    rounds = _Rounds()
    gate = Gate(Budget())
    async with served(lsas, directory, gate) as (runtime, routers, where):
        client, watchers = Client(load_ids(lsas)), Watchers()
        try:
            await _round(runtime, gate, client, watchers, where, _NOBODY, _Rounds())
            for number in range(_ROUNDS * len(_AUDIENCES)):
                audience = _AUDIENCES[number % len(_AUDIENCES)]
                await _round(runtime, gate, client, watchers, where, audience, rounds)
            link_id = lsas[0].links[0].link_id
            cuts = [
                (each, await _cuts(routers, watchers, where.of(each), each.size, link_id))
                for each in (_CLIENTS, _BROWSERS)
            ]
        finally:
            client.close()
            watchers.end()
    return [
        *(_load_row(name, size, each, rounds) for each in _AUDIENCES if each.size),
        *(_cpu_row(name, size, each, rounds) for each in _AUDIENCES if each.size),
        *(_cut_row(name, size, audience, of_them) for audience, of_them in cuts),
    ]


class Where(NamedTuple):
    """Of the API, and of the page."""

    api: str
    page: str

    def of(self, audience: Audience) -> str:
        return self.page if audience.browsers else self.api


@asynccontextmanager
async def served(
    lsas: Sequence[RouterLsa], directory: Path, gate: Gate
) -> AsyncIterator[tuple[Runtime, NullRouters, Where]]:
    """A controller with its API and its page."""
    async with services_on(lsas, directory, gate) as (services, routers, address):
        runtime = services.runtime
        meters = MeterLook(read_meters, lambda: runtime.view)
        about = About(runtime, version="", name="benchmark", store=str(directory))
        # Whom nobody watches any more works for nobody: rounds come sooner after each other than browsers come back.
        page = serving_page(services, gate, meters, about, "127.0.0.1:0", linger_s=0.0)
        async with page as url:
            yield runtime, routers, Where(address, url)


def _load_row(name: str, size: int, watchers: Audience, rounds: _Rounds) -> Row:
    best_s = min(rounds.all_s[watchers])
    return Row(
        f"watching-{watchers.name}",
        size,
        f"{name}, {watchers.size} {'browsers ' * watchers.browsers}watching",
        best_s / _ASK.admissions,
        {"unwatched": rounds.unwatched_to(watchers) * best_s / _ASK.admissions},
        rounds.all_admitted,
        {
            "ours_per_s": _ASK.admissions / best_s,
            "unwatched_per_s": _ASK.admissions / min(rounds.all_s[_NOBODY]),
            "share": median(rounds.shares[watchers]),
            "caught_up_s": median(rounds.caught_up_s[watchers]),
            "answers_a_watcher": rounds.answers[watchers] / watchers.size / _ROUNDS,
            "busy": busyness(),
        },
    )


def _cpu_row(name: str, size: int, watchers: Audience, rounds: _Rounds) -> Row:
    return Row(
        f"watching-{watchers.name}-cpu",
        size,
        f"{name}, {watchers.size} {'browsers ' * watchers.browsers}watching, computed",
        quieter(rounds.cpu_s[watchers]) / _ASK.admissions,
        {"unwatched": quieter(rounds.cpu_s[_NOBODY]) / _ASK.admissions},
        rounds.all_admitted,
        {"busy": busyness()},
    )


def _cut_row(name: str, size: int, watchers: Audience, cuts: list[Cut]) -> Row:
    p99_s = sorted(each.told_s for each in cuts)[int(len(cuts) * 0.99) - 1]
    return Row(
        "watching-pages-cut" if watchers.browsers else "watching-cut",
        size,
        f"{name}, the last of {watchers.size}{' browsers' * watchers.browsers} hears of a cut, p99",
        p99_s,
        {"allowed": _ALLOWED_S},
        True,
        {
            "p50_s": median(each.told_s for each in cuts),
            "cpu_s": median(each.cpu_s for each in cuts),
        },
    )


async def _round(
    runtime: Runtime,
    gate: Gate,
    client: Client,
    watchers: Watchers,
    where: Where,
    audience: Audience,
    rounds: _Rounds,
) -> None:
    """All circuits are active at its end, and then released."""
    if audience.size:
        await watchers.open(where.of(audience), audience.size)
    worked_s, cpu_s = gate.worked_s, time.process_time()
    answered = await client.ask(where.api, _ASK)
    begin_s = perf_counter()
    rounds.cpu_s[audience].append(time.process_time() - cpu_s)
    rounds.shares[audience].append((gate.worked_s - worked_s) / answered.all_s)
    rounds.all_s[audience].append(answered.all_s)
    rounds.all_admitted &= answered.admitted == _ASK.admissions
    circuits = runtime.questions.circuits
    await _until(
        lambda: all(each.state is CircuitState.ACTIVE for each in runtime.questions.standing)
    )
    if audience.size:
        wanted: Seen = {
            circuit.circuit_id: (circuit.last_generation, pb.CIRCUIT_STATE_ACTIVE)
            for circuit in circuits.values()
            if not circuit.state.ended
        }
        while not all(_knows(seen, wanted) for seen in await watchers.seen()):
            if perf_counter() - begin_s > _LONGEST_S:
                raise TimeoutError("watchers do not end in the state of the controller")
            await asyncio.sleep(0.05)
        rounds.caught_up_s[audience].append(perf_counter() - begin_s)
        rounds.answers[audience] += await watchers.close_all()
    await release_all(runtime)


def _knows(seen: Seen, wanted: Seen) -> bool:
    return all(seen.get(circuit_id) == each for circuit_id, each in wanted.items())


async def release_all(runtime: Runtime) -> None:
    operator = Principal("benchmark", "here")
    standing = iter([each.circuit_id for each in runtime.questions.standing])
    while some := list(islice(standing, _AT_ONCE)):
        for circuit_id in some:
            call = Call(operator, Action.RELEASE, str(circuit_id), "release")
            runtime.handle(call, lambda core, now_ns, id_=circuit_id: core.release(id_, now_ns))  # type: ignore[misc]
        await runtime.durable()
    await _until(lambda: not runtime.questions.standing)


async def _cuts(
    routers: NullRouters, watchers: Watchers, address: str, count: int, link_id: str
) -> list[Cut]:
    await watchers.open(address, count)
    cuts: list[Cut] = []
    for number in range(2 * _CUTS):
        up = number % 2 == 1
        await watchers.expect(link_id, up=up)
        begin_s, used_s = time.monotonic(), time.process_time()
        routers.set_link(link_id, up=up)
        told_s = await watchers.told_s()
        if not up:
            cuts.append(Cut(told_s - begin_s, time.process_time() - used_s))
        # Faults are rare: whoever watches has been told of the one before.
        await asyncio.sleep(0.2)
    await watchers.close_all()
    return cuts


async def _until(condition: Callable[[], bool]) -> None:
    deadline_s = perf_counter() + _LONGEST_S
    while not condition():
        if perf_counter() > deadline_s:
            raise TimeoutError("circuits are not where they should be")
        await asyncio.sleep(0.005)
