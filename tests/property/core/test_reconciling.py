"""Whatever is being programmed, what an operator sees as different is what a router really has otherwise.

In a session nothing is lost, and a router that comes back is read first: so a look finds orders that are under way, and
no difference. Once all is quiet nothing is under way either.
"""

from hypothesis import settings
from hypothesis.stateful import invariant, precondition, rule

from tests.property.core.test_promises import Promises, PromisesUnderClouds
from tests.property.core.test_protected import Protected
from tests.support.grids import mesh


class Looks(Promises):
    """At any time somebody looks; answers come when they come."""

    @precondition(lambda self: self.up)
    @rule()
    def look(self) -> None:
        self.network.look()

    def lose_acknowledgements(self, index: int) -> None:
        """Not here, nor orders."""

    def lose_one_order(self, index: int) -> None:
        """Else a router really has something otherwise."""

    @invariant()
    def no_order_is_a_difference(self) -> None:
        for read in self.network.tables_read:
            assert read.found is None or read.found.none, (read.router_id, read.found)
        self.network.tables_read.clear()

    def teardown(self) -> None:
        super().teardown()
        self.no_order_is_a_difference()
        self.network.look()
        self.network.deliver_all()
        assert len(self.network.tables_read) == len(self.grid.routers)
        for read in self.network.tables_read:
            found = read.found
            assert found is not None and found.none, (read.router_id, found)
            assert not found.under_way and not found.pools_under_way, (read.router_id, found)


class LooksInMesh(Looks):
    grid = mesh()


class LooksUnderClouds(Looks, PromisesUnderClouds):
    grid = mesh()


class LooksAtProtected(Looks, Protected):
    pass


TestLooks = Looks.TestCase
TestLooksInMesh = LooksInMesh.TestCase
TestLooksUnderClouds = LooksUnderClouds.TestCase
TestLooksAtProtected = LooksAtProtected.TestCase
for case in (TestLooks, TestLooksInMesh, TestLooksUnderClouds, TestLooksAtProtected):
    case.settings = settings(max_examples=30, stateful_step_count=50)
del case
