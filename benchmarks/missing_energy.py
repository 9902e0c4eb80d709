"""Measures what loads miss, by the books of their routers, in simulated time: ``python -m benchmarks.missing_energy``.

Unmodified router devices, joined by lines of 0.2 ms; no machine is too slow or too busy for its figures. A figure is
the energy that the load was promised and did not get, in milliseconds of its power. ``restart``: a circuit that nothing
protects loses a line and has a new generation 10 ms later; the line is any on its way, or the last, below which no
router but the load's own has energy of it left.
"""

import random
from collections.abc import Callable, Iterator
from statistics import median

import click

from tests.support.missing_energy import TwoWays

# From the cut to the new generation's Commit: what a controller takes that is not busy.
_CONTROLLER_MS = 10
_TICKS_MS = (20, 100, 200)


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


def _cases(runs: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    for tick_ms in _TICKS_MS:
        for lines in (3, 4):
            draw = random.Random(seed)
            anywhere = [restart(lines, tick_ms, draw.randrange(lines), draw) for _ in range(runs)]
            yield f"restart, ticks of {tick_ms} ms, {lines} lines, any line cut", anywhere
            last = [restart(lines, tick_ms, lines - 1, draw) for _ in range(runs)]
            yield f"restart, ticks of {tick_ms} ms, {lines} lines, the last cut", last


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
