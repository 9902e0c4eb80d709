"""Checks of the day: each is a sentence that holds, or does not. Pure but for the log's file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from topologies.market_day.bills import paid
from topologies.market_day.day import AGREED, ENDED, Day, Trade
from topologies.market_day.exchange import MECHANISMS
from trading.client.checking import BadLog, check_log
from trading.core.units import MJ_PER_WH

# Of what was agreed, while nobody controls, as meters are read between ticks, a tenth of a second apart; and in all, as
# power may begin late.
_FLOWS_ON = _ARRIVES = 0.9


@dataclass(frozen=True, slots=True)
class Check:
    """``wrong`` says what is not as it should be; empty where all is well."""

    name: str
    wrong: str


def checks_of(day: Day) -> list[Check]:
    """Of trades, money, energy, and of each fault that was made."""
    checks: dict[str, Callable[[Day], Iterator[str]]] = {
        "each interval has the rule that is planned": _rotated,
        "every trade has ended": _ended,
        "each interval's bill adds up to 0": _zero,
        "accounts are what bills say, and nothing is locked": _accounts,
        "energy that is paid for is what both ends' registers say": _energy,
        "each request has one circuit, and none is left": _circuits,
        "every clearing is right by an independent check": _verified,
        **{f"fault: {name}": _OF_FAULT[name] for name in day.faults},
    }
    return [Check(name, "; ".join(check(day))) for name, check in checks.items()]


def _rotated(day: Day) -> Iterator[str]:
    for period in day.periods:
        planned = MECHANISMS[(day.rotation + period.number - 1) % len(MECHANISMS)]
        if period.mechanism != planned:
            yield f"interval {period.number} is {period.mechanism or 'not open'}, and not {planned}"


def _ended(day: Day) -> Iterator[str]:
    if not any(each.transaction.state in AGREED for each in day.trades):
        yield "there is none"
    for trade in day.trades:
        if trade.transaction.state not in ENDED:
            yield f"{trade.trade_id} is {_state(trade)}"


def _zero(day: Day) -> Iterator[str]:
    for period in day.periods:
        trades = day.of_interval(period.number)
        total = sum(paid(trades, party) for party in (*period.surplus_wh, day.operator))
        if total:
            yield f"interval {period.number}: {total} nano"


def _accounts(day: Day) -> Iterator[str]:
    if sum(free + locked for free, locked in day.balances.values()) != sum(day.deposits.values()):
        yield "accounts do not add up to what came in"
    for party, (free, locked) in day.balances.items():
        expected = day.deposits[party] - paid(day.trades, party)
        if locked or free != expected:
            yield f"{party} has {free} nano and {locked} locked; bills say {expected}"


def _energy(day: Day) -> Iterator[str]:
    decided = _disputed_of(day)
    for trade in day.trades:
        if trade.transaction.state not in AGREED or trade.trade_id in decided:
            continue
        injected_mj, delivered_mj = day.registers[trade.transaction.request_id]
        settled = trade.settlement
        if (settled.injected_mj, settled.delivered_mj) != (injected_mj, delivered_mj):
            yield (
                f"{trade.trade_id} settled {settled.delivered_mj} mJ of {settled.injected_mj};"
                f" registers say {delivered_mj} of {injected_mj}"
            )
        energy = trade.line("energy")
        bought_mj = min(settled.delivered_mj, trade.transaction.wh * MJ_PER_WH)
        if energy is not None and energy.energy_mj != bought_mj:
            yield f"{trade.trade_id} is billed {energy.energy_mj} mJ, and got {bought_mj}"


def _circuits(day: Day) -> Iterator[str]:
    for request_id, circuits in day.circuits.items():
        if circuits > 1:
            yield f"{request_id} has {circuits} circuits"
    if day.left_over:
        yield f"circuits {day.left_over} are left"


def _verified(day: Day) -> Iterator[str]:
    for clearing in day.clearings:
        if not clearing.verified:
            at_ns = clearing.interval.interval.start_unix_ns
            yield f"{clearing.interval.mechanism} of {at_ns}: {clearing.verification}"


def _cut(day: Day) -> Iterator[str]:
    yield from _some(day, "line cut")
    for trade in day.concerned("line cut"):
        if trade.settlement.short_mj or trade.line("shortfall"):
            yield f"{trade.trade_id}: the seller pays for the network"


def _short(day: Day) -> Iterator[str]:
    yield from _some(day, "source short")
    trades = day.concerned("source short")
    if not any(each.line("shortfall") for each in trades):
        yield "nobody pays for it"
    for trade in trades:
        yield from _made_whole(day, trade)


def _made_whole(day: Day, trade: Trade) -> Iterator[str]:
    """The buyer pays what he would have for all of it, to the nano that each line is rounded by."""
    settled, price = trade.settlement, trade.transaction.buyer_micro_per_kwh
    lines = [line for line in trade.lines if line.kind in ("energy", "network", "shortfall")]
    bought = sum(line.nano if line.payer == trade.transaction.buyer else 0 for line in lines)
    bought -= sum(line.nano for line in lines if line.payee == trade.transaction.buyer)
    elsewhere = settled.short_mj * day.prices.utility_micro_per_kwh // MJ_PER_WH
    agreed = (settled.contract_mj - settled.curtailed_mj) * price // MJ_PER_WH
    if abs(bought + elsewhere - agreed) > len(lines) + 2:
        yield f"{trade.trade_id}: the buyer pays {bought + elsewhere} nano instead of {agreed}"


def _crash(day: Day) -> Iterator[str]:
    yield from _some(day, "exchange killed")
    if not day.faults["exchange killed"].found.get("while settling"):
        yield "it was not killed while it settled"


def _controller(day: Day) -> Iterator[str]:
    yield from _some(day, "controller killed")
    found = day.faults["controller killed"].found
    flowed: dict[str, float] = found.get("flowed", {})  # type: ignore[assignment]
    for trade in day.concerned("controller killed"):
        if (share := flowed.get(trade.trade_id, 0.0)) < _FLOWS_ON:
            yield f"{trade.trade_id}: {share:.0%} of its power flowed on"
        settled = trade.settlement
        if settled.delivered_mj < _ARRIVES * settled.contract_mj:
            # Once the controller is back it is not to end either.
            yield f"{trade.trade_id}: {settled.delivered_mj} mJ of {settled.contract_mj} arrived"


def _lie(day: Day) -> Iterator[str]:
    """Of trades in which it does not show, registers count as they are: see :func:`_energy`."""
    shows: list[str] = day.faults["sink lies"].found.get("shows", [])  # type: ignore[assignment]
    disputed = _disputed_of(day)
    if not shows:
        yield "it hit no trade in which it shows"
    if unseen := sorted(set(shows) - disputed):
        yield f"{unseen} are lied about, and not disputed"
    for trade in day.concerned("sink lies"):
        if trade.trade_id not in disputed:
            continue
        if trade.settlement.disputed or trade.line("shortfall"):
            yield f"{trade.trade_id}: the seller pays for the lie"
        _, said_mj = day.registers[trade.transaction.request_id]
        if said_mj is None or trade.settlement.delivered_mj <= said_mj:
            yield f"{trade.trade_id}: the lie counts"


def _disputed_of(day: Day) -> set[str]:
    """Trades of which the operator has decided that a sink lies."""
    fault = day.faults.get("sink lies")
    found: list[str] = fault.found.get("disputed", []) if fault else []  # type: ignore[assignment]
    return set(found)


def _second(day: Day) -> Iterator[str]:
    found = day.faults["sold twice"].found
    trades: dict[str, str] = found.get("trades", {})  # type: ignore[assignment]
    if not trades:
        yield "the second exchange matched nothing"
    for trade_id, told in trades.items():
        # Of what the buyer's load has room for, only the source can be why it is refused.
        if not told.startswith("rejected") or "LOAD_LIMIT" in told:
            yield f"{trade_id} of the second exchange is {told}"
    if found.get("locks"):
        yield f"the second exchange locked money {found['locks']} times"


def _unplugged(day: Day) -> Iterator[str]:
    yield from _some(day, "car unplugged")
    trades = day.concerned("car unplugged")
    if not any(each.settlement.refused_mj for each in trades):
        yield "nothing was refused"
    for trade in trades:
        if trade.line("shortfall"):
            yield f"{trade.trade_id}: the seller pays for who drove away"


_OF_FAULT: dict[str, Callable[[Day], Iterator[str]]] = {
    "line cut": _cut,
    "source short": _short,
    "exchange killed": _crash,
    "controller killed": _controller,
    "sink lies": _lie,
    "sold twice": _second,
    "car unplugged": _unplugged,
}


def _some(day: Day, fault: str) -> Iterator[str]:
    if not day.concerned(fault):
        yield "it hit no trade"


def check_ledger(ledger: Path, day: Day, scratch: Path) -> list[Check]:
    """The log's file by itself: whole, with the balances of the day; and found out where one bit is another."""
    checked = check_log(ledger)
    accounts = {name: free for name, (free, _) in day.balances.items() if free}
    wrong = "" if checked.balances_nano == accounts else "its balances are not those of the day"
    whole = Check(f"the log of {checked.size} entries is whole", wrong)
    once = Check("money of each trade is locked and closed once", "; ".join(_twice(ledger)))
    seq = checked.size // 2
    with_flipped_bit(ledger, scratch, seq)
    try:
        check_log(scratch)
        said = f"a bit of entry {seq} is another, and nobody sees it"
    except BadLog as bad:
        said = "" if bad.seq == seq else f"a bit of entry {seq} is another, and it says: {bad}"
    return [whole, once, Check("fault: log altered by one bit", said)]


def with_flipped_bit(ledger: Path, copy: Path, seq: int) -> None:
    """A copy of a log's file, in which one bit of an entry is another."""
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        ((signed,),) = target.execute("SELECT signed FROM entries WHERE seq = ?", (seq,))
        changed = bytearray(signed)
        changed[len(changed) // 2] ^= 1
        target.execute("UPDATE entries SET signed = ? WHERE seq = ?", (bytes(changed), seq))
        target.commit()


def _twice(ledger: Path) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    with closing(sqlite3.connect(ledger)) as log:
        for (signed,) in log.execute("SELECT signed FROM entries ORDER BY seq"):
            entry = ledger_pb2.Entry.FromString(ledger_pb2.SignedEntry.FromString(signed).entry)
            for kind in ("lock", "close"):
                if entry.HasField(kind):
                    of = (kind, getattr(entry, kind).trade_id)
                    if of in seen:
                        yield f"{of[1]}: a second {kind}"
                    seen.add(of)


def _state(trade: Trade) -> str:
    name = pb.TransactionState.Name(trade.transaction.state)
    return name.removeprefix("TRANSACTION_STATE_").lower()
