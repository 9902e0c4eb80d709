"""All scenarios by name, in the order in which they run, with as many rounds as are promised."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.cluster import DEFAULT, TUNED, Cluster, Profile, cluster
from tests.chaos.etcd_outages import etcd_away, etcd_node_down
from tests.chaos.failover import (
    double_failure,
    handover,
    leader_failover,
    leader_failover_tuned,
)
from tests.chaos.kill9 import kill9
from tests.chaos.market_controllers import MOMENTS, market_controller, market_leader
from tests.chaos.market_flood import market_flood
from tests.chaos.market_kills import ROUNDS, market_kills
from tests.chaos.market_race import market_race
from tests.chaos.report import Report
from tests.chaos.restart import restart
from tests.chaos.sigstop import sigstop
from tests.chaos.switchover import switchover
from tests.chaos.thousand_routers import thousand_routers

Run = Callable[[int, int, Report], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``run`` takes rounds, a seed, and the report that it writes into."""

    name: str
    rounds: int
    run: Run


def _in_cluster(
    profile: Profile, scenario: Callable[[Cluster, int, int, Report], Awaitable[None]]
) -> Run:
    async def run(rounds: int, seed: int, report: Report) -> None:
        async with cluster(profile, seed) as made:
            await scenario(made, rounds, seed, report)

    return run


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("kill9", 100, kill9),
        Scenario("restart", 20, restart),
        Scenario("switchover", 20, switchover),
        Scenario("market-kills", ROUNDS, market_kills),
        Scenario("market-controller", len(MOMENTS), market_controller),
        Scenario("market-leader", len(MOMENTS), market_leader),
        Scenario("market-race", 1, market_race),
        Scenario("market-flood", 5, market_flood),
        Scenario("sigstop", 100, _in_cluster(TUNED, sigstop)),
        Scenario("leader-failover", 20, _in_cluster(DEFAULT, leader_failover)),
        Scenario("leader-failover-tuned", 20, _in_cluster(TUNED, leader_failover_tuned)),
        Scenario("handover", 20, _in_cluster(DEFAULT, handover)),
        Scenario("double-failure", 20, _in_cluster(DEFAULT, double_failure)),
        Scenario("etcd-node-down", 10, _in_cluster(DEFAULT, etcd_node_down)),
        Scenario("thousand-routers", 100, thousand_routers),
        Scenario("etcd-away", 5, _in_cluster(DEFAULT, etcd_away)),
    )
}
