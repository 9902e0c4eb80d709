"""Measures what loads miss, by the books of their routers, in simulated time: ``python -m benchmarks.missing_energy``.

Unmodified router devices, joined by lines of 0.2 ms; no machine is too slow or too busy for its figures. A figure is
the energy that the load was promised and did not get, in milliseconds of its power. ``restart``: a circuit that nothing
protects loses a line and has a new generation 10 ms later; the line is any on its way, or the last, below which no
router but the load's own has energy of it left. ``protected``: it has a charged standby, and a line is cut or silent,
or a router is killed, or for 20 s every router is late by 20 ms on average at whatever it does. ``move``: a new
generation on the other way, with all lines up, then the old one drains.
"""

import random
from collections.abc import Callable, Iterator
from statistics import median

import click

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from tests.support.missing_energy import LOAD, TwoWays

# From the cut to the new generation's Commit: what a controller takes that is not busy.
_CONTROLLER_MS = 10
_TICKS_MS = (20, 100, 200)
_TRICKLE = 0.1
_LATE_NS = 20 * NS_PER_MS


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
) -> float:
    ways = TwoWays(lines, tick_ms=tick_ms)
    ways.program(1, 0, trickle=_TRICKLE)
    ways.run_ms(500)
    ways.program(2, 1, standby=True, trickle=_TRICKLE)
    ways.run_ms(12 * lines * tick_ms + 1000 + draw.uniform(0, tick_ms))
    fault(ways)
    (missing,) = ways.missing_ms(max(20_000 if ways.network.late_by else 0, 20 * tick_ms))
    ways.assert_sound()
    return missing


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


def _cases(runs: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    for tick_ms in _TICKS_MS:
        for lines in (3, 4):
            draw = random.Random(seed)
            anywhere = [restart(lines, tick_ms, draw.randrange(lines), draw) for _ in range(runs)]
            yield f"restart, ticks of {tick_ms} ms, {lines} lines, any line cut", anywhere
            last = [restart(lines, tick_ms, lines - 1, draw) for _ in range(runs)]
            yield f"restart, ticks of {tick_ms} ms, {lines} lines, the last cut", last
        for kind in ("line cut", "line silent", "router killed", "routers late"):
            draw = random.Random(seed)
            missing = [protected(3, tick_ms, draw, _fault(kind, draw)) for _ in range(runs)]
            yield f"protected, ticks of {tick_ms} ms, 3 lines, {kind}", missing
        draw = random.Random(seed)
        yield f"move, ticks of {tick_ms} ms, 3 lines", [move(3, tick_ms, draw) for _ in range(runs)]


@click.command()
@click.option("--runs", default=15, show_default=True, help="Of each case.")
@click.option("--seed", default=1, show_default=True)
def main(runs: int, seed: int) -> None:
    """Energy missing at a load, in milliseconds of promised power."""
    say: Callable[[str], None] = click.echo
    say(f"{'':52}  median     max")
    for name, missing in _cases(runs, seed):
        say(f"{name:52}  {median(missing):6.1f}  {max(missing):6.1f}")


if __name__ == "__main__":
    main()
