"""The leader dies, or is told to end; how long until another admits."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

from digitalgrid.client import AsyncPowerClient, power_request
from tests.chaos.checks import Findings, watching_limits
from tests.chaos.cluster import Cluster
from tests.chaos.report import Report

_FAILOVER_WITHIN_S = 3.0
_TUNED_WITHIN_S = 1.5
_HANDOVER_WITHIN_S = 0.1
_DOUBLE_WITHIN_S = 5.0
# How long clients go on with the new leader before everything is looked at.
_AFTERWARDS_S = 0.3
_POWER_W = 10.0

# An accident: returns the seconds until it was over.
Accident = Callable[[Cluster, AsyncPowerClient], Awaitable[float]]


async def leader_failover(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{leader_failover_s: {rounds, p50, max}}: kill -9 of the leader, everything as it comes."""
    limit = "leader_failover_s", _FAILOVER_WITHIN_S
    await _measure(made, _kill_leader, limit, rounds, seed, report)


async def leader_failover_tuned(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """The same where etcd and leases are set to notice sooner."""
    limit = "leader_failover_tuned_s", _TUNED_WITHIN_S
    await _measure(made, _kill_leader, limit, rounds, seed, report)


async def handover(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{handover_s: {rounds, p50, max}}: SIGTERM of the leader."""
    limit = "handover_s", _HANDOVER_WITHIN_S
    await _measure(made, _end_leader, limit, rounds, seed, report)


async def double_failure(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{double_failure_s: {rounds, p50, max}}: the leader and etcd's leader at once."""
    limit = "double_failure_s", _DOUBLE_WITHIN_S
    await _measure(made, _kill_both, limit, rounds, seed, report)


async def _measure(
    made: Cluster,
    accident: Accident,
    limit: tuple[str, float],
    rounds: int,
    seed: int,
    report: Report,
) -> None:
    key, limit_s = limit
    chance = random.Random(seed)
    seconds = []
    async with AsyncPowerClient(made.daemons.northbound) as client:
        for number in range(1, rounds + 1):
            findings = Findings()
            async with watching_limits(made.client, findings):
                await made.work(chance)
                seconds.append(await accident(made, client))
                await asyncio.sleep(_AFTERWARDS_S)
                await made.load.pause()
            for daemon in made.daemons.all:
                if not daemon.runs:
                    await made.recover(daemon)
            await made.check(findings)
            report.fail(key, number, seed, findings.all())
            report.progress(number, f"{seconds[-1]:.3f} s")
    report.add_times(key, seconds, limit_s)


async def _kill_leader(made: Cluster, client: AsyncPowerClient) -> float:
    leader = await made.leader()
    began_s = time.monotonic()
    leader.signal(signal.SIGKILL)
    ended_s = await _admitted(made, client)
    await leader.ended()
    return ended_s - began_s


async def _end_leader(made: Cluster, client: AsyncPowerClient) -> float:
    leader = await made.leader()
    began_s = time.monotonic()
    leader.signal(signal.SIGTERM)
    ended_s = await made.probe.admitted_by_successor(leader.northbound)
    code = await leader.ended()
    assert code == 0, f"{leader.name} was told to end, and ended with {code}:\n{leader.last_words}"
    return ended_s - began_s


async def _kill_both(made: Cluster, client: AsyncPowerClient) -> float:
    leader = await made.leader()
    etcd_leader = await asyncio.to_thread(made.etcd.leader)
    began_s = time.monotonic()
    leader.signal(signal.SIGKILL)
    made.etcd.kill(etcd_leader)
    ended_s = await _admitted(made, client)
    await leader.ended()
    made.etcd.start(etcd_leader)
    await asyncio.to_thread(made.etcd.wait_healthy)
    return ended_s - began_s


async def _admitted(made: Cluster, client: AsyncPowerClient) -> float:
    """When an ordinary client's call was answered that had begun after the accident."""
    request = power_request(made.load.grid.loads[0].id, _POWER_W)
    made.load.journal.ask([request])
    called_at_s = time.monotonic()
    answer = await client.request_power(request)
    made.load.journal.acknowledge(request.request_id, answer.circuits, called_at_s)
    return time.monotonic()
