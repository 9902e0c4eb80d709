"""Two exchanges sell one source to one load: sells, buys and withdrawals race, from processes of their own."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitalgrid.client import PowerClient
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.v1 import northbound_pb2
from tests.chaos.report import Report
from tests.support.ledgers import deposit, ledger
from tests.support.market_daemon import KEYS, PARTIES, MarketDaemon, market_daemon
from tests.support.networks import network
from tests.support.patience import PATIENCE_S
from tests.support.races import Ended, Locks, Race, Tenders, Withdrawals, as_processes, locked
from trading.client.blocking import MarketClient
from trading.core.units import wh_below
from trading.ledger.log_file import verify_file
from trading.ledger.sqlite_storage import SqliteStorage
from trading.reasons import MarketReason

# Of each kind, at each of the two exchanges; and of locks.
_TENDERS = 1_000
# The source has a tenth of what is offered; of buys that fit, the buyer has money for so many until the operator takes
# a quarter of it away.
_SOURCE_W, _FITTING, _AFFORDABLE = 1e6, 0.1, 0.8
_GRID = f"""
name: race
defaults: {{voltage_v: 20000, efficiency: 0.97, ampacity_a: 300}}
routers: [{{id: r1}}, {{id: r2}}, {{id: r3}}]
links:
  - {{id: r1-r2, a: r1, b: r2, resistance_ohm: 0.48}}
  - {{id: r2-r3, a: r2, b: r3, resistance_ohm: 0.36}}
sources: [{{id: source1, router: r1, max_power_w: {_SOURCE_W:.0f}}}]
loads: [{{id: load3, router: r3, power_w: 4000000}}]
"""
# Long enough that no gate closes meanwhile.
_MARKET = {"interval_s": 600, "gate_s": 2, "ahead": 2, "mechanisms": ["continuous"]}
_AT_ONCE = {"orders_per_party": 100_000, "tenders_per_s": 1e6, "tender_burst": 1_000_000}
_SELLS_FOR, _BUYS_FOR = 100_000, 220_000
_POLL_S = 0.2
_UNDECIDED = {
    pb.TRANSACTION_STATE_MATCHED,
    pb.TRANSACTION_STATE_HOLDING,
    pb.TRANSACTION_STATE_HELD,
    pb.TRANSACTION_STATE_FUNDED,
    pb.TRANSACTION_STATE_REVOKING,
    pb.TRANSACTION_STATE_UNWINDING,
}
Start = Callable[[Sequence[Race]], list[Callable[[], Ended]]]


async def market_race(rounds: int, seed: int, report: Report) -> None:
    """No meter is sold beyond what it gives, no source promised twice, no balance below nothing, no money without a
    circuit.
    """
    await asyncio.to_thread(_market_race, rounds, seed, report)


def _market_race(rounds: int, seed: int, report: Report) -> None:
    figures: Counter[str] = Counter()
    for number in range(1, rounds + 1):
        with TemporaryDirectory(prefix="chaos-") as name:
            found = raced(Path(name), _TENDERS, as_processes)
        report.fail("market-race", number, seed, found.wrong)
        figures += found.figures
        report.progress(number, f"{found.figures['tenders']} tenders raced")
    report.figures["market_race"] = {"rounds": rounds, **figures}


class Found:
    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self.wrong: list[str] = []

    def hold(self, holds: bool, otherwise: str) -> None:
        if not holds and otherwise not in self.wrong:
            self.wrong.append(otherwise)


def raced(directory: Path, tenders: int, start: Start) -> Found:
    """Of each kind so many, from racers that ``start`` starts."""
    found = Found()
    grid = directory / "race.grid.yaml"
    grid.write_text(_GRID)
    with ExitStack() as stack:
        options = stack.enter_context(network(directory / "run", grid))
        power = stack.enter_context(PowerClient(options.northbound, timeout_s=PATIENCE_S))
        exchanges = [
            stack.enter_context(_exchange(directory, name, options.northbound))
            for name in ("one", "other")
        ]
        clients = [stack.enter_context(each.client("operator")) for each in exchanges]
        racers = [
            each
            for dgm, client in zip(exchanges, clients, strict=True)
            for each in _racers(dgm, client, tenders)
        ]
        waiting = start(racers)
        watched = _Watched(power, clients, found)
        ended = _while_watching(waiting, watched)
        _count(found, racers, ended)
        watched.until_decided()
        for dgm, client in zip(exchanges, clients, strict=True):
            _check(found, dgm, client)
        _check_together(found, power, clients)
    _race_of_locks(found, directory / "locks.sqlite", tenders, start)
    return found


def _exchange(directory: Path, name: str, controller: str) -> Any:
    (directory / name).mkdir()
    ann, bob = PARTIES
    parties = [
        {**ann, "meters": [{**ann["meters"][0], "max_drawn_w": 4e6}]},  # type: ignore[dict-item]
        {**bob, "meters": [{**bob["meters"][0], "max_injected_w": _SOURCE_W}]},  # type: ignore[dict-item]
    ]
    market = {**_MARKET, **_AT_ONCE, "name": name}
    return market_daemon(directory / name, controller, market=market, parties=parties)


def _racers(dgm: MarketDaemon, client: MarketClient, tenders: int) -> Iterator[Race]:
    """Two that sell and two that buy, half of them each, and one that takes money away meanwhile."""
    interval = client.market().intervals[-1].interval
    fitting = max(2, round(_FITTING * tenders))
    wh = wh_below(_SOURCE_W, interval.length_ns) // fitting
    money = round(_AFFORDABLE * fitting) * wh * _BUYS_FOR
    client.withdraw("ann", client.balance("ann").free_nano - money, "first")
    for name in ("a", "b"):
        for party, side, limit in (
            ("bob", pb.SIDE_SELL, _SELLS_FOR),
            ("ann", pb.SIDE_BUY, _BUYS_FOR),
        ):
            yield Tenders(
                f"{name} {party}",
                dgm.server,
                party,
                side,
                tenders // 2,
                wh,
                limit,
                interval.start_unix_ns,
                interval.length_ns,
            )
    # In small pieces, a quarter of what there is: with the rest both buyers can still pay for more than the source has.
    yield Withdrawals("c", dgm.server, "ann", tenders, money // (4 * tenders))


class _Watched:
    """What must be true at every moment."""

    def __init__(self, power: PowerClient, clients: Sequence[MarketClient], found: Found) -> None:
        self._power = power
        self._clients = clients
        self._found = found

    def look(self) -> None:
        (source,) = self._power.get_topology().sources
        hold = self._found.hold
        self._found.figures["looks"] += 1
        reserved = f"{source.reserved_w:.0f} W of {source.max_power_w:.0f} are reserved"
        hold(source.reserved_w <= source.max_power_w * (1 + 1e-9), reserved)
        for client in self._clients:
            for each in client.list_positions("bob"):
                sold = each.sold_wh + each.open_sold_wh
                hold(sold <= each.most_sold_wh, f"{sold} Wh of {each.most_sold_wh} are sold")
            for party in KEYS:
                balance = client.balance(party)
                hold(min(balance.free_nano, balance.locked_nano) >= 0, f"{party} has {balance}")

    def until_decided(self) -> None:
        """No trade is on its way to be binding, or undone."""
        deadline_s = time.monotonic() + PATIENCE_S
        while any(
            each.state in _UNDECIDED
            for client in self._clients
            for each in client.list_transactions(open_only=True)
        ):
            self.look()
            if time.monotonic() > deadline_s:
                self._found.wrong.append("trades hang")
                return
            time.sleep(_POLL_S)


def _while_watching(waiting: Sequence[Callable[[], Ended]], watched: _Watched) -> list[Ended]:
    with ThreadPoolExecutor(len(waiting)) as pool:
        ends = [pool.submit(each) for each in waiting]
        while not all(each.done() for each in ends):
            watched.look()
            time.sleep(_POLL_S)
        return [each.result() for each in ends]


def _count(found: Found, racers: Sequence[Race], ended: Sequence[Ended]) -> None:
    known = {
        Tenders: {"", MarketReason.POSITION_LIMIT, MarketReason.FUNDS},
        Withdrawals: {"", "BALANCE_TOO_LOW"},
    }
    for race, end in zip(racers, ended, strict=True):
        odd = {reason: count for reason, count in end.items() if reason not in known[type(race)]}
        found.hold(not odd, f"racer {race.name} was refused for {odd}")
        if isinstance(race, Tenders):
            found.figures["tenders"] += end.total()
            found.figures["refused_for_position"] += end[MarketReason.POSITION_LIMIT]
            found.figures["refused_for_funds"] += end[MarketReason.FUNDS]
        else:
            found.figures["withdrawals"] += end[""]


def _check(found: Found, dgm: MarketDaemon, client: MarketClient) -> None:
    trades = client.list_transactions()
    confirmed = [each for each in trades if each.state == pb.TRANSACTION_STATE_CONFIRMED]
    found.figures["confirmed"] += len(confirmed)
    found.figures["refused_by_capacity"] += sum(
        each.state == pb.TRANSACTION_STATE_REJECTED and not each.circuit_id for each in trades
    )
    locks = set(_locks(client))
    found.figures["locks"] += len(locks)
    without = locks - {each.trade_id for each in trades if each.circuit_id}
    found.hold(not without, f"money was locked without a circuit: {sorted(without)}")
    # All balances from the first entry on: none was ever below nothing, nor anything made or lost.
    accounts = verify_file(dgm.state / "ledger.sqlite").accounts
    found.hold(accounts.total == accounts.issued, "money was made or lost")
    held = {each.trade_id for each in confirmed}
    found.hold(set(accounts.escrows) == held, "escrows are others than trades")


def _check_together(found: Found, power: PowerClient, clients: Sequence[MarketClient]) -> None:
    trades = [each for client in clients for each in client.list_transactions()]
    confirmed = [each for each in trades if each.state == pb.TRANSACTION_STATE_CONFIRMED]
    # By the controller, and not by what the exchanges know of it: one that was lost, or left behind, is none of theirs.
    held = {
        each.circuit_id
        for each in power.list_circuits().circuits
        if each.state == northbound_pb2.CIRCUIT_STATE_RESERVED
    }
    paid = {each.circuit_id for each in confirmed}
    found.hold(not paid - held, f"money is locked for circuits that are not held: {paid - held}")
    found.hold(not held - paid, f"circuits are held for no trade: {held - paid}")
    most_wh = wh_below(_SOURCE_W, confirmed[0].interval.length_ns) if confirmed else 0
    injected_wh = sum(each.wh * each.held_injected_ppm / 1e6 for each in confirmed)
    found.hold(
        injected_wh <= most_wh, f"{injected_wh:.0f} Wh of {most_wh} are promised by both together"
    )
    for name in ("confirmed", "refused_for_position", "refused_for_funds", "refused_by_capacity"):
        found.hold(found.figures[name] > 0, f"there was no race: nothing was {name}")


def _locks(client: MarketClient) -> Iterator[str]:
    """Trades that money was locked for, by the log."""
    size = ledger_pb2.TreeHead.FromString(client.head().head.head).size
    for signed in client.entries(0, size):
        entry = ledger_pb2.Entry.FromString(signed.entry)
        if entry.HasField("lock"):
            yield entry.lock.trade_id


def _race_of_locks(found: Found, path: Path, locks: int, start: Start) -> None:
    """Two writers of one ledger's file, for a tenth of what both want to lock."""
    most = locks // 10
    book = ledger(SqliteStorage(path))
    book.write("deposit", deposit("ann", most))
    book.close()
    writers = [Locks(name, str(path), "ann", locks // 2) for name in ("a", "b")]
    ended = sum((each() for each in start(writers)), Ended())
    found.figures["locks_of_one_balance"] += ended.total()
    found.hold(locked(path, "ann") == ended[""] == most, f"{ended['']} nanos of {most} were locked")
    verify_file(path)
