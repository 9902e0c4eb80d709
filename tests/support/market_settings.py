"""A market as tests have it: four parties with a meter each, auctions and continuous trade in turn."""

import msgspec

from digitalgrid.units import NS_PER_S
from tests.support.market_ledger import OPERATOR
from tests.support.market_world import LENGTH_NS
from trading.core.orders import MarketRules, Meter
from trading.core.settlement import Tariff
from trading.core.trades import Times
from trading.core.units import MicroPerKwh
from trading.market.settings import MarketSettings
from trading.mechanisms.book import SelfTrade

PARTIES = ("ann", "bob", "eve", "joe")
# Of each meter, either way, in one interval.
MOST_WH = 1_000
SETTINGS = MarketSettings(
    "m",
    MarketRules(length_ns=LENGTH_NS, gate_ns=3 * NS_PER_S),
    Times(read_ns=10 * NS_PER_S, dispute_ns=60 * NS_PER_S),
    Tariff(firm_price=MicroPerKwh(10_000), dispute_fee_ppm=10_000),
    ("call", "continuous"),
    OPERATOR,
    tuple(
        Meter(
            f"meter of {party}",
            party,
            "r1",
            MOST_WH * 3600 / (LENGTH_NS / NS_PER_S),
            MOST_WH * 3600 / (LENGTH_NS / NS_PER_S),
        )
        for party in PARTIES
    ),
)


def varied(settings: MarketSettings, seed: int) -> MarketSettings:
    """Some of what a market may choose is another in some histories."""
    if seed % 3 == 0:
        rules = msgspec.structs.replace(settings.rules, ahead=3)
        settings = msgspec.structs.replace(settings, rules=rules)
    modes = {1: SelfTrade.CANCEL_OLDEST, 2: SelfTrade.CANCEL_BOTH}
    if seed % 7 in modes:
        settings = msgspec.structs.replace(settings, self_trade=modes[seed % 7])
    if seed % 2:
        times = msgspec.structs.replace(settings.times, object_ns=5 * NS_PER_S)
        settings = msgspec.structs.replace(settings, times=times)
    return settings
