"""Whatever is being programmed, what an operator sees as different is what a router really has otherwise.

In a session nothing is lost, and a router that comes back is read first: so a look finds orders that are under way, and
no difference. Once all is quiet nothing is under way either.
"""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import invariant, precondition, rule

from tests.property.core.test_promises import Promises, PromisesUnderClouds
from tests.property.core.test_protected import Protected
from tests.support.grids import mesh

# Picks what happens next: somebody looks, something is written, or a message arrives.
STEPS = st.lists(st.integers(0, 9999), min_size=40, max_size=100)


class Looks(Promises):
    """At any time somebody looks; answers come when they come."""

    @precondition(lambda self: self.up)
    @rule(steps=STEPS)
    def look_while_messages_arrive(self, steps: list[int]) -> None:
        for step in steps:
            kind, index = step % 24, step // 24
            to_routers, to_controller = map(self._sessions_with, ("to_router", "to_controller"))
            if kind == 0:
                self.network.look()
            elif kind < 4:
                self.network.make_durable(1)
            elif kind < 14 and to_routers:
                self.network.deliver_to_router(self._pick(to_routers, index)[0])
            elif to_controller:
                self.network.deliver_to_controller(self._pick(to_controller, index)[0])
            self.no_order_is_a_difference()

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


class LooksUnderClouds(Looks, PromisesUnderClouds):
    grid = mesh()


class LooksAtProtected(Looks, Protected):
    pass


TestLooks = Looks.TestCase
TestLooksUnderClouds = LooksUnderClouds.TestCase
TestLooksAtProtected = LooksAtProtected.TestCase
for case in (TestLooks, TestLooksUnderClouds, TestLooksAtProtected):
    case.settings = settings(max_examples=12, stateful_step_count=40)
del case
