"""An exchange is killed at every step of a trade, before and after the step is written, and started again."""

import asyncio
import os
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.client import PowerClient
from digitalgrid.client.errors import PowerError
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.v1 import northbound_pb2 as power_pb
from tests.chaos.report import Progress, Report
from tests.support.market_daemon import KEYS, MarketDaemon, market_daemon, tender
from tests.support.networks import LINE3, network
from trading.core.trades import State

_DYING = "from tests.chaos.dying_exchange import main; main()"
# Steps of a trade that goes well, and of one for which the network has no way.
_WELL = (
    # That it is matched is written with that it is being held.
    *(State.HOLDING, State.HELD, State.FUNDED, State.CONFIRMED),
    *(State.DELIVERING, State.METERING, State.SETTLING, State.SETTLED),
)
_REFUSED = (State.UNWINDING, State.REJECTED)
STEPS = [(state, when) for state in (*_WELL, *_REFUSED) for when in ("before", "after")]
# Each of them three times.
ROUNDS = 3 * len(STEPS)
_DIES_WITHIN_S, _ENDS_WITHIN_S = 30.0, 60.0
# An orphan circuit has gone by then.
_GONE_WITHIN_S = 10.0
_POLL_S = 0.1
_OVER = {power_pb.CIRCUIT_STATE_WITHDRAWN, power_pb.CIRCUIT_STATE_FAILED}


async def market_kills(rounds: int, seed: int, progress: Progress) -> Report:
    """Each trade ends once, nothing is left of circuits and escrows, and no nano is made or lost."""
    return await asyncio.to_thread(_market_kills, rounds, seed, progress)


def _market_kills(rounds: int, seed: int, progress: Progress) -> Report:
    report = Report()
    with TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        directory = Path(name)
        options = stack.enter_context(network(directory / "run", LINE3))
        dgm = stack.enter_context(market_daemon(directory, options.northbound))
        power = stack.enter_context(PowerClient(options.northbound))
        issued = _money(dgm)
        ended_s: list[float] = []
        for number in range(1, rounds + 1):
            state, when = STEPS[(number - 1) % len(STEPS)]
            dgm.kill()
            _trade_and_die(dgm, f"{number}", state, when)
            began_s = time.monotonic()
            dgm.start()
            _tender(dgm, f"{number}", refused=state in _REFUSED)
            report.fail("market-kills", number, seed, _wrong(dgm, power, issued))
            ended_s.append(time.monotonic() - began_s)
            progress(number, f"killed {when} a trade was {state}")
        report.figures["market_kills"] = {
            "rounds": rounds,
            "steps": len(STEPS),
            "failures": len(report.failures),
            "ended_max_s": round(max(ended_s), 2),
        }
    return report


def _trade_and_die(dgm: MarketDaemon, order_id: str, state: State, when: str) -> None:
    dgm.start(_DYING, environment=os.environ | {"DIES": f"{state}:{when}"})
    _tender(dgm, order_id, refused=state in _REFUSED)
    dgm.wait_until_dead(_DIES_WITHIN_S)


def _tender(dgm: MarketDaemon, order_id: str, *, refused: bool) -> None:
    """Again under the same ids, if they were not taken before it died; who comes too late has tendered for nothing."""
    try:
        with dgm.client("bob") as bob, dgm.client("ann") as ann:
            interval = ann.market().intervals[-1].interval
            if any(o.tender.order_id == order_id for o in ann.list_tenders("ann")):
                return
            bob.create_tenders([tender(pb.SIDE_SELL, "bob", interval, order_id)])
            bid = tender(pb.SIDE_BUY, "ann", interval, order_id)
            if refused:
                bid.avoid_ids.append("r2")
            ann.create_tenders([bid])
    except PowerError:
        # It died meanwhile.
        return


def _wrong(dgm: MarketDaemon, power: PowerClient, issued: int) -> list[str]:
    with dgm.client("operator") as operator:
        deadline_s = time.monotonic() + _ENDS_WITHIN_S
        while operator.list_transactions(open_only=True) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        wrong = [f"{t.trade_id} hangs" for t in operator.list_transactions(open_only=True)]
        trades = operator.list_transactions()
    wrong += _orphans(power)
    if (money := _money(dgm)) != issued:
        wrong.append(f"accounts have {money} nano, and {issued} came in")
    wrong += _locked(dgm)
    if len({each.trade_id for each in trades}) != len(trades):
        wrong.append("a trade is there twice")
    for trade in trades:
        circuits = {each.circuit_id for each in power.list_registers(request_id=trade.request_id)}
        if len(circuits) > 1:
            wrong.append(f"{trade.request_id} has circuits {sorted(circuits)}")
    return wrong + _twice(dgm)


def _orphans(power: PowerClient) -> list[str]:
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while True:
        left = [c for c in power.list_circuits().circuits if c.state not in _OVER]
        if not left or time.monotonic() > deadline_s:
            return [f"circuit {each.circuit_id} is left" for each in left]
        time.sleep(_POLL_S)


def _locked(dgm: MarketDaemon) -> list[str]:
    with dgm.client("operator") as operator:
        locked = {party: operator.balance(party).locked_nano for party in KEYS}
    return [f"{party} has {nano} nano in escrow" for party, nano in locked.items() if nano]


def _money(dgm: MarketDaemon) -> int:
    with dgm.client("operator") as operator:
        balances = [operator.balance(party) for party in KEYS]
    return sum(each.free_nano + each.locked_nano for each in balances)


def _twice(dgm: MarketDaemon) -> list[str]:
    """Money of a trade is locked and let go of once, by the log."""
    seen: set[tuple[str, str]] = set()
    wrong = []
    with dgm.client("operator") as operator:
        size = ledger_pb2.TreeHead.FromString(operator.head().head.head).size
        for signed in operator.entries(0, size):
            entry = ledger_pb2.Entry.FromString(signed.entry)
            body = entry.WhichOneof("body")
            if body in ("lock", "close"):
                of = body, getattr(entry, body).trade_id
                if of in seen:
                    wrong.append(f"a second {body} of {of[1]}")
                seen.add(of)
    return wrong
