"""Terms of a trade as bytes: what the ledger has the hash of, so that whoever knows them can prove them."""

import hmac
from hashlib import sha256

from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.settlement import Tariff
from trading.core.trades import Trade


def terms_bytes(trade: Trade) -> bytes:
    """Of a trade whose circuit is held, and from then on the same bytes. A feed-in price is no part of any bill."""
    terms = trade.terms
    return pb.TradeTerms(
        trade_id=trade.trade_id,
        buyer=trade.buyer,
        seller=trade.seller,
        buy_meter_id=trade.buy_meter,
        sell_meter_id=trade.sell_meter,
        interval=pb.Interval(
            start_unix_ns=trade.interval.start_ns, length_ns=trade.interval.length_ns
        ),
        wh=terms.wh,
        injected_wh=trade.injected_wh,
        buyer_micro_per_kwh=terms.buyer_price,
        seller_micro_per_kwh=terms.seller_price,
        toll_micro_per_kwh=terms.toll_price,
        max_loss_mj=terms.max_loss,
        tariff=_tariff(terms.tariff),
        path=trade.path,
    ).SerializeToString(deterministic=True)


def _tariff(tariff: Tariff) -> pb.Tariff:
    return pb.Tariff(
        utility_micro_per_kwh=tariff.utility_price,
        refusal_micro_per_kwh=tariff.refusal_price,
        firm_micro_per_kwh=tariff.firm_price,
        overdraw_micro_per_kwh=tariff.overdraw_price,
        loss_micro_per_kwh=tariff.loss_price,
        loss_payer=tariff.loss_payer.value,
        max_over_mj=tariff.max_over,
        dispute_fee_ppm=tariff.dispute_fee_ppm,
    )


def salt_of(secret: bytes, trade_id: str) -> bytes:
    """32 bytes that nobody guesses who does not have the market's ``secret``; after a crash the same again."""
    return hmac.digest(secret, b"dg-market-v1/salt\x00" + trade_id.encode(), sha256)


def terms_hash(terms: bytes, salt: bytes) -> bytes:
    """What stands in the log instead of the terms, which without the salt could be tried out."""
    return sha256(terms + salt).digest()
