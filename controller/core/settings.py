"""Settings of the core, and how long the steps of a circuit may take."""

from collections.abc import Callable
from dataclasses import dataclass, field

from digitalgrid.units import NS_PER_MS, NS_PER_S

# Quarters of a lease within which a stage must be durable and committed; the last is for messages under way.
_SAFE_QUARTERS = 3


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take. The lease is counted from sending, less a margin.

    A circuit is drained hop by hop, each a tick and some more after the one before it.
    """

    lease_ms: int = 2000
    stage_ms: int = 1000
    commit_ms: int = 1000
    actuate_ms: int = 5000
    # Before it is demanded, a generation that replaces one without a break fills its hops, so long at most.
    charge_ms: int = 10_000
    drain_ms: int = 5000
    withdraw_ms: int = 2000

    @property
    def safe_lease_ns(self) -> int:
        """Of the lease, what is relied on: a router's clock may run faster, and its answer takes a while."""
        return self.lease_ms * NS_PER_MS * _SAFE_QUARTERS // 4

    @staticmethod
    def least_lease_ms(stage_ms: int) -> int:
        """The shortest lease of which what is relied on outlasts a stage."""
        return stage_ms * 4 // _SAFE_QUARTERS + 1


def no_time() -> int:
    """A stopwatch that stands still."""
    return 0


@dataclass(frozen=True, slots=True)
class CoreSettings:
    timeouts: Timeouts = field(default_factory=Timeouts)
    lsa_max_age_ns: int = 90 * NS_PER_S
    reconcile_interval_ns: int = 10 * NS_PER_S
    # Routers are still coming back to a daemon that has just started: what it does not know may exist.
    starting_ns: int = 0
    # A router that holds nothing and was not heard of for so long is forgotten; 0: never.
    forget_routers_after_ns: int = 0
    # By which searches are timed, for whoever wants to know; nothing is decided by it.
    stopwatch_ns: Callable[[], int] = no_time
