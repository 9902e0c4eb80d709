"""Measures what loads miss, by the books of their routers, in simulated time: ``python -m benchmarks.missing_energy``.

Unmodified router devices, joined by lines of 0.2 ms; no machine is too slow or too busy for its figures. A figure is
the energy that the load was promised and did not get, in milliseconds of its power, where no other unit is said.
``restart``: a circuit that nothing protects loses a line and has a new generation 10 ms later; the line is any on its
way, or the last, below which no router but the load's own has energy of it left. ``protected``: it has a charged
standby, and a line is cut or silent, or a router is killed, or for 20 s every router is late by 20 ms on average at
whatever it does, which is no cause to switch. ``move``: a new generation on the other way, with all lines up, then the
old one drains. ``source at 60 %``: of ten circuits, by floors and priorities; what its router grants otherwise than
they say after the one event, and when the last load that gets less is told (``inf``: never).

Exits with 1 where a promised median or maximum is missed.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from statistics import median

import click

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS
from tests.support.missing_energy import LOAD, TwoWays
from tests.support.source_chain import FLOOR_W, POWER_W, SourceChain

# From the cut to the new generation's Commit: what a controller takes that is not busy.
_CONTROLLER_MS = 10
_TICKS_MS = (20, 100, 200)
_TRICKLE = 0.1
_LATE_NS = 20 * NS_PER_MS
# Circuits of a source, of so many classes, and what is left to it, of what they want.
_SHARING, _CLASSES, _LEFT = 10, 3, 0.6
# Part of its power by which a load must get less to be told.
_TOLD = 0.01
# What a figure may be above its promise (ms of power, W): books count whole millijoules.
_ROUNDING = 1e-3
# What the median and the maximum of a case may be.
Promise = tuple[float | None, float | None]
_NONE: Promise = (None, None)
# Of a circuit without protection over four lines, by tick.
_RESTARTS: dict[int, Promise] = {100: (100.0, None), 200: (150.0, None)}
_FAULTS: dict[str, Promise] = {
    "line cut": (2.0, 20.0),
    "line silent": (5.0, 50.0),
    "router killed": (5.0, 50.0),
    "routers late": (None, 15.0),
}
_SWITCHES: Promise = (None, 1.0)
_MOVE: Promise = (0.0, 2.0)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one case, and what is promised of them."""

    name: str
    values: Sequence[float]
    promised: Promise = _NONE

    @property
    def figures(self) -> tuple[float, float]:
        return median(self.values), max(self.values)

    @property
    def kept(self) -> bool:
        return all(
            most is None or figure <= most + _ROUNDING
            for figure, most in zip(self.figures, self.promised, strict=True)
        )


def restart(lines: int, tick_ms: int, cut: int, draw: random.Random) -> float:
    ways = TwoWays(lines, tick_ms=tick_ms)
    ways.program(1, 0)
    ways.run_ms(12 * lines * tick_ms + 1000 + draw.uniform(0, tick_ms))
    ways.network.cut(ways.link(0, cut))
    (before,) = ways.missing_ms(_CONTROLLER_MS)
    ways.program(2, 1)
    (after,) = ways.missing_ms(12 * lines * tick_ms + 1000)
    ways.assert_sound()
    return before + after


def protected(
    lines: int, tick_ms: int, draw: random.Random, fault: Callable[[TwoWays], None]
) -> tuple[float, int]:
    """What the load misses, and how often its router switches."""
    ways = TwoWays(lines, tick_ms=tick_ms)
    ways.program(1, 0, trickle=_TRICKLE)
    ways.run_ms(500)
    ways.program(2, 1, standby=True, trickle=_TRICKLE)
    ways.run_ms(12 * lines * tick_ms + 1000 + draw.uniform(0, tick_ms))
    fault(ways)
    (missing,) = ways.missing_ms(max(20_000 if ways.network.late_by else 0, 20 * tick_ms))
    ways.assert_sound()
    told = ways.network.nodes[LOAD].statuses
    return missing, sum(status.state is FlowState.SWITCHED for _, status in told)


def move(lines: int, tick_ms: int, draw: random.Random) -> float:
    ways = TwoWays(lines, tick_ms=tick_ms)
    ways.program(1, 0, trickle=_TRICKLE)
    ways.run_ms(12 * lines * tick_ms + 1000 + draw.uniform(0, tick_ms))
    ways.program(2, 1, trickle=_TRICKLE)
    (missing,) = ways.missing_ms(12 * lines * tick_ms + 1000)
    ways.network.drain(LOAD, CircuitGeneration(1, 1))
    (draining,) = ways.missing_ms(20 * tick_ms)
    ways.assert_sound()
    return missing + draining


def due_w(available_w: float, wishes: Sequence[tuple[float, float]]) -> list[float]:
    """What each gets of those who ask for so much and have such a floor, in their order; all floors are there.

    Written down once more, by sums: routers and the controller share out by one rule, which is tried here.
    """
    spare_w = available_w - sum(floor_w for _, floor_w in wishes)
    above_w = accumulate((asked_w - floor_w for asked_w, floor_w in wishes), initial=0.0)
    return [
        min(asked_w, floor_w + max(0.0, spare_w - taken_w))
        for (asked_w, floor_w), taken_w in zip(wishes, above_w, strict=False)
    ]


def source_drops(tick_ms: int, draw: random.Random) -> tuple[float, float]:
    """What is granted otherwise than floors and priorities say (W), and when the last load is told (ms)."""
    priorities = [draw.randrange(_CLASSES) for _ in range(_SHARING)]
    chain = SourceChain(priorities, tick_ms=tick_ms)
    network = chain.network
    network.run(round(draw.uniform(0, tick_ms) * NS_PER_MS))
    hops = [flow.hop for flow in network.nodes["a"].device.flows]
    # Circuits are as old as they stand there.
    order = sorted(range(_SHARING), key=lambda at: (-priorities[at], at))
    asked_w = [hop.ingress_power_w for hop in hops]
    floors = [FLOOR_W / POWER_W if priority == 0 else 0.0 for priority in priorities]
    left_w, began_ns = _LEFT * sum(asked_w), network.now_ns
    chain.limit(left_w)
    wishes = [(asked_w[at], floors[at] * asked_w[at]) for at in order]
    wanted_w = dict(zip(order, due_w(left_w, wishes), strict=True))
    granted_w = chain.at_source_w()
    wrong_w = max(abs(granted_w[at] - wanted_w[at]) for at in order)
    network.run(10 * tick_ms * NS_PER_MS)
    told_ms = {
        status.key.circuit_id: (at_ns - began_ns) / NS_PER_MS
        for at_ns, status in reversed(chain.news(began_ns))
        if status.state is FlowState.STARVED
    }
    short = [at for at in order if wanted_w[at] < (1 - _TOLD) * POWER_W]
    return wrong_w, max(told_ms.get(hops[at].circuit_id, inf) for at in short)


def _fault(kind: str, draw: random.Random) -> Callable[[TwoWays], None]:
    def happen(ways: TwoWays) -> None:
        path = ways.ways[0]
        at = draw.randrange(1, len(path) - 1)
        match kind:
            case "line cut":
                ways.network.cut(ways.link(0, at))
            case "line silent":
                ways.network.silence(ways.link(0, at))
            case "router killed":
                ways.network.kill(path[at])
            case "routers late":
                for name in ways.network.nodes:
                    ways.network.late_by[name] = lambda: round(draw.expovariate(1 / _LATE_NS))

    return happen


def _restarts(tick_ms: int, runs: int, seed: int) -> Iterator[Row]:
    for lines in (3, 4):
        draw = random.Random(seed)
        what = f"restart, ticks of {tick_ms} ms, {lines} lines"
        anywhere = [restart(lines, tick_ms, draw.randrange(lines), draw) for _ in range(runs)]
        promised = _RESTARTS.get(tick_ms, _NONE) if lines == 4 else _NONE
        yield Row(f"{what}, any line cut", anywhere, promised)
        last = [restart(lines, tick_ms, lines - 1, draw) for _ in range(runs)]
        yield Row(f"{what}, the last cut", last)


def _faults(tick_ms: int, runs: int, seed: int) -> Iterator[Row]:
    for kind, promised in _FAULTS.items():
        draw = random.Random(seed)
        found = [protected(3, tick_ms, draw, _fault(kind, draw)) for _ in range(runs)]
        what = f"protected, ticks of {tick_ms} ms, 3 lines, {kind}"
        yield Row(what, [missing for missing, _ in found], promised)
        if kind == "routers late":
            yield Row(f"{what}: switches", [switches for _, switches in found], _SWITCHES)


def _source(tick_ms: int, runs: int, seed: int) -> Iterator[Row]:
    draw = random.Random(seed)
    found = [source_drops(tick_ms, draw) for _ in range(runs)]
    what = f"source at 60 %, ticks of {tick_ms} ms, 3 lines"
    yield Row(f"{what}: W granted otherwise", [wrong_w for wrong_w, _ in found], (0.0, 0.0))
    yield Row(f"{what}: ms until told", [told_ms for _, told_ms in found], (None, tick_ms))


def _cases(runs: int, seed: int) -> Iterator[Row]:
    for tick_ms in _TICKS_MS:
        yield from _restarts(tick_ms, runs, seed)
        yield from _faults(tick_ms, runs, seed)
        draw = random.Random(seed)
        moved = [move(3, tick_ms, draw) for _ in range(runs)]
        yield Row(f"move, ticks of {tick_ms} ms, 3 lines", moved, _MOVE)
        yield from _source(tick_ms, runs, seed)


@click.command()
@click.option("--runs", default=15, show_default=True, help="Of each case.")
@click.option("--seed", default=1, show_default=True)
def main(runs: int, seed: int) -> None:
    """Energy missing at a load, in milliseconds of promised power."""
    click.echo(f"{'':66}   median     max  promised")
    missed = False
    for row in _cases(runs, seed):
        # Nothing has no sign.
        half, worst = (round(figure, 1) + 0.0 for figure in row.figures)
        promised = "; ".join("-" if most is None else f"{most:g}" for most in row.promised)
        missed |= not row.kept
        word = "" if row.kept else "  missed"
        click.echo(f"{row.name:66}  {half:7.1f} {worst:7.1f}  {promised}{word}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
