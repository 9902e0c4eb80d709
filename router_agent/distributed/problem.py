"""What one router knows from the start: its own cell, and the lines that end at it."""

from dataclasses import dataclass


class UnusableProblem(ValueError):
    """The numbers have no meaning as a flow of power; the text says which, where."""


@dataclass(frozen=True, slots=True)
class Source:
    """Can give up to ``limit`` units of power at ``cost`` per unit; the cost may be negative."""

    id: str
    limit: int
    cost: int

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise UnusableProblem(f"source {self.id}: limit is {self.limit}, want 0 or more")


@dataclass(frozen=True, slots=True)
class Cell:
    """What hangs on a router: its sources, and the units of power that its loads want."""

    router: str
    demand: int = 0
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if self.demand < 0:
            raise UnusableProblem(f"router {self.router}: demand is {self.demand}, want 0 or more")
        if len({source.id for source in self.sources}) < len(self.sources):
            raise UnusableProblem(f"router {self.router}: two sources have the same id")


@dataclass(frozen=True, slots=True)
class Line:
    """Carries up to ``capacity`` units either way between routers ``a`` and ``b``, at ``cost`` per unit."""

    id: str
    a: str
    b: str
    capacity: int
    cost: int

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise UnusableProblem(f"line {self.id}: both ends are router {self.a}")
        if self.capacity < 0:
            raise UnusableProblem(f"line {self.id}: capacity is {self.capacity}, want 0 or more")
        if self.cost < 0:
            # Power sent round in circles between its ends would earn money.
            raise UnusableProblem(f"line {self.id}: cost is {self.cost}, want 0 or more")

    def other(self, router: str) -> str:
        return self.b if router == self.a else self.a
