"""What is remembered of the day: intervals, trades with their bills, faults, and what registers and accounts said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from digitalgrid.market.v1 import market_pb2 as pb

# Trades that were agreed for good, and have a bill; and all that have ended.
AGREED = frozenset(
    {
        pb.TRANSACTION_STATE_SETTLED,
        pb.TRANSACTION_STATE_PARTIAL,
        pb.TRANSACTION_STATE_UNDELIVERED,
    }
)
ENDED = AGREED | {
    pb.TRANSACTION_STATE_REJECTED,
    pb.TRANSACTION_STATE_EXPIRED,
    pb.TRANSACTION_STATE_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Period:
    """One interval. ``surplus_wh``: what each prosumer had too much, below 0 what he lacked."""

    number: int
    start_ns: int
    mechanism: str
    surplus_wh: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trade:
    """A transaction as it ended, and its bill; ``settlement`` has no lines where none was made."""

    transaction: pb.Transaction
    settlement: pb.Settlement

    @property
    def trade_id(self) -> str:
        return self.transaction.trade_id

    @property
    def lines(self) -> Iterable[pb.BillLine]:
        return self.settlement.lines

    def line(self, kind: str) -> pb.BillLine | None:
        return next((line for line in self.lines if line.kind == kind), None)


@dataclass(slots=True)
class Fault:
    """What was done to the network or the market, on purpose; ``concerned``: trades that it was to hit."""

    number: int
    what: str
    target: str = ""
    concerned: set[str] = field(default_factory=set)
    found: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Day:
    prices: pb.Tariff
    operator: str
    periods: list[Period] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    clearings: list[pb.Clearing] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    deposits: dict[str, int] = field(default_factory=dict)
    # Free and locked, by account.
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Millijoules injected and delivered of a request's circuit, over its generations; None where an end said nothing.
    registers: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    # Circuits of a request that the controller knows, and of those that are not over, their ids.
    circuits: dict[str, int] = field(default_factory=dict)
    left_over: list[int] = field(default_factory=list)
    # Its limits, habits and clouds are drawn from this; by so many mechanisms it begins later than with the first.
    seed: int = 1
    rotation: int = 0

    def mechanism_of(self, number: int) -> str:
        """As the market told; empty of an interval that did not come."""
        return next((each.mechanism for each in self.periods if each.number == number), "")

    def of_interval(self, number: int) -> list[Trade]:
        start_ns = next(each.start_ns for each in self.periods if each.number == number)
        return [t for t in self.trades if t.transaction.interval.start_unix_ns == start_ns]

    def concerned(self, fault: str) -> list[Trade]:
        known = self.faults.get(fault)
        wanted = known.concerned if known is not None else set()
        return [trade for trade in self.trades if trade.trade_id in wanted]
