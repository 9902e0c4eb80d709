"""All scenarios by name, in the order in which they run, with as many rounds as are promised."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.etcd_outages import etcd_away, etcd_node_down
from tests.chaos.failover import (
    double_failure,
    handover,
    leader_failover,
    leader_failover_tuned,
)
from tests.chaos.kill9 import kill9
from tests.chaos.report import Progress, Report
from tests.chaos.sigstop import sigstop


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    rounds: int
    run: Callable[[int, int, Progress], Awaitable[Report]]


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("kill9", 100, kill9),
        Scenario("sigstop", 100, sigstop),
        Scenario("leader-failover", 20, leader_failover),
        Scenario("leader-failover-tuned", 20, leader_failover_tuned),
        Scenario("handover", 20, handover),
        Scenario("double-failure", 20, double_failure),
        Scenario("etcd-node-down", 10, etcd_node_down),
        Scenario("etcd-away", 5, etcd_away),
    )
}
