"""Why a trade has its price: by which rule, and whose order set it."""

from collections.abc import Sequence

from dgctl.market import wording
from digitalgrid.market.v1 import market_pb2 as pb


def rule(trade: pb.Transaction, clearing: pb.Clearing | None, orders: Sequence[pb.Order]) -> str:
    """In a sentence. ``orders``: of its interval, as far as they are remembered."""
    match trade.mechanism:
        case "continuous":
            return _resting(trade, orders)
        case "call" | "call-pro-rata":
            return _one_price(trade, orders) + _nearest(clearing)
        case "nodal":
            return _of_routers(trade, clearing, orders)
        case other:
            return f"the price is that of {other or 'its mechanism'}, a plug-in of this market"


def _resting(trade: pb.Transaction, orders: Sequence[pb.Order]) -> str:
    first = min(trade.buy_seq, trade.sell_seq)
    return (
        f"continuous: whoever waited first sets the price, and that was {_order(first, orders)}, at"
        f" {wording.price(trade.buyer_micro_per_kwh)}"
    )


def _one_price(trade: pb.Transaction, orders: Sequence[pb.Order]) -> str:
    price = trade.buyer_micro_per_kwh
    said = f"{trade.mechanism}: one price for all, {wording.price(price)}, at which the most is traded;"
    setting = [each for each in orders if each.tender.limit_micro_per_kwh == price]
    # Of those at the price, who was served in part is where demand and supply meet.
    setting.sort(key=lambda each: (each.matched_wh in (0, each.tender.wh), each.seq))
    if setting:
        return f"{said} {_order(setting[0].seq, orders)} has this limit and set it"
    served = [each for each in orders if each.matched_wh]
    buys = [_limit(each) for each in served if each.tender.side == pb.SIDE_BUY]
    sells = [_limit(each) for each in served if each.tender.side == pb.SIDE_SELL]
    if not buys or not sells:
        return f"{said} the orders that set it are forgotten by now"
    return (
        f"{said} no order has this limit: it lies between the last seller served, at"
        f" {wording.price(max(sells))}, and the last buyer, at {wording.price(min(buys))}"
    )


def _nearest(clearing: pb.Clearing | None) -> str:
    if clearing is None or not clearing.HasField("reference_micro_per_kwh"):
        return ""
    reference = wording.price(clearing.reference_micro_per_kwh)
    return f"; of the prices that orders left open it is the nearest to the market's reference, {reference}"


def _of_routers(
    trade: pb.Transaction, clearing: pb.Clearing | None, orders: Sequence[pb.Order]
) -> str:
    buyer, seller = trade.buyer_micro_per_kwh, trade.seller_micro_per_kwh
    said = (
        f"nodal: each router has its price; the buyer pays {wording.price(buyer)} at his, the seller gets"
        f" {wording.price(seller)} per kWh delivered; the difference is what losses, tolls and full lines are worth"
    )
    partly = [each for each in orders if 0 < each.matched_wh < each.tender.wh]
    if clearing is None or not partly:
        return said
    names = ", ".join(_order(each.seq, orders) for each in partly[:3])
    return f"{said}; served in part, and so at the margin: {names}"


def _limit(order: pb.Order) -> int:
    return order.tender.limit_micro_per_kwh


def _order(seq: int, orders: Sequence[pb.Order]) -> str:
    for each in orders:
        if each.seq == seq:
            return (
                f"order {seq} of {each.party}, who {_wants(each)} {wording.energy(each.tender.wh)} at"
                f" {wording.price(_limit(each))}"
            )
    return f"order {seq}"


def _wants(order: pb.Order) -> str:
    return "buys" if order.tender.side == pb.SIDE_BUY else "sells"
