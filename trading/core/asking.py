"""What a trade asks of others as it is: of the controller, of the ledger, and of the clock."""

from collections.abc import Callable

from trading.core.settlement import Line, locks_of, paid_before, postings_of
from trading.core.trades import (
    Activate,
    AskMeters,
    Close,
    Effect,
    Hold,
    Lock,
    Pay,
    Release,
    Revoke,
    Sign,
    State,
    Times,
    Trade,
    Wait,
)


def pending(trade: Trade, times: Times) -> list[Effect]:
    """What the trade asks of others as it is; asked again until it is answered, and after a crash."""
    effects = _ASKS.get(trade.state, _asks_nothing)(trade, times)
    if trade.until_ns is not None and not trade.state.ended:
        effects.append(Wait(trade.trade_id, trade.until_ns))
    return effects


def _asks_nothing(trade: Trade, times: Times) -> list[Effect]:
    return []


def _ask_hold(trade: Trade, times: Times) -> list[Effect]:
    until_ns = trade.interval.start_ns + times.grace_ns
    return [
        Hold(
            trade.request_id,
            trade.sell_meter,
            trade.buy_meter,
            trade.terms.wh,
            trade.interval,
            until_ns,
            trade.path,
            trade.constraints,
        )
    ]


def _ask_lock(trade: Trade, times: Times) -> list[Effect]:
    locks = locks_of(trade.terms)
    start_ns = trade.interval.start_ns
    lock = Lock(_key(trade, "lock"), trade.trade_id, trade.buyer, trade.seller, locks, start_ns)
    # Together, so that both stand in the log with one flush.
    return [lock, *_ask_sign(trade, times)]


def _ask_sign(trade: Trade, times: Times) -> list[Effect]:
    return [Sign(_key(trade, "sign"), trade.trade_id)]


def _ask_revoke(trade: Trade, times: Times) -> list[Effect]:
    return [Revoke(_key(trade, "sign"), trade.trade_id)]


def _ask_activate(trade: Trade, times: Times) -> list[Effect]:
    return [] if trade.is_activated else [Activate(trade.request_id)]


def _ask_meters(trade: Trade, times: Times) -> list[Effect]:
    """Registers are final once the circuit is no more."""
    if trade.may_hold:
        return [Release(trade.request_id)]
    return [AskMeters(trade.request_id)]


def _ask_part(trade: Trade, times: Times) -> list[Effect]:
    effects: list[Effect] = [Release(trade.request_id)] if trade.may_hold else []
    if trade.is_part_due:
        effects.append(Pay(_key(trade, "part"), trade.trade_id, trade.part))
    return effects


def _ask_close(trade: Trade, times: Times) -> list[Effect]:
    """The part that was undisputed first, as the rest is what is left of the escrow then."""
    effects = _ask_part(trade, times)
    if trade.may_lock and not trade.is_part_due and trade.settlement is not None:
        effects.append(_close(trade, trade.settlement.lines))
    return effects


def _ask_undo(trade: Trade, times: Times) -> list[Effect]:
    """In reverse: money first, then capacity."""
    if trade.may_lock:
        return [_close(trade, ())]
    return [Release(trade.request_id)]


def _close(trade: Trade, lines: tuple[Line, ...]) -> Close:
    left = locks_of(trade.terms)
    for line in trade.part:
        left = left.without(line.payer, line.nano)
    postings = postings_of(paid_before(lines, trade.part), left)
    return Close(_key(trade, "close"), trade.trade_id, postings)


def _key(trade: Trade, step: str) -> str:
    """Of one entry in the ledger's log, where a key counts once, whatever is written under it."""
    return f"{trade.trade_id}/{step}"


_ASKS: dict[State, Callable[[Trade, Times], list[Effect]]] = {
    State.MATCHED: _asks_nothing,
    State.HOLDING: _ask_hold,
    State.HELD: _ask_lock,
    State.FUNDED: _ask_sign,
    State.REVOKING: _ask_revoke,
    State.DELIVERING: _ask_activate,
    State.METERING: _ask_meters,
    State.BILLED: _ask_part,
    State.DISPUTED: _ask_part,
    State.SETTLING: _ask_close,
    State.UNWINDING: _ask_undo,
}
