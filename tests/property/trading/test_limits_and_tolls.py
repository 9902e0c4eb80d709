"""Limits beside tolls: by whatever mechanism, and at whatever tolls, no buyer pays more than he has said."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from controller.routing.graph import graph_of_links
from digitalgrid.plugins.table import find
from tests.support.market_settings import MOST_WH, PARTIES, SETTINGS
from trading.core.orders import Interval, Side, Tender
from trading.core.readings import Ends, Reading
from trading.core.settlement import LineKind, LossPayer, Party, Tariff
from trading.core.trades import (
    Activated,
    Held,
    Locked,
    Read,
    Released,
    Signed,
    State,
    TimeOver,
    Trade,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Nano, Wh
from trading.market.market import Market
from trading.market.outcome import Clear, Cleared
from trading.market.settings import CONTINUOUS
from trading.mechanisms.mechanism import Mechanism
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.verify import verify
from trading.plugins import MECHANISMS
from trading.reasons import MarketReason

HISTORIES = 12
START_NS = 2 * SETTINGS.rules.length_ns
INTERVAL = Interval(START_NS, SETTINGS.rules.length_ns)
NOW_NS, GATE_NS = START_NS // 2, START_NS - SETTINGS.rules.gate_ns
# What a buyer pays for power that comes, and not for what fails.
OF_ENERGY = (LineKind.ENERGY, LineKind.NETWORK, LineKind.TOLL)
TARIFF = Tariff(loss_payer=LossPayer.BUYER)


def tolled_street(rng: np.random.Generator) -> MarketNetwork:
    """A router for each party, in a row."""
    count = len(PARTIES)
    graph = graph_of_links(
        [0.99] * count,
        list(range(count - 1)),
        list(range(1, count)),
        [0.5] * (count - 1),
        [10_000.0] * (count - 1),
        [400.0] * (count - 1),
    )
    return MarketNetwork(
        graph,
        tuple(f"r{node}" for node in range(count)),
        tuple(f"l{link}" for link in range(count - 1)),
        {f"meter of {party}": node for node, party in enumerate(PARTIES)},
        toll_per_mwh=tuple(rng.choice([0.0, 5.0, 50.0], count - 1).tolist()),
    )


def tenders(rng: np.random.Generator) -> Iterator[Tender]:
    for number in range(1, 17):
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        party = PARTIES[int(rng.integers(len(PARTIES)))]
        yield Tender(
            f"o{number}",
            party,
            f"meter of {party}",
            side,
            Wh(int(rng.integers(1, MOST_WH // 4))),
            MicroPerKwh(int(rng.integers(-20_000, 200_000))),
            INTERVAL,
            nonce=number,
        )


def cleared(market: Market, mechanism: str, network: MarketNetwork) -> list[Trade]:
    """All matches of the interval, as trades that wait for their circuits."""
    effects = () if mechanism == CONTINUOUS else market.tick(GATE_NS).effects
    for asked in effects:
        if isinstance(asked, Clear):
            made: Mechanism = find(MECHANISMS, mechanism).load()
            clearing = made.clear(asked.orders, network, asked.seed)
            faults = tuple(verify(asked.orders, network, clearing))
            assert not faults
            market.cleared(START_NS, asked.round, Cleared(clearing, faults, 0), GATE_NS)
    return [row.trade for row in market.trades()]


def settled(market: Market, trade: Trade, toll: int) -> None:
    """Held over a path of this toll; what is let go again is released, the rest delivered and metered."""
    held = Held("c", 1_010_000, MicroPerKwh(toll), Millijoule(trade.terms.contract // 50))
    market.hear(trade.trade_id, held, NOW_NS)
    if trade.state is State.UNWINDING:
        market.hear(trade.trade_id, Released(), NOW_NS)
        return
    for event in (Locked(), Signed()):
        market.hear(trade.trade_id, event, NOW_NS)
    while trade.state is not State.METERING:
        assert trade.until_ns is not None
        market.hear(trade.trade_id, TimeOver(trade.until_ns), trade.until_ns)
        market.hear(trade.trade_id, Activated(), START_NS)
    delivered = Millijoule(trade.terms.wh * MJ_PER_WH)
    injected = Millijoule(delivered * 101 // 100)
    ends = Ends((Reading(0, 0, injected),), (Reading(0, 0, delivered),), 1_010_000)
    market.hear(trade.trade_id, Released(), INTERVAL.end_ns)
    market.hear(trade.trade_id, Read((ends,)), INTERVAL.end_ns)
    assert trade.settlement is not None


def paid_by_buyer(trade: Trade) -> Counter[LineKind]:
    assert trade.settlement is not None
    paid: Counter[LineKind] = Counter()
    for line in trade.settlement.lines:
        paid[line.kind] += line.nano * ((line.payer is Party.BUYER) - (line.payee is Party.BUYER))
    return paid


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS.built_in))
def test_a_buyer_never_pays_more_than_his_limit_for_the_energy_that_came(mechanism: str) -> None:
    reasons: Counter[str] = Counter()
    kinds: Counter[LineKind] = Counter()
    for seed in range(HISTORIES):
        rng = np.random.default_rng(seed)
        settings = msgspec.structs.replace(SETTINGS, mechanisms=(mechanism,), tariff=TARIFF)
        market, network = Market(settings), tolled_street(rng)
        market.create(list(tenders(rng)), NOW_NS, mandate_holds=True, free=lambda _: Nano(10**12))
        limits = {row.order.seq: row.order.limit for row in market.orders.rows()}
        for trade in cleared(market, mechanism, network):
            settled(market, trade, int(rng.choice([0, 1, 5_000, 60_000, 9_000_001, 10**15])))
            reasons[trade.reason] += 1
            if trade.settlement is None:
                assert trade.is_barred and trade.detail
                continue
            paid = paid_by_buyer(trade)
            assert sum(paid[each] for each in OF_ENERGY) <= limits[trade.buy_seq] * trade.terms.wh
            kinds.update(each for each in paid if paid[each])
    # Prices of routers have tolls and losses in them: neither is charged again, and no toll is beyond a limit.
    is_tolled = mechanism != "nodal"
    assert kinds[LineKind.ENERGY] and reasons[""]
    assert (LineKind.TOLL in kinds, LineKind.LOSS in kinds) == (is_tolled, is_tolled)
    assert (LineKind.NETWORK in kinds) != is_tolled
    for reason in (MarketReason.TOLL_BEYOND_LIMIT, MarketReason.PATH_OUT_OF_RANGE):
        assert (reason in reasons) == is_tolled
