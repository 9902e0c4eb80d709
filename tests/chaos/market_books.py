"""What must be true of a market after any accident: trades end once, nothing is left over, and money is what it was."""

import time
from collections.abc import Iterator

from digitalgrid.client import PowerClient
from digitalgrid.client.differences import count_differences
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.v1 import northbound_pb2 as power_pb
from tests.support.market_daemon import KEYS, MarketDaemon, has_ended
from trading.core.units import MJ_PER_WH

_ENDS_WITHIN_S = 60.0
# An orphan circuit has gone by then.
_GONE_WITHIN_S = 10.0
_POLL_S = 0.1
_OVER = {power_pb.CIRCUIT_STATE_WITHDRAWN, power_pb.CIRCUIT_STATE_FAILED}
_BILLED = {
    pb.TRANSACTION_STATE_SETTLED,
    pb.TRANSACTION_STATE_PARTIAL,
    pb.TRANSACTION_STATE_UNDELIVERED,
}


class MarketBooks:
    """Of a market with nothing but money in it yet."""

    def __init__(self, dgm: MarketDaemon, power: PowerClient) -> None:
        self._dgm = dgm
        self._power = power
        self._issued = self._money()
        self._ended: dict[str, pb.Transaction] = {}

    def trades(self) -> list[pb.Transaction]:
        with self._dgm.client("operator") as operator:
            return list(operator.list_transactions())

    def wrong(self) -> list[str]:
        """Once all trades have ended: a sentence on each thing that must not be."""
        with self._dgm.client("operator") as operator:
            deadline_s = time.monotonic() + _ENDS_WITHIN_S
            while operator.list_transactions(open_only=True) and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
        trades = self.trades()
        new = [each for each in trades if each.trade_id not in self._ended]
        return [
            *(f"{each.trade_id} hangs" for each in trades if not has_ended(each)),
            *self._orphans(),
            *self._lost(),
            *self._changed(trades),
            *(sentence for each in new for sentence in self._circuits(each)),
            *self._twice(),
        ]

    def _orphans(self) -> list[str]:
        """Circuits that no trade has any more, and what routers hold although nobody told them to."""
        deadline_s = time.monotonic() + _GONE_WITHIN_S
        while True:
            circuits = [c for c in self._power.list_circuits().circuits if c.state not in _OVER]
            found = self._power.reconcile(power_pb.ReconcileRequest(dry_run=True))
            left = [f"circuit {each.circuit_id} is left" for each in circuits]
            left += [f"{r.router_id} runs {r}" for r in found.routers if count_differences(r)]
            left += [f"{each} is not connected" for each in found.disconnected_router_ids]
            if not left or time.monotonic() > deadline_s:
                return left
            time.sleep(_POLL_S)

    def _lost(self) -> Iterator[str]:
        if (money := self._money()) != self._issued:
            yield f"accounts have {money} nano, and {self._issued} came in"
        with self._dgm.client("operator") as operator:
            for party in KEYS:
                if locked := operator.balance(party).locked_nano:
                    yield f"{party} has {locked} nano in escrow"

    def _money(self) -> int:
        with self._dgm.client("operator") as operator:
            balances = [operator.balance(party) for party in KEYS]
        return sum(each.free_nano + each.locked_nano for each in balances)

    def _changed(self, trades: list[pb.Transaction]) -> Iterator[str]:
        """Trades that are there twice, or have ended otherwise since."""
        if len({each.trade_id for each in trades}) != len(trades):
            yield "a trade is there twice"
        for each in trades:
            before = self._ended.setdefault(each.trade_id, each)
            if has_ended(before) and before.state != each.state:
                yield f"{each.trade_id} was {before.state}, and is {each.state}"

    def _circuits(self, trade: pb.Transaction) -> Iterator[str]:
        registers = self._power.list_registers(request_id=trade.request_id)
        circuits = {each.circuit_id for each in registers}
        if len(circuits) > 1:
            yield f"{trade.request_id} has circuits {sorted(circuits)}"
        if trade.state not in _BILLED:
            return
        with self._dgm.client("operator") as operator:
            bill = operator.get_settlement(trade.trade_id).settlement
        delivered_mj = sum(each.delivered_mj for each in registers)
        if bill.delivered_mj != delivered_mj:
            yield f"{trade.trade_id} is billed {bill.delivered_mj} mJ, registers say {delivered_mj}"
        if bill.contract_mj != trade.wh * MJ_PER_WH:
            yield f"{trade.trade_id} is of {trade.wh} Wh, and its bill of {bill.contract_mj} mJ"

    def _twice(self) -> Iterator[str]:
        """Money of a trade is locked and let go of once, by the log."""
        seen: set[tuple[str, str]] = set()
        with self._dgm.client("operator") as operator:
            size = ledger_pb2.TreeHead.FromString(operator.head().head.head).size
            for signed in operator.entries(0, size):
                entry = ledger_pb2.Entry.FromString(signed.entry)
                body = entry.WhichOneof("body")
                if body in ("lock", "close"):
                    of = body, getattr(entry, body).trade_id
                    if of in seen:
                        yield f"a second {body} of {of[1]}"
                    seen.add(of)
