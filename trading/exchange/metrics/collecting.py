"""Collector of an exchange's metrics: reads the market when it is asked, in the loop's own thread."""

import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from digitalgrid.counters import COUNTERS
from digitalgrid.metrics.families import Families, Family, one_label
from digitalgrid.metrics.server import serving_collector
from trading.core.orders import Side
from trading.core.trades import State
from trading.exchange.exchange import Exchange
from trading.exchange.metrics.reference import METRICS, PREFIX
from trading.market.phases import Phase

_BUILD = version("digitalgrid"), platform.python_version()
_FAMILIES = Families(PREFIX, METRICS)


def serving_metrics(exchange: Exchange, listen: str) -> AbstractAsyncContextManager[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    return serving_collector(ExchangeMetrics(exchange).collect, listen)


class ExchangeMetrics:
    """Of one market."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def collect(self) -> Iterator[Family]:
        exchange, market = self._exchange, self._exchange.runtime.market
        yield _FAMILIES.of("build_info", [(_BUILD, 1)])
        yield _FAMILIES.one("controller_reachable", float(not exchange.controller.lost_unix_ns))
        phases = Counter({each.value: 0 for each in Phase})
        phases.update(session.phase.value for session in market.sessions.values())
        yield _FAMILIES.of("intervals", one_label(phases))
        orders, open_wh = Counter({each.value: 0 for each in Side}), Counter[str]()
        for row in market.orders.rows():
            if row.open_wh:
                orders[row.order.side.value] += 1
                open_wh[row.order.side.value] += row.open_wh
        yield _FAMILIES.of("orders_open", one_label(orders))
        yield _FAMILIES.of("open_wh", one_label({side: open_wh[side] for side in orders}))
        states = Counter({each.value: 0 for each in State})
        states.update(row.trade.state.value for row in market.trades())
        yield _FAMILIES.of("trades", one_label(states))
        yield from self._tallied()
        yield _FAMILIES.one("requests_unanswered", exchange.runtime.on_way)
        yield _FAMILIES.one("journal_unwritten", exchange.runtime.unwritten)
        yield _FAMILIES.one("ledger_entries", exchange.ledger.size)
        yield _FAMILIES.one("ledger_waiting", exchange.ledger.waiting)
        yield from _FAMILIES.counters(COUNTERS.snapshot())

    def _tallied(self) -> Iterator[Family]:
        """What has happened since the start."""
        tallies = self._exchange.runtime.tallies
        yield _FAMILIES.of("tenders_total", one_label(tallies.tenders))
        ended = {each.value: tallies.trades[each] for each in State if each.ended}
        yield _FAMILIES.of("trades_ended_total", one_label(ended))
        yield _FAMILIES.of("clearings_total", one_label(tallies.clearings))
        yield _FAMILIES.histogram("clearing_duration_seconds", [((), tallies.clearing_s)])
