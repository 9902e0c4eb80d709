"""Which tests can run beside which: marks for ``-m``, and lanes for ``-n`` (pytest-xdist); ``tools/test`` uses both.

A lane is what one worker runs from its beginning to its end: a class, or the functions of a module.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_TESTS = Path(__file__).parents[1]
# Files and folders of tests that start daemons, networks and clusters, and mostly wait for them: these have the marker
# `networks`, and run after the others, several lanes at a time.
NETWORKS = (
    "browser",
    "chaos/test_accidents.py",
    "conformance",
    "documentation/test_commands.py",
    "emulation",
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
# Those that hold times against each other have the marker `alone`, and run last, one at a time.
# Mininet and Open vSwitch, which a machine has once, are among them.
ALONE = (
    "emulation",
    "documentation/test_commands.py",
    "integration/test_start_up.py",
    "integration/topologies/test_protect.py",
    "unit/northbound/test_listing.py",
)


def mark(item: pytest.Item) -> None:
    for marker, places in ((pytest.mark.networks, NETWORKS), (pytest.mark.alone, ALONE)):
        if any(item.path.is_relative_to(_TESTS / place) for place in places):
            item.add_marker(marker)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each worker a lane at a time."""

    def _split_scope(self, nodeid: str) -> str:
        # Classes of a module apart; a parameter may have a "::" of its own.
        return nodeid.partition("[")[0].rpartition("::")[0]
