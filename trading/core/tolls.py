"""Tolls of a held path: what they make of a trade's terms, and when its circuit is let go again because of them."""

import msgspec

from trading.core.settlement import Terms, locks_of
from trading.core.trades import Held, Refusal, Trade
from trading.core.units import MAX_PRICE, MicroPerKwh
from trading.reasons import MarketReason


def terms_of(trade: Trade, held: Held) -> Terms | Refusal:
    """The trade's terms over the path that is held. Refused where the buyer would pay more than his limit, or more
    than any ledger can count: bills come to no more than what is locked, and that is reckoned from these terms.
    """
    toll_price = MicroPerKwh(0) if trade.is_path_priced else held.toll_price
    if toll_price > MAX_PRICE:
        return Refusal(
            MarketReason.PATH_OUT_OF_RANGE,
            f"tolls of the path come to {toll_price:g} micro per kWh, and {MAX_PRICE} is the most there may be",
        )
    if _is_beyond_limit(trade, toll_price):
        return Refusal(
            MarketReason.TOLL_BEYOND_LIMIT,
            f"price {trade.terms.buyer_price} and tolls {toll_price} of the path are above the buyer's limit"
            f" {trade.buyer_limit} (micro per kWh)",
        )
    terms = msgspec.structs.replace(trade.terms, toll_price=toll_price, max_loss=held.max_loss)
    if not locks_of(terms).is_countable:
        return Refusal(
            MarketReason.PATH_OUT_OF_RANGE,
            f"what {terms.wh} Wh and {held.max_loss:g} mJ of losses can cost is more than a ledger counts",
        )
    return terms


def _is_beyond_limit(trade: Trade, toll_price: MicroPerKwh) -> bool:
    """Mechanisms keep limits; so what is without tolls is within them."""
    limit = trade.buyer_limit
    return limit is not None and toll_price > 0 and trade.terms.buyer_price + toll_price > limit
