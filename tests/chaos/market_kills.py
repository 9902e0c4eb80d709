"""An exchange is killed at every step of a trade, before and after the step is written, and started again."""

import asyncio
import os
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.client import PowerClient
from digitalgrid.client.errors import PowerError
from digitalgrid.market.v1 import market_pb2 as pb
from tests.chaos.killing_exchange import KILLS, PROGRAM, Killing
from tests.chaos.market_books import MarketBooks
from tests.chaos.report import Report
from tests.support.market_daemon import MarketDaemon, market_daemon, tender
from tests.support.networks import LINE3, network
from trading.client.blocking import MarketClient
from trading.core.trades import State

# Steps of a trade that goes well, and of one for which the network has no way.
_WELL = (
    # That it is matched is written with that it is being held.
    *(State.HOLDING, State.HELD, State.FUNDED, State.CONFIRMED),
    *(State.DELIVERING, State.METERING, State.SETTLING, State.SETTLED),
)
_REFUSED = (State.UNWINDING, State.REJECTED)
STEPS = [(state, is_before) for state in (*_WELL, *_REFUSED) for is_before in (True, False)]
# Each of them three times.
ROUNDS = 3 * len(STEPS)
_DIES_WITHIN_S = 30.0
_POLL_S = 0.1


async def market_kills(rounds: int, seed: int, report: Report) -> None:
    """Each trade ends once, nothing is left of circuits and escrows, and no nano is made or lost."""
    await asyncio.to_thread(_market_kills, rounds, seed, report)


def _market_kills(rounds: int, seed: int, report: Report) -> None:
    with TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        directory = Path(name)
        options = stack.enter_context(network(directory / "run", LINE3))
        dgm = stack.enter_context(market_daemon(directory, options.northbound))
        books = MarketBooks(dgm, stack.enter_context(PowerClient(options.northbound)))
        ended_s: list[float] = []
        for number in range(1, rounds + 1):
            state, is_before = STEPS[(number - 1) % len(STEPS)]
            dgm.kill()
            _trade_and_die(dgm, f"{number}", Killing(state, is_before), directory / "kills")
            began_s = time.monotonic()
            dgm.start()
            trade_between(dgm, f"{number}", refused=state in _REFUSED)
            report.fail("market-kills", number, seed, books.wrong())
            ended_s.append(time.monotonic() - began_s)
            report.progress(
                number, f"killed {'before' if is_before else 'after'} a trade was {state}"
            )
        report.figures["market_kills"] = {
            "rounds": rounds,
            "steps": len(STEPS),
            "failures": len(report.failures),
            "ended_max_s": round(max(ended_s), 2),
        }


def _trade_and_die(dgm: MarketDaemon, order_id: str, killing: Killing, orders: Path) -> None:
    killing.write(orders)
    dgm.start(PROGRAM, environment=os.environ | {KILLS: str(orders)})
    trade_between(dgm, order_id, refused=killing.state in _REFUSED)
    dgm.wait_until_dead(_DIES_WITHIN_S)


def trade_between(dgm: MarketDaemon, order_id: str, *, refused: bool = False) -> None:
    """Bob sells to Ann, ``refused``: what the network will not carry. Again under the same ids, if they were not taken
    before the exchange died; who comes too late has tendered for nothing.
    """
    try:
        with dgm.client("bob") as bob, dgm.client("ann") as ann:
            if any(o.tender.order_id == order_id for o in ann.list_tenders("ann")):
                return
            interval = _untouched(ann)
            bob.create_tenders([tender(pb.SIDE_SELL, "bob", interval, order_id)])
            bid = tender(pb.SIDE_BUY, "ann", interval, order_id)
            if refused:
                bid.avoid_ids.append("r2")
            ann.create_tenders([bid])
    except PowerError:
        # It died meanwhile.
        return


def _untouched(ann: MarketClient) -> pb.Interval:
    """An interval in which there was no trade: where the network has refused one between two meters, a continuous
    market does not ask it again.
    """
    taken = {each.tender.interval.start_unix_ns for each in ann.list_tenders("ann")}
    while True:
        interval = ann.market().intervals[-1].interval
        if interval.start_unix_ns not in taken:
            return interval
        time.sleep(_POLL_S)
