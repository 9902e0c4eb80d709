"""Each accident once or twice; ``make chaos`` has them many times, and holds the times against their limits."""

import asyncio

import pytest

from tests.chaos.cluster import TUNED, cluster
from tests.chaos.etcd_outages import etcd_away, etcd_node_down
from tests.chaos.failover import double_failure, handover, leader_failover_tuned
from tests.chaos.kill9 import kill9
from tests.chaos.report import Report
from tests.chaos.restart import restart
from tests.chaos.sigstop import sigstop
from tests.chaos.thousand_routers import thousand_routers
from tests.support.etcd_cluster import require_etcd

# Many times what they take on an idle machine.
pytestmark = pytest.mark.timeout(400)
SEED = 7
# How long things take is for `make chaos`, which has the machine for itself: `missed` is not looked at here.


def test_a_controller_that_is_killed_forgets_nothing() -> None:
    report = Report()
    asyncio.run(kill9(3, SEED, report))
    assert report.failures == []
    assert report.figures["kill9"] == {"rounds": 3, "lost": 0, "torn": 0, "oversubscribed": 0}


def test_a_controller_that_is_started_again_answers_and_admits_with_all_its_circuits() -> None:
    report = Report()
    asyncio.run(restart(1, SEED, report, circuits=100))
    assert report.failures == []
    assert report.figures["restart"] == {"rounds": 1, "circuits": 100, "lost": 0}


def test_a_cluster_keeps_its_promises_through_all_that_befalls_it() -> None:
    """One after the other in one cluster, as starting it takes the longest."""
    require_etcd()

    report = Report()

    async def all_that() -> None:
        async with cluster(TUNED, SEED) as made:
            await sigstop(made, 2, SEED, report)
            await handover(made, 2, SEED, report)
            await leader_failover_tuned(made, 1, SEED, report)
            await double_failure(made, 1, SEED, report)
            await etcd_node_down(made, 1, SEED, report)
            await etcd_away(made, 1, SEED, report)

    asyncio.run(all_that())
    figures = report.figures
    assert report.failures == []
    assert figures["sigstop"]["stale_writes_accepted"] == 0
    assert figures["etcd_away"]["acknowledged_meanwhile"] == 0
    assert figures["handover_s"]["rounds"] == 2
    assert figures["double_failure_s"]["rounds"] == 1


def test_a_crowd_of_routers_and_watchers_is_served() -> None:
    report = Report()
    asyncio.run(thousand_routers(3, SEED, report, routers=100, watchers=100))
    assert report.failures == []
    assert report.figures["last_watcher_s"]["rounds"] == 3
    assert report.figures["routers"]["routers"] == 100
