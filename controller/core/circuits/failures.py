"""Single failures: what may break at once, which of it stops a route, and which a standby covers.

These are the failures of shared protection (SBPP; RFC 4426, 4872): standbys that are never needed by the same
failure may be promised the same room.
"""

from collections.abc import Callable, Collection
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from controller.core.circuits.route import Route

# The shared risk groups of a link, by its id.
RiskGroupsOf = Callable[[str], Collection[str]]


class FailureKind(StrEnum):
    LINK = "link"
    ROUTER = "router"
    RISK_GROUP = "risk_group"
    SOURCE = "source"


class Failure(NamedTuple):
    """One event: a link that is cut, a router or a source that stops, all links of a risk group at once."""

    kind: FailureKind
    id: str


# One object a failure: they are keys of many tables, and there are few of them.
@lru_cache(1 << 16)
def failure(kind: FailureKind, name: str) -> Failure:
    return Failure(kind, name)


def stopping(route: Route, risk_groups_of: RiskGroupsOf) -> frozenset[Failure]:
    """Every single failure that leaves a route without power, but that of its sink's router, which none survives."""
    links = [link.link_id for link in route.links]
    return frozenset(
        [
            failure(FailureKind.SOURCE, route.source_id),
            *(failure(FailureKind.LINK, each) for each in links),
            *(failure(FailureKind.ROUTER, each) for each in route.router_ids[:-1]),
            *(
                failure(FailureKind.RISK_GROUP, group)
                for each in links
                for group in risk_groups_of(each)
            ),
        ]
    )


def covered(working: Route, standby: Route, risk_groups_of: RiskGroupsOf) -> frozenset[Failure]:
    """The failures that stop the working route and leave its standby: it carries power under these, and no others."""
    return stopping(working, risk_groups_of) - stopping(standby, risk_groups_of)
