"""The day as people and machines read it: a table of bills, checks, and ``market.json``."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from digitalgrid.market.v1 import market_pb2 as pb
from topologies.market_day.bills import Bill, bills_of
from topologies.market_day.checks import Check
from topologies.market_day.day import Day, Trade
from trading.core.units import MJ_PER_WH

_NANO = 10**9
_MJ_PER_KWH = 1_000 * MJ_PER_WH


def show(console: Console, day: Day, checks: Sequence[Check]) -> None:
    """Bills beside what the utility alone would have cost, then each check."""
    console.print(_bills_table(bills_of(day), day))
    for check in checks:
        sign = "[red]not well[/red]" if check.wrong else "[green]holds[/green]"
        console.print(f"{sign}: {check.name}{f': {check.wrong}' if check.wrong else ''}")


def to_json(day: Day, checks: Iterable[Check], failure: str) -> dict[str, Any]:
    told = list(checks)
    return {
        "ok": not failure and all(not check.wrong for check in told),
        "failure": failure,
        "seed": day.seed,
        "rotation": day.rotation,
        "checks": [{"check": each.name, "wrong": each.wrong} for each in told],
        "bills": [
            {
                "party": each.party,
                "bought_mj": each.bought_mj,
                "sold_mj": each.sold_mj,
                "traded_nano": each.traded_nano,
                "utility_nano": each.utility_nano,
                "utility_only_nano": each.utility_only_nano,
            }
            for each in bills_of(day)
        ],
        "operator_nano": _operator_nano(day),
        "intervals": [
            {
                "number": each.number,
                "start_unix_ns": each.start_ns,
                "mechanism": each.mechanism,
                "surplus_wh": dict(each.surplus_wh),
                "prices_micro_per_kwh": prices_of(day, each.start_ns),
            }
            for each in day.periods
        ],
        "faults": [
            {
                "interval": each.number,
                "mechanism": day.mechanism_of(each.number),
                "what": each.what,
                "target": each.target,
                "trades": sorted(each.concerned),
                "found": each.found,
            }
            for each in day.faults.values()
        ],
        "trades": [_trade_json(each) for each in day.trades],
    }


def prices_of(day: Day, start_ns: int) -> list[int]:
    """What buyers pay in an interval: one for the whole market, or of each router or match."""
    found = {
        each.transaction.buyer_micro_per_kwh
        for each in day.trades
        if each.transaction.interval.start_unix_ns == start_ns
    }
    return sorted(found)


def _trade_json(trade: Trade) -> dict[str, Any]:
    told, bill = trade.transaction, trade.settlement
    return {
        "trade_id": told.trade_id,
        "state": pb.TransactionState.Name(told.state).removeprefix("TRANSACTION_STATE_").lower(),
        "reason": told.reason,
        "buyer": told.buyer,
        "seller": told.seller,
        "interval_start_unix_ns": told.interval.start_unix_ns,
        "mechanism": told.mechanism,
        "wh": told.wh,
        "buyer_micro_per_kwh": told.buyer_micro_per_kwh,
        "seller_micro_per_kwh": told.seller_micro_per_kwh,
        "path": list(told.path),
        "injected_mj": bill.injected_mj,
        "delivered_mj": bill.delivered_mj,
        "quality": bill.quality,
        "lines": [
            {
                "kind": line.kind,
                "payer": line.payer,
                "payee": line.payee,
                "energy_mj": line.energy_mj,
                "micro_per_kwh": line.micro_per_kwh,
                "nano": line.nano,
            }
            for line in bill.lines
        ],
    }


def _operator_nano(day: Day) -> int:
    """What the operator has got in all: tolls, and what prices of routers differ by."""
    free, locked = day.balances.get(day.operator, (0, 0))
    return free + locked - day.deposits.get(day.operator, 0)


def _bills_table(bills: Sequence[Bill], day: Day) -> Table:
    table = Table(
        *("party", "bought kWh", "sold kWh", "market", "utility", "in all", "utility alone"),
        "saved",
        title="bills of the day: what is paid; below 0, what is earned",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for bill in bills:
        table.add_row(
            bill.party,
            f"{bill.bought_mj / _MJ_PER_KWH:.3f}",
            f"{bill.sold_mj / _MJ_PER_KWH:.3f}",
            *(_money(each) for each in (bill.traded_nano, bill.utility_nano, bill.nano)),
            *(_money(each) for each in (bill.utility_only_nano, bill.saved_nano)),
        )
    table.add_row("operator", "", "", _money(-_operator_nano(day)), "", "", "", "")
    total = sum(bill.traded_nano for bill in bills) - _operator_nano(day)
    saved = _money(sum(bill.saved_nano for bill in bills))
    table.add_row("sum", "", "", f"{total} nano", "", "", "", saved, style="bold")
    return table


def _money(nano: int) -> str:
    return f"{nano / _NANO:.4f}"
