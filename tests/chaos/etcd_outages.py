"""etcd loses one of its members, or all of them for a while, under load."""

import asyncio
import random
import time

from tests.chaos.checks import Findings, watching_limits
from tests.chaos.cluster import Cluster
from tests.chaos.report import Report

_NODE_DOWN_S = 2.0
# Longer than the lease, so that whoever led has stopped to; without etcd nobody else can begin.
_ALL_DOWN_S = 4.0
# Clients and controllers alike look for another member, and etcd for another leader of its own.
_STALLED_AT_MOST_S = 5.0
_RESUMED_WITHIN_S = 10.0


async def etcd_node_down(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{rounds, lost, torn, oversubscribed, stalled_s: {p50, max}}: calls go on, beside one dead member."""
    chance = random.Random(seed)
    counts = {"rounds": rounds, "lost": 0, "torn": 0, "oversubscribed": 0}
    stalls_s = []
    for number in range(1, rounds + 1):
        findings = Findings()
        async with watching_limits(made.client, findings):
            await made.work(chance)
            stalls_s.append(await _lose_one(made, chance.randrange(len(made.etcd.endpoints))))
            await made.load.pause()
        await made.check(findings)
        _count(counts, findings)
        report.fail("etcd-node-down", number, seed, findings.all())
        report.progress(number, f"stalled for {stalls_s[-1]:.3f} s")
    report.figures["etcd_node_down"] = counts
    report.add_times("etcd_node_down_stalled_s", stalls_s, _STALLED_AT_MOST_S)


async def etcd_away(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{rounds, acknowledged_meanwhile, lost, torn, oversubscribed}: no member of etcd runs for a while."""
    chance = random.Random(seed)
    counts = {"rounds": rounds, "acknowledged_meanwhile": 0}
    counts |= {"lost": 0, "torn": 0, "oversubscribed": 0}
    resumed_s = []
    for number in range(1, rounds + 1):
        findings = Findings()
        async with watching_limits(made.client, findings):
            await made.work(chance)
            meanwhile, back_s = await _lose_all(made)
            resumed_s.append(back_s)
            await made.load.pause()
        await made.check(findings)
        findings.other += [f"request {each}: acknowledged without etcd" for each in meanwhile]
        counts["acknowledged_meanwhile"] += len(meanwhile)
        _count(counts, findings)
        report.fail("etcd-away", number, seed, findings.all())
        report.progress(number, f"went on after {back_s:.3f} s")
    report.figures["etcd_away"] = counts
    report.add_times("etcd_away_resumed_s", resumed_s, _RESUMED_WITHIN_S)


async def _lose_one(made: Cluster, member: int) -> float:
    """The longest time without an acknowledgement while a member was dead."""
    made.etcd.kill(member)
    killed_s = time.monotonic()
    await asyncio.sleep(_NODE_DOWN_S)
    # At least one from after the accident, so that a stall is seen to its end.
    await made.probe.admitted()
    ended_s = time.monotonic()
    made.etcd.start(member)
    await asyncio.to_thread(made.etcd.wait_healthy)
    answers_s = [each.acknowledged_at_s for each in made.load.journal.asked.values()]
    moments_s = sorted(each for each in answers_s if killed_s < each < ended_s)
    pairs = zip([killed_s, *moments_s], [*moments_s, ended_s], strict=True)
    return max(after - before for before, after in pairs)


async def _lose_all(made: Cluster) -> tuple[list[str], float]:
    """Requests that were asked for and acknowledged meanwhile; seconds from the return until another was admitted."""
    members = range(len(made.etcd.endpoints))
    for member in members:
        made.etcd.kill(member)
    gone_s = time.monotonic()
    await asyncio.sleep(_ALL_DOWN_S)
    back_s = time.monotonic()
    meanwhile = [
        each.request.request_id
        for each in made.load.journal.asked.values()
        if each.circuit_ids and gone_s < each.called_at_s and each.acknowledged_at_s < back_s
    ]
    for member in members:
        made.etcd.start(member)
    resumed_s = await made.probe.admitted()
    await asyncio.to_thread(made.etcd.wait_healthy)
    return meanwhile, resumed_s - back_s


def _count(counts: dict[str, int], findings: Findings) -> None:
    counts["lost"] += len(findings.lost)
    counts["torn"] += len(findings.torn)
    counts["oversubscribed"] += len(findings.over_subscribed)
