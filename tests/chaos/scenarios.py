"""All scenarios by name, in the order in which they run, with as many rounds as are promised."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.kill9 import kill9
from tests.chaos.report import Progress, Report


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    rounds: int
    run: Callable[[int, int, Progress], Awaitable[Report]]


SCENARIOS = {each.name: each for each in (Scenario("kill9", 100, kill9),)}
