"""Single failures: what stops a route, and what a standby covers of it."""

from controller.core.circuits.failures import Failure, FailureKind, covered, stopping
from tests.support.routes import route

LINK, ROUTER, GROUP, SOURCE = FailureKind

WAYSIDE = {"r1-r2": ["trench"], "r2-r3": ["trench", "mast"], "r9-r3": ["mast"]}


def groups_of(link_id: str) -> list[str]:
    return WAYSIDE.get(link_id, [])


def test_a_route_is_stopped_by_its_source_its_lines_their_groups_and_all_routers_but_the_last() -> (
    None
):
    assert stopping(route(1e3), groups_of) == {
        Failure(SOURCE, "pv"),
        Failure(ROUTER, "r1"),
        Failure(ROUTER, "r2"),
        Failure(LINK, "r1-r2"),
        Failure(LINK, "r2-r3"),
        Failure(GROUP, "trench"),
        Failure(GROUP, "mast"),
    }


def test_a_standby_covers_what_it_does_not_share() -> None:
    assert covered(route(1e3), route(1e3, middle="r9"), groups_of) == {
        Failure(ROUTER, "r2"),
        Failure(LINK, "r1-r2"),
        Failure(LINK, "r2-r3"),
        Failure(GROUP, "trench"),
    }


def test_a_standby_from_another_source_covers_the_source() -> None:
    assert Failure(SOURCE, "pv") in covered(
        route(1e3), route(1e3, source_id="wind", middle="r9"), groups_of
    )


def test_a_standby_on_the_same_path_covers_nothing() -> None:
    assert covered(route(1e3), route(2e3), groups_of) == frozenset()
