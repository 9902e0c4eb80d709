"""The leader is stopped in its tracks until another leads, and goes on as if nothing had happened."""

import asyncio
import random
import signal

from digitalgrid.model import ResultCode
from tests.chaos.checks import Findings, stale_writes, watching_limits
from tests.chaos.cluster import Cluster
from tests.chaos.report import Report

# It goes on so soon after another was elected that some routers have not been greeted yet, or later.
_LONGEST_STOP_S = 0.3
_AFTERWARDS_S = 0.3


async def sigstop(made: Cluster, rounds: int, seed: int, report: Report) -> None:
    """{rounds, stale_writes_accepted}, and how many routers have refused.

    Counted the strict way: from the moment at which etcd told that another was elected, or the first router anywhere
    was greeted by it, whichever was sooner, no router may accept a lower election id, greeted or not.
    """
    chance = random.Random(seed)
    accepted = refused = 0
    for number in range(1, rounds + 1):
        findings = Findings()
        async with watching_limits(made.client, findings):
            await made.work(chance)
            stopped = await made.leader()
            stopped.signal(signal.SIGSTOP)
            await made.probe.admitted(without=stopped.northbound)
            await asyncio.sleep(chance.uniform(0, _LONGEST_STOP_S))
            stopped.signal(signal.SIGCONT)
            await asyncio.sleep(_AFTERWARDS_S)
            await made.load.pause()
        history = await made.check(findings)
        stale = list(stale_writes(history, made.elections.elected_at_s(history)))
        findings.other += [f"a stale write was accepted: {each}" for each in stale]
        accepted += len(stale)
        refused += sum(each.code is ResultCode.STALE_ELECTION_ID for each in history.mutations)
        report.fail("sigstop", number, seed, findings.all())
        report.progress(number, f"{accepted} stale writes accepted, {refused} refused")
    report.figures["sigstop"] = {
        "rounds": rounds,
        "stale_writes_accepted": accepted,
        "stale_writes_refused": refused,
    }
