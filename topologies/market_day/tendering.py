"""Tenders of prosumers: what each offers or asks for in an interval, and at which limits. Pure."""

import random

from digitalgrid.market.v1 import market_pb2 as pb
from topologies.market_day.prosumers import Prosumer
from trading.client.calls import tender
from trading.core.units import wh_below

# Millionths of the currency per kWh: how far from what the utility pays or asks limits may be.
_SELLERS_ASK = (5_000, 60_000)
# What a car's battery has too much is sold for whatever is better than the utility's price: it is always sold.
_CARS_ASK = 1_000
_BUYERS_SAVE = (20_000, 130_000)
_STEP = 1_000
# Half is worth more to whoever needs it than the rest, as a second tender.
_PARTS = (0.6, 0.4)


def tenders_of(
    prosumer: Prosumer,
    number: int,
    interval: pb.Interval,
    prices: pb.Tariff,
    seed: int,
) -> list[pb.Tender]:
    """Two at most: of one side, since whoever has too much lacks nothing."""
    surplus_wh = wh_below(abs(prosumer.surplus_w(number, seed)), interval.length_ns)
    sells = prosumer.surplus_w(number, seed) > 0.0
    draw = random.Random(f"{seed} limits of {prosumer.party} {number}")
    first_wh = round(_PARTS[0] * surplus_wh)
    tenders = []
    for part, wh in enumerate((first_wh, surplus_wh - first_wh)):
        if sells and prosumer.is_car:
            limit = prices.feed_in_micro_per_kwh + _CARS_ASK
        elif sells:
            limit = prices.feed_in_micro_per_kwh + draw.randint(*_SELLERS_ASK)
        else:
            limit = prices.utility_micro_per_kwh - draw.randint(*_BUYERS_SAVE)
        if wh > 0:
            tenders.append(
                tender(
                    "sell" if sells else "buy",
                    prosumer.party,
                    wh,
                    limit // _STEP * _STEP,
                    interval,
                    order_id=f"{number}-{part}",
                )
            )
    return tenders
