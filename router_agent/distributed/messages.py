"""What neighbours tell each other.

Every frame states the sender's side of the line in full, as the frames between routers do: the net power that it has
moved over the line by its own decision, cumulative, and its price. So nothing that arrives has to be undone when a run
is broken off, a line's flow is the difference of two totals, and what was lost or corrupted heals with the next frame.
"""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, order=True, slots=True)
class Epoch:
    """One run of an algorithm over an island. The greatest wins; whoever sees a change begins a greater one."""

    counter: int
    root: str


class Kind(Enum):
    PRICES = auto()  # shortest distances to where power can be had
    POWER = auto()  # pushes and relabels
    SEARCH = auto()  # one router looks for the cheapest way to be balanced


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run that ends when nobody has anything to do in it, which its root then detects.

    ``sign``: +1 where power is drawn to routers that lack it, -1 where it is pushed from those that have too much; all
    that differs are signs. ``epsilon``, in scaled cost: by how much reduced costs may be negative. ``routers`` and
    ``highest_cost`` are what the root has learned about the island.
    """

    number: int
    kind: Kind
    sign: int
    epsilon: int
    routers: int
    highest_cost: int
    radial: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a subtree of the island; the highest cost is the maximum of all, the others are sums."""

    routers: int = 0
    line_ends: int = 0
    deficit: int = 0
    surplus: int = 0
    highest_cost: int = 0

    @property
    def is_radial(self) -> bool:
        return self.line_ends == 2 * (self.routers - 1)

    def with_other(self, other: "Summary") -> "Summary":
        return Summary(
            self.routers + other.routers,
            self.line_ends + other.line_ends,
            self.deficit + other.deficit,
            self.surplus + other.surplus,
            max(self.highest_cost, other.highest_cost),
        )


@dataclass(frozen=True, slots=True)
class Join:
    """Explores the island: the first one that a router hears makes the sender its parent in the tree."""


@dataclass(frozen=True, slots=True)
class Echo:
    """All routers that joined through the sender are there, and this is what they have."""

    summary: Summary


@dataclass(frozen=True, slots=True)
class Label:
    """How far the sender is from where the search started; ``amount`` is what the way there can carry."""

    distance: int
    hops: int = 0
    amount: int = 0


@dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """Where a searching router could be balanced, and at which cost per unit. Sources come before other routers."""

    last_resort: bool
    distance: int
    hops: int
    router: str


@dataclass(frozen=True, slots=True)
class Change:
    """By how much the sum of deficits and the sum of surpluses below the sender have changed."""

    deficit: int
    surplus: int


@dataclass(frozen=True, slots=True)
class Work:
    """A step of the algorithm (where it asks for an acknowledgement), acknowledgements, or both."""

    stage: Stage
    wants_ack: bool
    acks: int
    label: Label | None = None
    report: Change | Candidate | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Whoever has it may search; ``last`` is the stage of the last search."""

    last: Stage


@dataclass(frozen=True, slots=True)
class Claim:
    """To the router that the search has found: send what you can."""


@dataclass(frozen=True, slots=True)
class Carry:
    """So much power comes over this line, by the way that the search has found."""

    amount: int


@dataclass(frozen=True, slots=True)
class Done:
    """The flow that stands is optimal."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Sent now and then, so that neighbours can compare what they hold; ``certificate`` is None in mid-run."""

    certificate: Stage | None


Body = Join | Echo | Work | Token | Claim | Carry | Done | Hello


@dataclass(frozen=True, slots=True)
class Frame:
    epoch: Epoch
    total: int
    price: int
    body: Body


# The line to send on, and what.
Outgoing = tuple[str, Frame]
