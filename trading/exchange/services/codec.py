"""Messages of a market's API from what the market has, and back. Nothing is decided here."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from digitalgrid.garbage_collector import without_frames
from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import ANY_WAY, Constraints, Interval, Order, Side, Tender, TimeInForce
from trading.core.settlement import locks_of
from trading.core.trades import State, Trade
from trading.exchange.config import ExchangeConfig, PartyConfig, TariffConfig
from trading.market.phases import Phase
from trading.market.records import ClearingRecord, OrderRecord, TradeRecord
from trading.market.sessions import TradeRow
from trading.mechanisms.mechanism import Clearing, Match, Price, Unmatched
from trading.reasons import MarketReason, Refused

R = TypeVar("R")

# Bytes of the matches of a clearing that an answer has, and of the orders that went without: some thousands of each,
# with prices beside them less than the 4 MiB that gRPC's clients take where nobody tells them otherwise.
_MOST_OF_CLEARING = 512 * 1024
# Bytes that the numbers of a match take at most.
_NUMBERS_OF_ROW = 70

_SIDES = {pb.SIDE_BUY: Side.BUY, pb.SIDE_SELL: Side.SELL}
_SIDES_TO_PB = {side: number for number, side in _SIDES.items()}
_TIFS = {
    pb.TIME_IN_FORCE_UNSPECIFIED: TimeInForce.GTC,
    pb.TIME_IN_FORCE_GTC: TimeInForce.GTC,
    pb.TIME_IN_FORCE_GTD: TimeInForce.GTD,
    pb.TIME_IN_FORCE_IOC: TimeInForce.IOC,
    pb.TIME_IN_FORCE_FOK: TimeInForce.FOK,
}
_TIFS_TO_PB = {tif: number for number, tif in _TIFS.items()}
_PHASES = {each: pb.IntervalPhase.Value(f"INTERVAL_PHASE_{each.name}") for each in Phase}
_STATES = {each: pb.TransactionState.Value(f"TRANSACTION_STATE_{each.name}") for each in State}


def tenders_from_pb(request: pb.CreateTendersRequest) -> list[Tender | Refused]:
    """Each under a nonce of its own; Refused of words that this market does not know."""
    mandate = request.mandate
    party, nonce, signature = mandate.party, mandate.nonce, mandate.signature
    read: list[Tender | Refused] = []
    # Tenders of one call are mostly for one interval.
    interval = Interval(0, 0)
    for number, message in enumerate(request.tenders, nonce):
        asked = message.interval
        start_ns, length_ns = asked.start_unix_ns, asked.length_ns
        if start_ns != interval.start_ns or length_ns != interval.length_ns:
            interval = Interval(start_ns, length_ns)
        try:
            read.append(_tender(message, party, interval, number, signature))
        except Refused as refused:
            read.append(without_frames(refused))
    return read


def _tender(message: Any, party: str, interval: Interval, nonce: int, signature: bytes) -> Tender:
    # Its numbers are whole, as they came: some ten thousand tenders a second are not to be converted one by one.
    side, tif = _SIDES.get(message.side), _TIFS.get(message.time_in_force)
    if side is None:
        raise Refused(MarketReason.SIDE_UNKNOWN, f"side is {message.side}; buy or sell", "side")
    if tif is None:
        raise Refused(
            MarketReason.TIME_IN_FORCE_UNKNOWN,
            f"time_in_force is {message.time_in_force}, which is none of this market's",
        )
    return Tender(
        order_id=message.order_id,
        party=party,
        meter_id=message.meter_id,
        side=side,
        wh=message.wh,
        limit=message.limit_micro_per_kwh,
        interval=interval,
        tif=tif,
        min_fill_wh=message.min_fill_wh,
        expires_ns=message.expires_unix_ns or None,
        constraints=_constraints(message),
        tags=tuple(tags) if (tags := message.tags) else (),
        nonce=nonce,
        signature=signature,
    )


def _constraints(message: pb.Tender) -> Constraints:
    if not (message.max_loss_ppm or message.avoid_ids):
        return ANY_WAY
    return Constraints(message.max_loss_ppm or None, tuple(message.avoid_ids))


def refusal_to_pb(refused: Refused) -> pb.Refusal:
    return pb.Refusal(reason=refused.reason, message=str(refused), field=refused.field)


def order_to_pb(record: OrderRecord) -> pb.Order:
    message = pb.Order()
    fill_order(message, record)
    _fill_tender(message.tender, record.order)
    return message


def fill_order(message: pb.Order, record: OrderRecord) -> None:
    """All but its tender."""
    order = record.order
    message.seq, message.party = order.seq, order.party
    if record.open_wh:
        message.open_wh = record.open_wh
    else:
        message.ended_reason = record.reason
    if record.matched_wh:
        message.matched_wh = record.matched_wh


def _fill_tender(message: pb.Tender, order: Order) -> None:
    """In place, for long lists have thousands: messages that are made by themselves would be copied into the order."""
    interval, constraints = order.interval, order.constraints
    message.order_id, message.meter_id = order.order_id, order.meter_id
    message.side, message.wh = _SIDES_TO_PB[order.side], order.wh
    message.limit_micro_per_kwh = order.limit
    message.interval.start_unix_ns = interval.start_ns
    message.interval.length_ns = interval.length_ns
    message.time_in_force = _TIFS_TO_PB[order.tif]
    message.min_fill_wh = order.min_fill_wh
    message.expires_unix_ns = order.expires_ns or 0
    if constraints is not ANY_WAY:
        message.max_loss_ppm = constraints.max_loss_ppm or 0
        message.avoid_ids.extend(constraints.avoid_ids)
    if order.tags:
        message.tags.extend(order.tags)


def tariff_to_pb(tariff: TariffConfig) -> pb.Tariff:
    return pb.Tariff(
        utility_micro_per_kwh=tariff.utility_micro_per_kwh,
        feed_in_micro_per_kwh=tariff.feed_in_micro_per_kwh,
        refusal_micro_per_kwh=tariff.refusal_micro_per_kwh,
        firm_micro_per_kwh=tariff.firm_micro_per_kwh,
        overdraw_micro_per_kwh=tariff.overdraw_micro_per_kwh,
        loss_micro_per_kwh=tariff.loss_micro_per_kwh,
        loss_payer=tariff.loss_payer,
        max_over_mj=tariff.prices.max_over,
        dispute_fee_ppm=tariff.prices.dispute_fee_ppm,
    )


def rules_to_pb(config: ExchangeConfig) -> pb.MarketRules:
    market, times = config.market, config.times.times
    return pb.MarketRules(
        ahead=market.ahead,
        self_trade=market.self_trade,
        reference_micro_per_kwh=market.reference_micro_per_kwh,
        orders_per_party=market.orders_per_party,
        tenders_per_s=market.tenders_per_s,
        tender_burst=market.tender_burst,
        object_ns=times.object_ns,
        dispute_ns=times.dispute_ns,
    )


def parties_to_pb(parties: Iterable[PartyConfig]) -> list[pb.MarketParty]:
    return [
        pb.MarketParty(
            party=party.party,
            public_key=bytes.fromhex(party.public_key),
            meters=[
                pb.MarketMeter(
                    meter_id=meter.meter,
                    router_id=meter.router,
                    source_id=meter.source,
                    load_id=meter.load,
                    max_injected_w=meter.max_injected_w,
                    max_drawn_w=meter.max_drawn_w,
                    public_key=bytes.fromhex(meter.public_key),
                )
                for meter in party.meters
            ],
        )
        for party in parties
    ]


def interval_to_pb(interval: Interval) -> pb.Interval:
    return pb.Interval(start_unix_ns=interval.start_ns, length_ns=interval.length_ns)


def market_interval(
    interval: Interval, mechanism: str, phase: Phase | None, gate_ns: int
) -> pb.MarketInterval:
    """``phase``: None where it is not told."""
    return pb.MarketInterval(
        interval=interval_to_pb(interval),
        mechanism=mechanism,
        phase=pb.INTERVAL_PHASE_UNSPECIFIED if phase is None else _PHASES[phase],
        gate_unix_ns=interval.start_ns - gate_ns,
    )


def clearing_record_to_pb(record: ClearingRecord, gate_ns: int) -> pb.Clearing:
    message = _clearing(record.matches, record.prices, record.unmatched, record.faults)
    message.interval.CopyFrom(market_interval(record.interval, record.mechanism, None, gate_ns))
    message.at_unix_ns, message.took_ns = record.at_ns, record.took_ns
    message.rounds, message.welfare_nano = record.round, record.welfare
    if record.reference is not None:
        message.reference_micro_per_kwh = record.reference
    return message


def clearing_to_pb(clearing: Clearing, faults: Iterable[str], took_ns: int) -> pb.Clearing:
    message = _clearing(clearing.matches, clearing.prices, clearing.unmatched, faults)
    message.took_ns = took_ns
    return message


def _clearing(
    matches: Sequence[Match],
    prices: Iterable[Price],
    unmatched: Sequence[Unmatched],
    faults: Iterable[str],
) -> pb.Clearing:
    said = "; ".join(faults)
    told, rest = _fitting(matches, lambda each: sum(len(id_.encode()) + 3 for id_ in each.path))
    without, others = _fitting(unmatched, lambda each: len(each.reason))
    return pb.Clearing(
        matches=[
            pb.Match(
                buy_seq=each.buy_seq,
                sell_seq=each.sell_seq,
                wh=each.wh,
                buyer_micro_per_kwh=each.buyer_price,
                seller_micro_per_kwh=each.seller_price,
                injected_wh=each.injected_wh,
                path=each.path,
            )
            for each in told
        ],
        prices=[
            pb.MarketPrice(router_id=each.router_id, micro_per_kwh=each.price) for each in prices
        ],
        unmatched=[
            pb.UnmatchedOrder(seq=each.seq, wh=each.wh, reason=each.reason) for each in without
        ],
        verified=not said,
        verification=said,
        matches_left_out=len(rest),
        wh_left_out=sum(each.wh for each in rest),
        unmatched_left_out=len(others),
    )


def _fitting(rows: Sequence[R], text: Callable[[R], int]) -> tuple[Sequence[R], Sequence[R]]:
    """Those that an answer has room for, and the others. ``text``: how long the words of one are."""
    room = _MOST_OF_CLEARING
    for number, row in enumerate(rows):
        room -= _NUMBERS_OF_ROW + text(row)
        if room < 0:
            return rows[:number], rows[number:]
    return rows, ()


def record_of_trade(row: TradeRow) -> TradeRecord:
    """As it is now, and perhaps not durable yet."""
    return TradeRecord(row.trade, row.number, row.mechanism, row.matched_ns, row.confirmed_ns)


def transaction_to_pb(record: TradeRecord) -> pb.Transaction:
    trade = record.trade
    terms = trade.terms
    message = pb.Transaction(
        trade_id=trade.trade_id,
        state=_STATES[trade.state],
        reason=trade.reason,
        detail=trade.detail,
        buyer=trade.buyer,
        seller=trade.seller,
        buy_meter_id=trade.buy_meter,
        sell_meter_id=trade.sell_meter,
        buy_seq=trade.buy_seq,
        sell_seq=trade.sell_seq,
        interval=interval_to_pb(trade.interval),
        mechanism=record.mechanism,
        wh=terms.wh,
        injected_wh=trade.injected_wh,
        buyer_micro_per_kwh=terms.buyer_price,
        seller_micro_per_kwh=terms.seller_price,
        toll_micro_per_kwh=terms.toll_price,
        circuit_id=int(trade.circuit_id or 0),
        request_id=trade.request_id,
        path=trade.path,
        delivery=trade.delivery,
        matched_unix_ns=record.matched_ns,
        confirmed_unix_ns=record.confirmed_ns,
        until_unix_ns=trade.until_ns or 0,
        held_injected_ppm=trade.injected_ppm if trade.circuit_id else 0,
    )
    if _has_locked(trade):
        locks = locks_of(terms)
        message.locked.buyer_nano = locks.buyer
        message.locked.seller_nano = locks.seller
        message.locked.operator_nano = locks.operator
    return message


def _has_locked(trade: Trade) -> bool:
    """Whether the money is known to be in escrow."""
    return trade.may_lock and trade.state not in (State.HELD, State.UNWINDING)
