"""Trades: a match on its way to a settled bill. What is known of one, what happens to it, what it asks of others."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from digitalgrid.units import NS_PER_S
from trading.core.attribution import Cause, Missed, within
from trading.core.orders import ANY_WAY, PPM, Constraints, Interval
from trading.core.readings import Ends, Estimate, Evidence, evidence_of
from trading.core.settlement import Line, LineKind, Locks, Party, Posting, Settlement, Terms
from trading.core.units import MicroPerKwh, Millijoule, Wh

# What a ledger says of money that is to leave an escrow that was closed before (see trading.ledger.refusals).
NO_ESCROW = "NO_ESCROW"
# Why nothing, or no more, was paid of a bill: everybody had got back before what he had locked.
REFUNDED = "REFUNDED"


class State(StrEnum):
    MATCHED = "matched"
    HOLDING = "holding"
    HELD = "held"
    FUNDED = "funded"
    REVOKING = "revoking"
    CONFIRMED = "confirmed"
    DELIVERING = "delivering"
    METERING = "metering"
    BILLED = "billed"
    DISPUTED = "disputed"
    SETTLING = "settling"
    UNWINDING = "unwinding"
    SETTLED = "settled"
    PARTIAL = "partial"
    UNDELIVERED = "undelivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset(
    {
        *(State.SETTLED, State.PARTIAL, State.UNDELIVERED),
        *(State.REJECTED, State.EXPIRED, State.CANCELLED),
    }
)


class Delivery(StrEnum):
    """What the circuit does while power is due; a look at it, which no money depends on."""

    NOT_YET = "not yet"
    ACTIVE = "active"
    CURTAILED = "curtailed"
    REROUTING = "rerouting"


class Times(msgspec.Struct, frozen=True):
    """How long each step may take (ns). ``lead_ns``: how long before its interval a circuit is activated; ``grace_ns``:
    how long a hold lasts beyond the beginning, and how late money may be locked before a hold ends. ``object_ns``: how
    long a bill may be objected to before it is paid, twice as long if it is estimated; 0: it is paid at once.
    """

    hold_ns: int = 2 * NS_PER_S
    fund_ns: int = 5 * NS_PER_S
    lead_ns: int = NS_PER_S // 10
    grace_ns: int = 5 * NS_PER_S
    read_ns: int = 3_600 * NS_PER_S
    dispute_ns: int = 864_000 * NS_PER_S
    object_ns: int = 0


class Trade(msgspec.Struct):
    """The record that is journalled before anything is asked of anybody: what is asked follows from it alone.

    Only :mod:`trading.core.saga` changes one. ``may_hold`` and ``may_lock``: whether there may be a circuit, and money
    in escrow, whoever's answer was lost. ``until_ns``: when the state ends by itself.
    """

    trade_id: str
    buy_seq: int
    sell_seq: int
    buyer: str
    seller: str
    buy_meter: str
    sell_meter: str
    interval: Interval
    terms: Terms
    injected_wh: Wh
    path: tuple[str, ...] = ()
    state: State = State.MATCHED
    until_ns: int | None = None
    may_hold: bool = False
    may_lock: bool = False
    is_activated: bool = False
    circuit_id: str = ""
    injected_ppm: int = PPM
    delivery: Delivery = Delivery.NOT_YET
    ends: tuple[Ends, ...] = ()
    missed: tuple[Missed, ...] = ()
    settlement: Settlement | None = None
    # Lines of a disputed trade that are paid before it is resolved, and whether the ledger has said that they are.
    part: tuple[Line, ...] = ()
    is_part_paid: bool = False
    # What an unwinding ends in, why, what the controller or the ledger said, and whether the network refused the match.
    ends_in: State | None = None
    is_barred: bool = False
    reason: str = ""
    detail: str = ""
    # The escrow ended without the bill.
    is_refunded: bool = False
    # What the way of the power must keep, of both orders together.
    constraints: Constraints = ANY_WAY
    # The line of the bill that a party has objected to, which party, and its words; and those of who decided.
    objected: LineKind | None = None
    objected_by: Party | None = None
    statement: str = ""
    decision: str = ""
    # Of the buyer's order; None of a trade of before it was kept.
    buyer_limit: MicroPerKwh | None = None
    # Whether prices have the path's tolls and losses in them: then neither is charged again.
    is_path_priced: bool = False
    # Whose account tolls and the like go to, however the operator is called later; empty of a trade of before.
    operator: str = ""
    # An operator has decided the dispute, and nobody's time was over.
    is_decided: bool = False
    # What the party that objected has named as evidence.
    evidence: tuple[str, ...] = ()
    # What the controller heard last of what arrived, over all generations: it counts where no register is ever said.
    last_mj: Millijoule | None = None

    @property
    def request_id(self) -> str:
        """Of the only circuit that there can be, whoever asks how often."""
        return f"{self.trade_id}/1"

    @property
    def sides(self) -> tuple[tuple[int, Wh], tuple[int, Wh]]:
        """Of which order it takes how much."""
        return (self.buy_seq, self.terms.wh), (self.sell_seq, self.injected_wh)

    @property
    def is_part_due(self) -> bool:
        """Whether the undisputed part is to be paid, and not known to be."""
        return bool(self.part) and not self.is_part_paid


# What happens.


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The match is noted, with its positions."""


class Held(msgspec.Struct, frozen=True, tag=True):
    """The controller has reserved a circuit; what tolls its path has, and the most that it can lose."""

    circuit_id: str
    injected_ppm: int
    toll_price: MicroPerKwh
    max_loss: Millijoule


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """By the controller (``detail``: what binds), by the ledger, or by whoever signs."""

    reason: str
    detail: str = ""


class HoldLost(msgspec.Struct, frozen=True, tag=True):
    """The circuit that was held is no more."""


class Cancel(msgspec.Struct, frozen=True, tag=True):
    reason: str


class Locked(msgspec.Struct, frozen=True, tag=True):
    """The money is in escrow."""


class Signed(msgspec.Struct, frozen=True, tag=True):
    """The transaction stands in the ledger's log, signed for by both."""


class Unsigned(msgspec.Struct, frozen=True, tag=True):
    """It does not stand in the ledger's log, and never will."""


class Activated(msgspec.Struct, frozen=True, tag=True):
    """The circuit carries, or will as soon as routers are told."""


class Watched(msgspec.Struct, frozen=True, tag=True):
    delivery: Delivery


class Read(msgspec.Struct, frozen=True, tag=True):
    """Registers of all generations, as far as they were to be had, and who failed to deliver; what was read before and
    is not read again counts all the same.
    """

    ends: tuple[Ends, ...]
    missed: tuple[Missed, ...] = ()
    last_mj: Millijoule | None = None


class Objected(msgspec.Struct, frozen=True, tag=True):
    """A party does not agree with a line of the bill; one that is not on it is one of nothing."""

    line: LineKind
    by: Party
    statement: str = ""
    evidence: tuple[str, ...] = ()


class Resolved(msgspec.Struct, frozen=True, tag=True):
    """What an operator decided about a dispute: the registers that count."""

    ends: tuple[Ends, ...]
    missed: tuple[Missed, ...] = ()
    decision: str = ""


class PartPaid(msgspec.Struct, frozen=True, tag=True):
    pass


class Released(msgspec.Struct, frozen=True, tag=True):
    """There is no circuit of the trade any more, if there was one."""


class Closed(msgspec.Struct, frozen=True, tag=True):
    """There is no escrow of the trade any more, and never will be. ``is_refund``: all that was in it went back, as
    anybody may have it after a time, and not as a bill says.
    """

    is_refund: bool = False


class TimeOver(msgspec.Struct, frozen=True, tag=True):
    """``until_ns`` has come; one of a state that was left meanwhile is not meant."""

    until_ns: int


TradeEvent = (
    Begin | Held | Refusal | HoldLost | Cancel | Locked | Signed | Unsigned | Activated | Watched
    | Read | Objected | Resolved | PartPaid | Released | Closed | TimeOver
)  # fmt: skip


# What is asked of others: each is done once however often it is asked, by its key.


class Hold(msgspec.Struct, frozen=True, tag=True):
    """RequestPower with a hold, which ends by itself at ``until_ns``. ``path``: the links that the clearing has chosen,
    source first; matches of one clearing fit beside each other on these, and not always on the best path of each.
    """

    key: str
    source_meter: str
    sink_meter: str
    wh: Wh
    interval: Interval
    until_ns: int
    path: tuple[str, ...]
    constraints: Constraints = ANY_WAY


class Lock(msgspec.Struct, frozen=True, tag=True):
    """Open an escrow; refused once ``not_after_ns`` has come, since the hold may end soon after."""

    key: str
    trade_id: str
    buyer: str
    seller: str
    locks: Locks
    not_after_ns: int


class Sign(msgspec.Struct, frozen=True, tag=True):
    """Write the transaction into the ledger's log, signed for by both: only where the trade's money is in escrow."""

    key: str
    trade_id: str


class Revoke(msgspec.Struct, frozen=True, tag=True):
    """Write into the log, under the key of :class:`Sign`, that there is no such transaction. As a key counts once, the
    log has one of the two for good, and says which.
    """

    key: str
    trade_id: str


class Activate(msgspec.Struct, frozen=True, tag=True):
    key: str


class AskMeters(msgspec.Struct, frozen=True, tag=True):
    """Final registers of a circuit, of both ends, by generation."""

    key: str


class Release(msgspec.Struct, frozen=True, tag=True):
    """Also of a circuit that never was."""

    key: str


class Pay(msgspec.Struct, frozen=True, tag=True):
    """Out of the escrow, which stays open."""

    key: str
    trade_id: str
    lines: tuple[Line, ...]


class Close(msgspec.Struct, frozen=True, tag=True):
    """All that is in escrow goes where postings say. Of an escrow that never was, where each only gets back his own:
    none can be opened any more.
    """

    key: str
    trade_id: str
    postings: tuple[Posting, ...]


class GiveBack(msgspec.Struct, frozen=True, tag=True):
    """The match is not to be: positions are freed, in the transaction that notes it. ``is_barred``: the network refused
    it, so that both orders go back to their places.
    """

    key: str
    buy_seq: int
    sell_seq: int
    wh: Wh
    injected_wh: Wh
    is_barred: bool


class Bind(msgspec.Struct, frozen=True, tag=True):
    """The trade is binding, and so are its positions, in the transaction that notes it."""

    key: str
    buy_seq: int
    sell_seq: int
    wh: Wh
    injected_wh: Wh


class Wait(msgspec.Struct, frozen=True, tag=True):
    """A timer; each takes the place of the trade's one before."""

    key: str
    until_ns: int


Effect = (
    Hold | Lock | Sign | Revoke | Activate | AskMeters | Release | Pay | Close | GiveBack | Bind
    | Wait
)  # fmt: skip


def encoded(trade: Trade) -> bytes:
    return msgspec.msgpack.encode(trade)


def decoded(record: bytes) -> Trade:
    return msgspec.msgpack.decode(record, type=Trade)


def evidence_in(trade: Trade) -> Evidence:
    """What counts of a trade's registers."""
    last_mj = trade.last_mj
    before = None if last_mj is None else Estimate(last_mj, trade.injected_ppm)
    return evidence_of(trade.ends, before)


def network_missed(trade: Trade) -> Sequence[Missed]:
    """What counts of what was missing; of a circuit that nobody is known to have activated, and that no meter saw at
    either end, all of it.
    """
    has_carried = bool(trade.last_mj) or any(
        reading.register for ends in trade.ends for reading in (*ends.source, *ends.sink)
    )
    missed = within(trade.missed, trade.interval)
    if trade.is_activated or has_carried:
        return missed
    start_ns, end_ns = trade.interval.start_ns, trade.interval.end_ns
    return (*missed, Missed(start_ns, end_ns, Cause.LATE_START, trade.terms.contract))
