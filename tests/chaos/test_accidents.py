"""Each accident a few times; ``make chaos`` has them many times, and holds the times against their limits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.chaos.etcd_outages import etcd_away, etcd_node_down
from tests.chaos.failover import double_failure, handover, leader_failover_tuned
from tests.chaos.kill9 import kill9
from tests.chaos.report import Progress, Report
from tests.chaos.sigstop import sigstop
from tests.support.etcd_cluster import require_etcd

# Many times what they take on an idle machine.
pytestmark = pytest.mark.timeout(300)
SEED = 7


def run(scenario: Callable[[int, int, Progress], Awaitable[Report]], rounds: int) -> Report:
    """How long things take is for `make chaos`, which has the machine for itself."""
    report = asyncio.run(scenario(rounds, SEED, lambda number, what: None))
    assert report.failures == []
    return report


def test_a_controller_that_is_killed_forgets_nothing() -> None:
    figures = run(kill9, 3).figures["kill9"]
    assert figures == {"rounds": 3, "lost": 0, "torn": 0, "oversubscribed": 0}


def test_a_leader_that_was_stopped_and_goes_on_is_not_obeyed() -> None:
    require_etcd()
    assert run(sigstop, 2).figures["sigstop"]["stale_writes_accepted"] == 0


def test_another_leads_when_the_leader_dies() -> None:
    require_etcd()
    assert run(leader_failover_tuned, 1).figures["leader_failover_tuned_s"]["rounds"] == 1


def test_a_leader_that_is_told_to_end_hands_over() -> None:
    require_etcd()
    assert run(handover, 2).figures["handover_s"]["rounds"] == 2


def test_the_leader_and_that_of_etcd_may_die_at_once() -> None:
    require_etcd()
    assert run(double_failure, 1).figures["double_failure_s"]["rounds"] == 1


def test_etcd_may_lose_a_member() -> None:
    require_etcd()
    assert run(etcd_node_down, 1).figures["etcd_node_down"]["lost"] == 0


def test_nothing_is_acknowledged_without_etcd() -> None:
    require_etcd()
    assert run(etcd_away, 1).figures["etcd_away"]["acknowledged_meanwhile"] == 0
