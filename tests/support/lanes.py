"""Which tests can run beside which: parts for ``--part``, and lanes for ``-n`` (pytest-xdist).

``tools/test`` uses both.

A lane is what one worker runs from its beginning to its end: a class, or the functions of a module.
"""

from enum import StrEnum
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_TESTS = Path(__file__).parents[1]


class Part(StrEnum):
    """What is run together. ``UNITS`` are all that no list below names."""

    UNITS = "units"
    NETWORKS = "networks"
    ALONE = "alone"


# Files and folders of tests that start daemons, networks and clusters, and mostly wait for them: these run after the
# others, several lanes at a time.
_NETWORKS = (
    "browser",
    "chaos/test_accidents.py",
    "conformance",
    "integration/dgc/test_page.py",
    "integration/dgc/test_serve.py",
    "integration/digitalgrid",
    "integration/metrics",
    "integration/packaging",
    "integration/recovery",
    "integration/router_agent",
    "integration/southbound",
    "integration/store",
    "integration/test_making_room.py",
    "integration/topologies",
    "integration/trading",
)
# Those that hold times against each other run last, one at a time.
# Mininet and Open vSwitch, which a machine has once, are among them.
_ALONE = (
    "emulation",
    "documentation/test_commands.py",
    "integration/test_start_up.py",
    "integration/topologies/test_protect.py",
    "unit/northbound/test_listing.py",
)


def part_of(file: Path) -> Part:
    for part, places in ((Part.ALONE, _ALONE), (Part.NETWORKS, _NETWORKS)):
        if any(file.is_relative_to(_TESTS / place) for place in places):
            return part
    return Part.UNITS


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker a lane at a time."""

    def _split_scope(self, nodeid: str) -> str:
        # Classes of a module apart; a parameter may have a "::" of its own.
        return nodeid.partition("[")[0].rpartition("::")[0]
