"""The saga of a trade: from a match over capacity and money to power, meters and a bill, or back to where it began.

Capacity before money, and the signature together with the money that it needs. Whoever runs it journals the trade, then
does what :mod:`trading.core.asking` says of it, and asks again with the same keys until there is an answer; after a
crash the journal is read, and the trade goes on from there. So a step is taken once, whatever was lost. This is the
only file that changes a trade.
"""

from enum import StrEnum

import msgspec

from trading.core.asking import pending
from trading.core.attribution import all_missed, within
from trading.core.readings import Ends, all_said, are_same, evidence_of
from trading.core.settlement import Outcome, fee_of, paid_before, settle, undisputed
from trading.core.tolls import terms_of
from trading.core.trades import (
    NO_ESCROW,
    REFUNDED,
    Activated,
    Begin,
    Bind,
    Cancel,
    Closed,
    Effect,
    GiveBack,
    Held,
    HoldLost,
    Locked,
    Objected,
    PartPaid,
    Read,
    Refusal,
    Released,
    Resolved,
    Signed,
    State,
    TimeOver,
    Times,
    Trade,
    TradeEvent,
    Unsigned,
    Watched,
    evidence_in,
    network_missed,
)
from trading.core.units import Millijoule


class Word(StrEnum):
    """What moves a trade from state to state."""

    BEGUN = "begun"
    HELD = "circuit held"
    LOCKED = "money locked"
    SIGNED = "signed"
    UNSIGNED = "not signed"
    START = "interval begins"
    END = "interval ends"
    METERED = "metered"
    BILLED = "metered, may be objected to"
    OBJECTED = "objected to"
    STANDS = "nobody objects"
    CONTRADICTED = "ends contradict"
    RESOLVED = "resolved"
    REFUSED = "refused"
    TOO_LATE = "time over"
    LOST = "hold lost"
    CALLED_OFF = "called off"
    PAID_WHOLE = "paid whole"
    PAID_PART = "paid in part"
    PAID_NOTHING = "paid nothing"
    UNDONE_REFUSED = "undone, refused"
    UNDONE_LATE = "undone, late"
    UNDONE_CALLED_OFF = "undone, called off"


S, W = State, Word
_UNSIGNED = (S.MATCHED, S.HOLDING)
# The signature is asked for, and may stand in the log: then the trade is binding, and only the log says which.
_PERHAPS_SIGNED = (S.HELD, S.FUNDED)
TRANSITIONS: dict[tuple[State, Word], State] = {
    (S.MATCHED, W.BEGUN): S.HOLDING,
    (S.HOLDING, W.HELD): S.HELD,
    (S.HELD, W.LOCKED): S.FUNDED,
    **{(state, W.SIGNED): S.CONFIRMED for state in _PERHAPS_SIGNED},
    (S.CONFIRMED, W.START): S.DELIVERING,
    (S.DELIVERING, W.END): S.METERING,
    (S.METERING, W.METERED): S.SETTLING,
    (S.METERING, W.CONTRADICTED): S.DISPUTED,
    (S.METERING, W.BILLED): S.BILLED,
    (S.BILLED, W.STANDS): S.SETTLING,
    (S.BILLED, W.OBJECTED): S.DISPUTED,
    (S.DISPUTED, W.RESOLVED): S.SETTLING,
    (S.SETTLING, W.PAID_WHOLE): S.SETTLED,
    (S.SETTLING, W.PAID_PART): S.PARTIAL,
    (S.SETTLING, W.PAID_NOTHING): S.UNDELIVERED,
    **{
        (state, word): S.UNWINDING
        for state in _UNSIGNED
        for word in (W.REFUSED, W.TOO_LATE, W.CALLED_OFF)
    },
    **{
        (state, word): S.REVOKING
        for state in _PERHAPS_SIGNED
        for word in (W.REFUSED, W.TOO_LATE, W.CALLED_OFF, W.LOST)
    },
    (S.REVOKING, W.SIGNED): S.CONFIRMED,
    (S.REVOKING, W.UNSIGNED): S.UNWINDING,
    (S.UNWINDING, W.UNDONE_REFUSED): S.REJECTED,
    (S.UNWINDING, W.UNDONE_LATE): S.EXPIRED,
    (S.UNWINDING, W.UNDONE_CALLED_OFF): S.CANCELLED,
}
_ENDS_IN = {
    W.REFUSED: S.REJECTED,
    W.TOO_LATE: S.EXPIRED,
    W.LOST: S.EXPIRED,
    W.CALLED_OFF: S.CANCELLED,
}
_UNDONE = {
    S.REJECTED: W.UNDONE_REFUSED,
    S.EXPIRED: W.UNDONE_LATE,
    S.CANCELLED: W.UNDONE_CALLED_OFF,
}
_PAID = {
    Outcome.WHOLE: W.PAID_WHOLE,
    Outcome.PART: W.PAID_PART,
    Outcome.NOTHING: W.PAID_NOTHING,
}
# Where the circuit has carried all that it will, and a bill is made or paid.
_BILLED = (S.METERING, S.BILLED, S.DISPUTED, S.SETTLING)
# Of these, those in which nobody has asked for the escrow to be closed.
_UNPAID = (S.METERING, S.BILLED, S.DISPUTED)
del S, W


def step(trade: Trade, event: TradeEvent, now_ns: int, times: Times) -> list[Effect] | None:
    """What is to be asked for once the trade, as it is then, is journalled; None where the event changes nothing.

    An event of a step that is over already is an answer that came twice, or late.
    """
    before = trade.state
    if not _noted(trade, event, now_ns, times):
        return None
    _end_if_done(trade, now_ns, times)
    if isinstance(event, Read) and trade.state is before:
        # Somebody has not said it all: asked again in a while, and until then kept.
        return []
    return _on_positions(trade, before) + pending(trade, times)


def _on_positions(trade: Trade, before: State) -> list[Effect]:
    """What the exchange's own table of positions has to hear, once."""
    of_match = (trade.trade_id, trade.buy_seq, trade.sell_seq, trade.terms.wh, trade.injected_wh)
    if trade.state is State.CONFIRMED and before is not State.CONFIRMED:
        return [Bind(*of_match)]
    if trade.state.ended and not before.ended and trade.ends_in is not None:
        return [GiveBack(*of_match, trade.is_barred)]
    return []


def resumed(trade: Trade, now_ns: int, times: Times) -> list[Effect]:
    """What is to be asked after a crash, of a trade as the journal has it, and journalled before that."""
    if trade.state is State.MATCHED:
        return step(trade, Begin(), now_ns, times) or []
    return pending(trade, times)


def _noted(trade: Trade, event: TradeEvent, now_ns: int, times: Times) -> bool:
    """Notes what the event says; whether anything changed."""
    match event:
        case Begin():
            return _move(trade, Word.BEGUN, now_ns, times)
        case Held():
            return _hold_noted(trade, event, now_ns, times)
        case Refusal():
            return _refused(trade, event, now_ns, times)
        case HoldLost():
            return _unwind(trade, Word.LOST, "HOLD_EXPIRED", "", now_ns, times)
        case Cancel():
            return _unwind(trade, Word.CALLED_OFF, event.reason, "", now_ns, times)
        case Locked():
            return _move(trade, Word.LOCKED, now_ns, times)
        case Signed():
            return _signed(trade, now_ns, times)
        case Unsigned():
            return _move(trade, Word.UNSIGNED, now_ns, times)
        case Activated():
            is_news = trade.state is State.DELIVERING and not trade.is_activated
            trade.is_activated = trade.is_activated or is_news
            return is_news
        case Watched():
            if trade.state is State.DELIVERING:
                trade.delivery = event.delivery
            # Journalled with whatever comes next.
            return False
        case Read():
            return _readings_noted(trade, event, now_ns, times)
        case Objected():
            return _objected(trade, event, now_ns, times)
        case Resolved():
            return _resolve(trade, event, now_ns, times)
        case PartPaid():
            return _part_paid(trade)
        case Released():
            return _undone(trade, hold=True)
        case Closed():
            return _closed(trade, is_refund=event.is_refund)
        case TimeOver():
            return event.until_ns == trade.until_ns and _time_over(trade, now_ns, times)


def _move(trade: Trade, word: Word, now_ns: int, times: Times) -> bool:
    """Follows the table, and sets when the new state ends by itself."""
    following = TRANSITIONS.get((trade.state, word))
    if following is None:
        return False
    trade.state = following
    trade.until_ns = _until_ns(trade, now_ns, times)
    if following is State.HOLDING:
        trade.may_hold = True
    elif following is State.HELD:
        trade.may_lock = True
    return True


def _until_ns(trade: Trade, now_ns: int, times: Times) -> int | None:
    start_ns = trade.interval.start_ns
    match trade.state:
        case State.HOLDING:
            return min(now_ns + times.hold_ns, start_ns)
        case State.HELD:
            return min(now_ns + times.fund_ns, start_ns)
        case State.FUNDED:
            return start_ns
        case State.CONFIRMED:
            return start_ns - times.lead_ns
        case State.DELIVERING:
            return trade.interval.end_ns
        case State.METERING:
            return max(now_ns, trade.interval.end_ns) + times.read_ns
        case State.BILLED:
            return now_ns + times.object_ns * evidence_in(trade).windows
        case State.DISPUTED:
            return now_ns + times.dispute_ns
        case _:
            return None


def _hold_noted(trade: Trade, event: Held, now_ns: int, times: Times) -> bool:
    """A path that cannot be paid for is let go again, as if the network had refused it: both orders are back at their
    places, and the two do not meet again.
    """
    if trade.state is not State.HOLDING:
        return False
    terms = terms_of(trade, event)
    if isinstance(terms, Refusal):
        return _refused(trade, terms, now_ns, times)
    _move(trade, Word.HELD, now_ns, times)
    trade.circuit_id = event.circuit_id
    trade.injected_ppm = event.injected_ppm
    trade.terms = terms
    return True


def _unwind(trade: Trade, word: Word, reason: str, detail: str, now_ns: int, times: Times) -> bool:
    is_by_network = trade.state is State.HOLDING and word is Word.REFUSED
    if not _move(trade, word, now_ns, times):
        return False
    trade.is_barred = is_by_network
    trade.ends_in, trade.reason, trade.detail = _ENDS_IN[word], reason, detail
    return True


def _refused(trade: Trade, event: Refusal, now_ns: int, times: Times) -> bool:
    """What is refused for want of an escrow is of one that was closed before, and is not asked for again."""
    if event.reason != NO_ESCROW:
        return _unwind(trade, Word.REFUSED, event.reason, event.detail, now_ns, times)
    is_part_lost = trade.state in (State.DISPUTED, State.SETTLING) and trade.is_part_due
    if is_part_lost:
        trade.part = ()
    return _closed(trade, is_refund=True) or is_part_lost


def _signed(trade: Trade, now_ns: int, times: Times) -> bool:
    """Binding, and whatever was to undo it came too late."""
    if not _move(trade, Word.SIGNED, now_ns, times):
        return False
    trade.ends_in, trade.reason, trade.detail = None, "", ""
    return True


def _closed(trade: Trade, *, is_refund: bool) -> bool:
    """The escrow has ended, as was asked; or everybody got his own back before the bill was paid."""
    is_unasked = is_refund or trade.state in _UNPAID
    if trade.may_lock and is_unasked and trade.state in _BILLED:
        trade.is_refunded, trade.reason = True, REFUNDED
    return _undone(trade, lock=True)


def _undone(trade: Trade, *, hold: bool = False, lock: bool = False) -> bool:
    """There is no circuit any more, or no escrow."""
    if trade.state is not State.UNWINDING and trade.state not in _BILLED:
        return False
    is_news = (hold and trade.may_hold) or (lock and trade.may_lock)
    trade.may_hold = trade.may_hold and not hold
    trade.may_lock = trade.may_lock and not lock
    return is_news


def _end_if_done(trade: Trade, now_ns: int, times: Times) -> None:
    """Where neither circuit nor escrow is left, nor anything to be paid, the trade has ended, whatever came last."""
    if trade.may_hold or trade.may_lock:
        return
    if trade.state is State.UNWINDING and trade.ends_in is not None:
        _move(trade, _UNDONE[trade.ends_in], now_ns, times)
    elif trade.state is State.SETTLING and trade.settlement is not None and not trade.is_part_due:
        word = _PAID[trade.settlement.outcome]
        if trade.is_refunded:
            word = Word.PAID_PART if trade.part else Word.PAID_NOTHING
        _move(trade, word, now_ns, times)


def _readings_noted(trade: Trade, event: Read, now_ns: int, times: Times) -> bool:
    if trade.state is not State.METERING:
        return False
    trade.ends = all_said(trade.ends, event.ends)
    trade.missed = all_missed(trade.missed, event.missed)
    if event.last_mj is not None:
        trade.last_mj = max(event.last_mj, trade.last_mj or Millijoule(0))
    if _all_said(trade.ends):
        _judge(trade, now_ns, times)
    return True


def _all_said(ends: tuple[Ends, ...]) -> bool:
    return bool(ends) and all(each.source and each.sink for each in ends)


def _judge(trade: Trade, now_ns: int, times: Times) -> None:
    """Both ends have said what they have to say, or the time for it is over."""
    evidence = evidence_in(trade)
    trade.settlement = settle(trade.terms, evidence, network_missed(trade))
    if evidence.is_disputed:
        trade.part = trade.settlement.lines
        _move(trade, Word.CONTRADICTED, now_ns, times)
    else:
        _move(trade, Word.BILLED if times.object_ns else Word.METERED, now_ns, times)


def _objected(trade: Trade, event: Objected, now_ns: int, times: Times) -> bool:
    """What comes of other figures than the line does is paid at once; the rest as is decided, or as it stands."""
    if trade.settlement is None or not _move(trade, Word.OBJECTED, now_ns, times):
        return False
    trade.objected, trade.objected_by, trade.statement = event.line, event.by, event.statement
    trade.evidence = event.evidence
    trade.part = undisputed(trade.settlement.lines, event.line)
    return True


def _resolve(trade: Trade, event: Resolved, now_ns: int, times: Times) -> bool:
    """Refused as no change where it would take back what was undisputed, or contradicts itself again.

    What the sink said last makes up for silence, and not for what somebody has decided.
    """
    is_as_read = are_same(trade.ends, event.ends)
    evidence = evidence_in(trade) if is_as_read else evidence_of(event.ends)
    if trade.state is not State.DISPUTED or trade.settlement is None or evidence.is_disputed:
        return False
    if not evidence.is_countable:
        return False
    resolved = settle(trade.terms, evidence, within(event.missed, trade.interval))
    before = trade.settlement.lines
    fee = fee_of(trade.terms, resolved.lines, before, trade.objected, trade.objected_by)
    resolved = msgspec.structs.replace(resolved, lines=(*resolved.lines, *fee))
    try:
        paid_before(resolved.lines, trade.part)
    except ValueError:
        return False
    trade.settlement, trade.ends, trade.missed = resolved, event.ends, event.missed
    trade.last_mj = trade.last_mj if is_as_read else None
    trade.decision, trade.is_decided = event.decision, True
    return _move(trade, Word.RESOLVED, now_ns, times)


def _part_paid(trade: Trade) -> bool:
    is_news = trade.state in (State.DISPUTED, State.SETTLING) and not trade.is_part_paid
    trade.is_part_paid = trade.is_part_paid or is_news
    return is_news


def _time_over(trade: Trade, now_ns: int, times: Times) -> bool:
    match trade.state:
        case State.CONFIRMED:
            return _move(trade, Word.START, now_ns, times)
        case State.DELIVERING:
            return _move(trade, Word.END, now_ns, times)
        case State.METERING:
            _judge(trade, now_ns, times)
            return True
        case State.BILLED:
            return _move(trade, Word.STANDS, now_ns, times)
        case State.DISPUTED:
            # Nobody has decided: of ends that contradict, what neither denies is all that is paid, and a bill that was
            # objected to stands.
            return _move(trade, Word.RESOLVED, now_ns, times)
        case _:
            return _unwind(trade, Word.TOO_LATE, "TIME_OVER", trade.state, now_ns, times)
